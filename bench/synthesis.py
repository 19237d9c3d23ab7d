"""Measures how fast operators are found: rollouts, how many of them end, how many are distinct.

Run: python bench/synthesis.py --spec resnet18-imagenet --seconds 60 --strategy random --json. The
strategy is asked again and again, in one thread; what it is told says nothing (every candidate
earns the same). Prints one JSON object as its last line: `rollouts`, `success_rate` (rollouts that
end in a valid operator within all limits; 0 to 1), `distinct` (canonical forms), `distinct_per_s`,
`expanded_per_s` (states, and abstract states, of which the moves were made), `peak_rss_mb`,
`seconds_to` (for 100, 1,000 and 10,000 distinct operators).

With --ablations, ways of guiding are compared, each for so many seconds: no distance; one that sees
sizes alone, as the published search has it; ours; ours with counts of completions; and the latter
two without exact rules. There, operators are told apart by their canonical form afterwards.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from networks import spec_of

from syno.ir.operator import Operator
from syno.rules import RULES, Canonical
from syno.search.outcome import Scored
from syno.search.protocol import Setting
from syno.search.registry import STRATEGIES, make_strategy
from syno.search.rollout import walk
from syno.space.distance import Budget, Distance
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec
from syno.space.state import Move, State

_MARKS = (100, 1_000, 10_000)


class Counted:
    """A space that counts what is asked of it."""

    def __init__(self, space: SynthesisSpace) -> None:
        self.space = space
        self.rollouts = self.ended = self.expanded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.space, name)

    def moves(self, state: State) -> list[Move]:
        """Return the moves of `state`."""
        self.expanded += 1
        return self.space.moves(state)

    def roll_out(self, state: State, rng: Random) -> list[State]:
        """Return the states of a rollout."""
        drawn = self.space.roll_out(state, rng)
        passed = walk(self, state, rng) if drawn is None else drawn
        self.rollouts += 1
        self.ended += bool(passed) and self.space.result(passed[-1]) is not None
        return passed

    @property
    def all_expanded(self) -> int:
        """States and abstract states of which the moves were made."""
        guide = self.space.rollouts
        counts = (guide.completions, guide.from_within) if guide else ()
        return self.expanded + sum(len(each.expanded) for each in counts)


def measure(name: str, strategy: str, seconds: float, seed: int) -> dict[str, object]:
    """Ask a strategy for a time and return the figures."""
    space = Counted(SynthesisSpace(spec_of(name)))
    found = 0
    reached: dict[str, float] = {}
    start = time.perf_counter()
    asked = make_strategy(strategy, Setting(space, lambda _outcome: 0.5, seed))
    while (spent := time.perf_counter() - start) < seconds:
        candidate = asked.ask()
        if candidate is None:
            break
        asked.tell(candidate, Scored(0.5, 1.0, 1, 1))
        found += 1
        if found in _MARKS:
            reached[str(found)] = round(time.perf_counter() - start, 1)
    return {
        "spec": name,
        "strategy": strategy,
        "seconds": round(spent, 1),
        "rollouts": space.rollouts,
        "success_rate": round(space.ended / max(space.rollouts, 1), 4),
        "distinct": found,
        "distinct_per_s": round(found / spent, 1),
        "expanded_per_s": round(space.all_expanded / spent, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seconds_to": reached,
    }


class SizesOnly(Distance):
    """The published kind: groups of sizes that multiply to the input, and nothing of budgets."""

    def __call__(self, coords: Iterable[tuple[int, int]], budget: Budget) -> int:
        """Return the steps that sizes alone ask for."""
        limits = self.spec.limits
        free = Budget(
            budget.merges,
            limits.weights,
            limits.unfolds,
            limits.reductions,
            limits.splits,
            0,
        )
        return super().__call__(tuple(sorted((size, 0) for size, _ in coords)), free)


def _sizes_only(spec: Spec) -> SynthesisSpace:
    space = SynthesisSpace(spec)
    space.distance = SizesOnly(
        spec, space.distance.apart, space.distance.slides, space.distance.joins
    )
    space.rollouts = None
    return space


def _walking(spec: Spec, **switches: Any) -> SynthesisSpace:
    space = SynthesisSpace(spec, **switches)
    space.rollouts = None
    return space


ABLATIONS: dict[str, Callable[[Spec], SynthesisSpace]] = {
    "no distance": lambda spec: _walking(spec, guided=False),
    "distance of sizes alone": _sizes_only,
    "our distance": _walking,
    "our distance, no exact rules": lambda spec: _walking(spec, rules=()),
    "our distance and counts": SynthesisSpace,
    "our distance and counts, no exact rules": lambda spec: SynthesisSpace(spec, rules=()),
}


def ablation(name: str, make: Callable[[Spec], SynthesisSpace], seconds: float) -> dict[str, Any]:
    """Draw rollouts for a time, guided in one way."""
    spec, rng = spec_of(name), Random(0)
    space, found = Counted(make(spec)), set()
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        passed = space.roll_out(space.root(), rng)
        operator = space.result(passed[-1]) if passed else None
        if operator is not None:
            found.add(operator)
    forms = Canonical(spec.values, RULES, spec.coefficients)
    classes: set[Operator] = {forms.operator(each) for each in found}
    return {
        "rollouts_per_s": round(space.rollouts / spent, 1),
        "success_rate": round(space.ended / max(space.rollouts, 1), 5),
        "spellings": len(found),
        "distinct": len(classes),
        "distinct_per_s": round(len(classes) / spent, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="resnet18-imagenet", help="a named spec, or a network")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--strategy", choices=sorted(STRATEGIES), default="random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ablations", action="store_true", help="compare ways of guiding")
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    chosen = parser.parse_args()
    if chosen.ablations:
        table = {}
        for label, make in ABLATIONS.items():
            table[label] = ablation(chosen.spec, make, chosen.seconds)
            if not chosen.json:
                print(f"{label}: {table[label]}", flush=True)
        print(json.dumps({"spec": chosen.spec, "seconds": chosen.seconds, "ablations": table}))
        return
    found = measure(chosen.spec, chosen.strategy, chosen.seconds, chosen.seed)
    if not chosen.json:
        for key, value in found.items():
            print(f"{key}: {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
