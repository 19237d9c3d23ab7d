"""The strategies draw what the properties are about: every primitive, both kinds of sizes."""

from __future__ import annotations

from collections import Counter
from math import prod

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from syno.ir import text as printer
from syno.ir.coord import Coord
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.ir.primitives import PRIMITIVES
from syno.ir.size import Size
from syno.ir.steps import steps
from syno.ir.verify import verify
from syno.testing.strategies import NUMBERS, SYMBOLS, Case, bindings, cases, sizes, valid_cases

QUICK = settings(max_examples=300, phases=[Phase.generate], derandomize=True, database=None)


def drawn() -> list[Case]:
    found: list[Case] = []

    @QUICK
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def test_every_primitive_and_both_kinds_of_sizes_are_drawn() -> None:
    found = drawn()
    used = Counter(step.primitive for case in found for step in steps(case.op))
    wanted = {row.name for row in PRIMITIVES} - {"share", "expand"} | {"contract"}
    assert all(used[name] >= 20 for name in wanted), used
    assert 0.2 < sum(bool(case.op.symbols) for case in found) / len(found) < 0.8
    assert 0.4 < sum(not verify(case.op, [case.sizes]) for case in found) / len(found) < 0.95


def test_operators_are_small_enough_for_the_reference() -> None:
    for case in drawn():
        leaves = (*case.op.outputs, *case.op.reductions)
        assert prod(leaf.size.evaluate(case.sizes) for leaf in leaves) <= 4_000


@settings(max_examples=50, suppress_health_check=[HealthCheck.filter_too_much])
@given(valid_cases(SYMBOLS))
def test_valid_cases_are_valid(case: Case) -> None:
    assert verify(case.op, [case.sizes]) == ()
    assert case.sizes is SYMBOLS.sizes


@settings(max_examples=50)
@given(cases(NUMBERS))
def test_the_vocabulary_can_be_chosen(case: Case) -> None:
    assert case.op.symbols == set()


@given(sizes(("A", "b")), bindings(("A", "b"), largest=3))
def test_sizes_and_bindings_belong_together(size: Size, binding: dict[str, int]) -> None:
    assert size.symbols <= {"A", "b"}
    assert size.fraction(binding) > 0
    assert all(1 <= value <= 3 for value in binding.values())


def spoiled(coord: Coord, names: printer.Names) -> tuple[str, int]:
    """Print a shift to the other side: a mistake of one letter in the printer."""
    text, level = _RIGHT(coord, names)
    return (text.replace(" - 1)", " + 1)"), level) if coord.op == "shift" else (text, level)


_RIGHT = printer._format


def survives(op: Operator) -> bool:
    return parse(printer.format_operator(op)) is op


def test_a_wrong_printer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoSuchExample):
        find(cases(), lambda case: not survives(case.op), settings=QUICK)
    monkeypatch.setattr(printer, "_format", spoiled)
    found = find(cases(), lambda case: not survives(case.op), settings=QUICK)
    assert "shift" in {step.primitive for step in steps(found.op)}
