"""Detours: steps that lead back to what is reached with fewer, or to a constant."""

from __future__ import annotations

import pytest

from syno.ir.coord import (
    Coord,
    merge,
    output,
    quotient,
    reduce,
    remainder,
    shift,
    split,
    stride,
    unfold,
)
from syno.ir.size import Size
from syno.rules import Canonical
from syno.space.moves import is_wasted
from syno.space.specs import named_spec
from syno.space.state import COUNTED, Move, State

S = Size.symbol("s")
ROWS, K = output(0, Size.parse("H/s")), reduce(0, Size.symbol("k"))
CUT = merge(output(0, Size.symbol("H")), S)
MIDDLE = remainder(quotient(unfold(stride(ROWS, S), K), S), S)
TOP, BOTTOM = quotient(unfold(stride(ROWS, S), K), S * S), remainder(unfold(stride(ROWS, S), K), S)
DETOURS: dict[str, tuple[Move, tuple[Coord, ...], bool]] = {
    "a merge that undoes a split": (Move("merge", (split(ROWS, reduce(0, S)),), S), (), True),
    "a merge of what a split made larger": (Move("merge", (split(ROWS, K),), S), (), False),
    "a split that undoes a merge": (Move("split", CUT), (), True),
    "a split of digits of which a weight saw one": (Move("split", CUT), CUT[:1], False),
    "a split of digits beside the one that a weight saw": (
        Move("split", (TOP, remainder(unfold(stride(ROWS, S), K), S * S))),
        (MIDDLE,),
        False,
    ),
    "a split in the other order": (Move("split", CUT[::-1]), (), False),
    "a shift of a sum": (Move("shift", (K,), 1), (), True),
    "a shift back": (Move("shift", (shift(ROWS, -1),), 1), (), True),
    "a shift of a place": (Move("shift", (ROWS,), 1), (), False),
    "a last digit that is always the same": (Move("merge", (stride(ROWS, S * S),), S), (), True),
    "a stride cut where it is not constant": (Move("merge", (stride(ROWS, K.size),), S), (), False),
}


@pytest.mark.parametrize("name", DETOURS)
def test_a_detour_is_not_offered(name: str) -> None:
    move, seen, wasted = DETOURS[name]
    spec = named_spec("pool1d")
    canonical = Canonical(spec.values, coefficients=spec.coefficients)
    weights = frozenset({seen} if seen else ())
    state = State(frozenset(move.operands), weights, (0,) * len(COUNTED))
    assert is_wasted(spec, canonical, state, move) is wasted
