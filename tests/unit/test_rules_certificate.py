"""With the exact rules on, no operator is lost: every class of those without rules is there."""

from __future__ import annotations

import pytest
from exhaustive import classes, explore, limited

import syno
from syno.space import space as spaces
from syno.space.prunes import PRUNES, Taste
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec

EVERYTHING = tuple(prune.name for prune in PRUNES)
BINDINGS = (
    {"H": 12, "s": 2, "k": 3, "W": 4, "T": 4, "C_in": 4, "C_out": 6},
    {"H": 24, "s": 2, "k": 3, "W": 6, "T": 2, "C_in": 6, "C_out": 4},
)
CASES: dict[str, tuple[Spec, tuple[str, ...]]] = {
    "pool1d": (limited("pool1d", steps=4), ()),
    "pool1d, no taste": (limited("pool1d", steps=3, shifts=2), EVERYTHING),
    "linear": (limited("linear", steps=5), ()),
    "linear, no taste": (limited("linear", steps=3), EVERYTHING),
    "image": (limited("image", steps=4), ()),
    "image, no taste": (limited("image", steps=3, shifts=2), EVERYTHING),
}


def lost(name: str) -> list[str]:
    """Return an operator of each class that the rules lose, and of each that they invent."""
    spec, off = CASES[name]
    with_rules, without = (
        classes(
            explore(
                SynthesisSpace(spec, Taste.without((*spec.untasted, *off)), exact_rules=rules)
            ).operators,
            BINDINGS,
        )
        for rules in (True, False)
    )
    gone = {**with_rules, **without}.keys() - (with_rules.keys() & without.keys())
    return [str({**with_rules, **without}[key][0]) for key in gone]


def is_identity(text: str) -> bool:
    """Tell whether an operator gives its input back: the space does not offer to do nothing."""
    op = syno.parse(text)
    if op.input != op.output or op.weights:
        return False
    shape = f"[{', '.join(map(str, op.input))}]"
    same = f"{shape} -> {shape}\ny[{_iterators(op)}] = x[{_iterators(op)}]"
    return bool(classes([op], BINDINGS).keys() == classes([syno.parse(same)], BINDINGS).keys())


def _iterators(op: syno.Operator) -> str:
    return ",".join("ijl"[: len(op.output)])


@pytest.mark.parametrize("name", CASES)
def test_rules_lose_no_operator(name: str) -> None:
    assert [text for text in lost(name) if not is_identity(text)] == []


def test_a_rule_that_loses_operators_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: every stride, shift and split is said to have a simpler spelling."""
    monkeypatch.setattr(spaces, "rejects", lambda coord, *_: coord.op in ("shift", "split"))
    assert any(not is_identity(text) for text in lost("pool1d"))
