"""Every prune fires on what it is meant for, counts it, and can be switched off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from syno.ir.coord import Coord, output, reduce, remainder
from syno.ir.errors import SpecError
from syno.ir.size import Size
from syno.space.moves import candidates
from syno.space.prunes import PRUNES, Taste, is_place
from syno.space.space import SynthesisSpace
from syno.space.spec import Limits, Spec
from syno.space.specs import named_spec
from syno.space.state import Move, State

IMAGE = Spec(
    "image",
    ("C_in", "H", "W"),
    ("C_out", "H", "W"),
    {"k": 2, "s": 1},
    ({"C_in": 8, "C_out": 12, "H": 12, "W": 8, "k": 3, "s": 2},),
)
FOLDED = Spec("folded", ("H", "H*s"), ("H", "C"), {"s": 1}, ({"H": 6, "C": 4, "s": 2},))
K, S = Size.symbol("k"), Size.symbol("s")
OUT, H, W = (output(place, size) for place, size in enumerate(IMAGE.output_sizes))
C, A, B, E = (reduce(place, size) for place, size in enumerate((Size.symbol("C_in"), K, K * K, S)))
ROW = output(0, Size.symbol("H"))


@dataclass(frozen=True)
class Planted:
    """A move that one prune rejects and no other; `seen` are what a weight is indexed by."""

    move: Move
    seen: tuple[Coord, ...] = ()
    spec: Spec = IMAGE

    @property
    def state(self) -> State:
        root = SynthesisSpace(self.spec).root()
        coords = root.coords | set(self.move.operands)
        return State(coords, frozenset({self.seen} if self.seen else ()), root.counts)


PLANTED: Mapping[str, Planted] = {
    "weight-on-position": Planted(Move("contract", (H, C), None, (H, C))),
    "output-scale": Planted(Move("contract", (OUT,), None, (OUT,))),
    "wide-window": Planted(Move("unfold", (H, B)), (B,)),
    "even-window": Planted(Move("unfold", (H, E)), (E,)),
    "window-over-channels": Planted(Move("unfold", (OUT, A)), (A,)),
    "window-of-output": Planted(Move("unfold", (H, remainder(OUT, K)))),
    "shifted-channels": Planted(Move("shift", (OUT,), 1)),
    "position-in-split": Planted(Move("split", (ROW, E)), (E,), FOLDED),
    "split-beyond-input": Planted(Move("split", (OUT, A)), (A,)),
    "unweighted-sum": Planted(Move("unfold", (H, A))),
    "cut-position": Planted(Move("merge", (H,), S)),
}


def test_every_prune_has_a_planted_move() -> None:
    assert list(PLANTED) == [prune.name for prune in PRUNES]


@pytest.mark.parametrize("name", PLANTED)
def test_it_fires_and_counts(name: str) -> None:
    row, taste = PLANTED[name], Taste()
    for times in (1, 2):
        found = taste.rejects(row.spec, row.state, row.move)
        assert found is not None and found.name == name
        assert taste.fired == {name: times}
    assert not taste.would_allow(row.spec, row.state, row.move)
    assert taste.fired == {name: 2}


@pytest.mark.parametrize("name", PLANTED)
def test_switched_off_it_lets_the_move_pass(name: str) -> None:
    row, taste = PLANTED[name], Taste.without([name])
    assert taste.rejects(row.spec, row.state, row.move) is None
    assert taste.fired == {}
    assert not taste.has(name) and Taste().has(name)
    assert Taste().but(name).prunes == taste.prunes


FINE = [
    Planted(Move("contract", (OUT, C), None, (C,))),
    Planted(Move("unfold", (H, A)), (A,)),
    Planted(Move("shift", (H,), 1)),
    Planted(Move("merge", (OUT,), S)),
    Planted(Move("reduce", (), K, (A,))),
    Planted(Move("finish", (C, H, W)), (C,)),
]


@pytest.mark.parametrize("row", FINE, ids=lambda row: row.move.primitive)
def test_ordinary_moves_are_to_our_taste(row: Planted) -> None:
    assert Taste().rejects(row.spec, row.state, row.move) is None


def test_the_space_counts_what_its_taste_rejects() -> None:
    space = SynthesisSpace(named_spec("image"), guided=False)
    space.moves(space.root())
    # H and W: neither weighed, nor cut, nor joined in either order
    assert space.taste.fired["weight-on-position"] == 2
    assert space.taste.fired["cut-position"] == len(_merges(space))
    assert space.taste.fired["position-in-split"] == 2


def test_a_sum_that_no_weight_sees_does_not_finish() -> None:
    """The last step of `y[t,o] = sum[c] x[t,c] * w1[o]` moves nothing, so finishing is tasted."""
    bound = ({"T": 6, "C_in": 8, "C_out": 16},)
    limits = Limits(steps=2, weights=1, reductions=1)
    spec = Spec("linear", ("T", "C_in"), ("T", "C_out"), {}, bound, limits=limits)
    off = ["output-scale", "unweighted-sum"]
    texts = [_found(SynthesisSpace(spec, Taste.without(off[:count]))) for count in (1, 2)]
    assert "y[t,o] = sum[c:C_in] x[t, c] * w1[o]" not in texts[0]
    assert texts[1] - texts[0] == {"y[t,o] = sum[c:C_in] x[t, c] * w1[o]"}


def _merges(space: SynthesisSpace) -> list[Move]:
    moves = candidates(space.spec, space.root())
    return [move for move in moves if move.primitive == "merge"]


def _found(space: SynthesisSpace) -> set[str]:
    from syno.space.enumerate import enumerate_operators

    return {str(op).splitlines()[-1] for op in enumerate_operators(space)}


def test_places_are_the_dimensions_that_stay() -> None:
    assert is_place(IMAGE, H) and is_place(IMAGE, remainder(H, S))
    assert not is_place(IMAGE, OUT) and not is_place(IMAGE, C)


def test_a_prune_that_nobody_knows_is_told_with_those_that_are_known() -> None:
    with pytest.raises(SpecError, match="no prune called 'evn-window'; known are: weight-on-pos"):
        Taste.without(["evn-window"])
