"""The certificate: what the exact rules keep, against what there is without any (design section 3).

A spec is enumerated twice, with all rules off and with the rules on; the operators are put into
classes by fingerprint, under all bindings of the spec. Nothing may be lost: each class found
without rules is found with them. Nothing may be redundant: with the rules on, no class is found
twice.

Prunes are off in both: taste is no part of what is certified.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context

from syno.ir.operator import Operator
from syno.rules import RULES, Rule
from syno.rules.classes import Classes, Key
from syno.space.enumerate import expanded
from syno.space.prunes import PRUNES, Taste
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec

_SHOWN = 20


@dataclass(frozen=True)
class Enumerated:
    """The operators of one enumeration by class, and how much work there was.

    `members` maps each class to the texts of its operators, `void` some of them to the reason why
    they are none; `found` counts what the space offered. `sequences` counts the sequences of steps
    that end in a complete operator, `states` the states that were expanded.
    """

    members: Mapping[Key, list[str]]
    void: Mapping[Key, str]
    found: int
    states: int
    sequences: int


@dataclass(frozen=True)
class Certificate:
    """What `syno certify` tells.

    `raw_operators` are spelled differently, `classes` are different functions up to the names of
    weights, `canonical_operators` are what the space offers with the rules on. `lost` counts the
    classes that it does not offer, `redundant` the operators that it offers twice,
    `redundant_by_rules` those that the rules alone leave twice: the space tells them apart from new
    ones by their fingerprints. `gained` counts what it offers beyond the classes: none, where the
    verifier judges all spellings alike. `void` counts, by reason, classes that are unmasked as no
    operators: a spelling hid an absorbed weight or an idle sum from the verifier. The `sequences`
    of steps that end in a complete operator are what a search without states would have to walk.
    """

    spec: str
    depth: int
    raw_operators: int
    classes: int
    canonical_operators: int
    lost: int
    redundant: int
    redundant_by_rules: int = 0
    gained: int = 0
    void: Mapping[str, int] = field(default_factory=dict)
    raw_sequences: int = 0
    canonical_sequences: int = 0
    raw_states: int = 0
    canonical_states: int = 0
    seconds: float = 0.0
    gained_operators: tuple[str, ...] = ()
    lost_operators: tuple[str, ...] = ()
    redundant_operators: tuple[tuple[str, ...], ...] = ()

    @property
    def exact(self) -> bool:
        """Whether there is exactly one operator for each class."""
        return not (self.lost or self.redundant or self.gained)

    def as_dict(self) -> dict[str, object]:
        """Return it as what JSON can hold."""
        return asdict(self)


def certify(
    spec: Spec,
    depth: int,
    *,
    rules: Iterable[Rule] = RULES,
    processes: int = 1,
) -> Certificate:
    """Enumerate `spec` up to `depth` steps without and with `rules`, and compare.

    With two `processes` the two enumerations run at a time.
    """
    start, chosen = time.perf_counter(), tuple(rules)
    within = bounded(spec, depth)
    jobs = (within, within), ((), chosen)
    if processes > 1:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            raw, kept = pool.map(enumerated, *jobs)
    else:
        raw, kept = map(enumerated, *jobs)
    return compared(spec.name, depth, raw, kept, time.perf_counter() - start)


def bounded(spec: Spec, depth: int) -> Spec:
    """Return `spec` up to `depth` steps; what it asks of windows is no matter of rules."""
    return replace(spec.up_to(depth), windowed=())


def enumerated(spec: Spec, rules: tuple[Rule, ...]) -> Enumerated:
    """Return all operators of `spec` under `rules`, by class; each state is expanded once."""
    taste = Taste.without(prune.name for prune in PRUNES)
    space = SynthesisSpace(spec, taste, rules=rules, distinct=bool(rules))
    classes = space.classes or Classes(spec.bindings)
    found: dict[Operator, None] = {}
    states = sequences = 0
    for _, ways, children in expanded(space):
        states += 1
        for child in children:
            if child.operator is not None:
                found[child.operator] = None
                classes.is_first(child.operator)
                sequences += ways
    reasons = {} if rules else {key: classes.why_void(key) for key in classes.members}
    return Enumerated(
        {key: [str(op) for op in members] for key, members in classes.members.items()},
        {key: why for key, why in reasons.items() if why is not None},
        len(found),
        states,
        sequences,
    )


def compared(
    spec: str, depth: int, raw: Enumerated, kept: Enumerated, seconds: float = 0.0
) -> Certificate:
    """Return the certificate that two enumerations amount to."""
    missing = [key for key in raw.members if key not in kept.members]
    void = {key: raw.void[key] for key in missing if key in raw.void}
    lost = [key for key in missing if key not in void]
    gained = [key for key in kept.members if key not in raw.members]
    twice = [texts for texts in kept.members.values() if len(texts) > 1]
    return Certificate(
        spec,
        depth,
        raw_operators=sum(map(len, raw.members.values())),
        classes=len(raw.members) - len(void),
        canonical_operators=kept.found,
        lost=len(lost),
        redundant=kept.found - len(kept.members),
        gained=len(gained),
        redundant_by_rules=sum(len(texts) - 1 for texts in twice),
        void=dict(sorted(Counter(void.values()).items())),
        raw_sequences=raw.sequences,
        canonical_sequences=kept.sequences,
        raw_states=raw.states,
        canonical_states=kept.states,
        seconds=round(seconds, 1),
        gained_operators=tuple(kept.members[key][0] for key in gained[:_SHOWN]),
        lost_operators=tuple(raw.members[key][0] for key in lost[:_SHOWN]),
        redundant_operators=tuple(tuple(texts) for texts in twice[:_SHOWN]),
    )


__all__ = ["Certificate", "Enumerated", "bounded", "certify", "compared", "enumerated"]
