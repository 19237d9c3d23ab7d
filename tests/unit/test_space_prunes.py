"""Every prune fires on what it is meant for, counts it, and can be switched off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from syno.ir.coord import Coord, output, quotient, reduce, remainder, shift, unfold
from syno.ir.errors import SpecError
from syno.ir.size import Size
from syno.space.moves import candidates
from syno.space.prunes import (
    DIMENSION_PER_WINDOW,
    LARGEST_OUTER,
    LONGEST_CHAIN,
    PRUNES,
    STRONGEST_POOLING,
    WIDEST_WINDOW,
    Taste,
    is_place,
)
from syno.space.space import SynthesisSpace
from syno.space.spec import Limits, Spec
from syno.space.specs import named_spec
from syno.space.state import Move, State

SIZES = {"C_in": 8, "C_out": 12, "H": 12, "W": 8, "k": 3, "s": 2}
SHAPES = ("C_in", "H", "W"), ("C_out", "H", "W")
IMAGE = Spec("image", *SHAPES, {"k": 2, "s": 1}, (SIZES,))
FOLDED = Spec("folded", ("H", "H*s"), ("H", "C"), {"s": 1}, ({"H": 6, "C": 4, "s": 2},))
SQUARE = Spec("square", ("C_in", "H", "H"), ("C_out", "H", "H"), {"k": 2, "s": 1}, (SIZES,))
LINE, COLUMN = output(1, Size.symbol("H")), output(2, Size.symbol("H"))
K, S = Size.symbol("k"), Size.symbol("s")
OUT, H, W = (output(place, size) for place, size in enumerate(IMAGE.output_sizes))
C, A, B, E = (reduce(place, size) for place, size in enumerate((Size.symbol("C_in"), K, K * K, S)))
ROW = output(0, Size.symbol("H"))
A2, D = reduce(4, K), reduce(5, Size.symbol("C_in") / S)
TAIL = remainder(OUT, S)
HEAD = quotient(OUT, S)


def bound(**sizes: int) -> Spec:
    """Return the spec of an image with two bindings: the usual sizes, and these in their place."""
    return replace(IMAGE, bindings=(SIZES, {**SIZES, **sizes}))


def shifted(times: int) -> Coord:
    """Return what so many primitives make of a place."""
    return shift(shifted(times - 1), 1) if times else H


@dataclass(frozen=True)
class Planted:
    """A move; `seen` are what a weight is indexed by, `there` other coordinates of the state.

    `off` are prunes that are switched off.
    """

    move: Move
    seen: tuple[Coord, ...] = ()
    spec: Spec = IMAGE
    there: tuple[Coord, ...] = ()
    off: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        root = SynthesisSpace(self.spec).root()
        coords = root.coords | {*self.move.operands, *self.there}
        return State(coords, frozenset({self.seen} if self.seen else ()), root.counts)


def contract(*operands: Coord, keeps: tuple[Coord, ...]) -> Move:
    return Move("contract", operands, None, keeps)


def unfold_(base: Coord, window: Coord, **more: Any) -> Planted:
    """Return a window over `base` that a weight has seen."""
    return Planted(Move("unfold", (base, window)), (window,), **more)


LINEAR = Planted(contract(OUT, C, keeps=(C,)))
WINDOW = unfold_(H, A)
SPLIT = Planted(Move("split", (D, E)), (D, E))
EVEN, SUMS = {"off": ("even-window",)}, {"off": ("unweighted-sum",)}
POOL = Move("unfold", (H, A))
CLOSE = Move("finish", (C, H, W))

# (prune, a move that it alone rejects, a near miss that none rejects)
ROWS = (
    ("weight-on-position", Planted(contract(OUT, H, C, keeps=(H, C))), LINEAR),
    ("output-scale", Planted(contract(HEAD, TAIL, keeps=(TAIL,))), LINEAR),
    ("wide-window", unfold_(H, B), WINDOW),
    (
        "wide-window",
        unfold_(H, A, spec=bound(H=22, k=10), **EVEN),
        unfold_(H, A, spec=bound(H=23, k=10), **EVEN),
    ),
    (
        "wide-window",
        unfold_(H, A, spec=bound(H=90, k=31)),
        unfold_(H, A, spec=bound(H=90, k=30), **EVEN),
    ),
    ("even-window", unfold_(H, E), WINDOW),
    ("window-over-channels", unfold_(OUT, A), WINDOW),
    ("window-of-output", Planted(Move("unfold", (H, remainder(OUT, K)))), WINDOW),
    ("shifted-channels", Planted(Move("shift", (OUT,), 1)), Planted(Move("shift", (H,), 1))),
    ("position-in-split", Planted(Move("split", (ROW, E)), (E,), FOLDED), SPLIT),
    ("split-beyond-input", Planted(Move("split", (OUT, A)), (A,)), SPLIT),
    ("unweighted-sum", Planted(POOL), WINDOW),
    ("cut-position", Planted(Move("merge", (H,), S)), Planted(Move("merge", (OUT,), S))),
    (
        "swapped-places",
        Planted(Move("finish", (C, COLUMN, LINE)), (C,), SQUARE),
        Planted(Move("finish", (C, LINE, COLUMN)), (C,), SQUARE),
    ),
    (
        "strong-pooling",
        Planted(POOL, there=(unfold(W, A2),), **SUMS),
        Planted(POOL, there=(A2,), **SUMS),
    ),
    ("strong-pooling", Planted(CLOSE, spec=bound(C_in=9), **SUMS), Planted(CLOSE, **SUMS)),
    (
        "strong-pooling",
        Planted(CLOSE, spec=bound(C_in=9), **SUMS),
        Planted(CLOSE, (C,), bound(C_in=9)),
    ),
    (
        "long-chain",
        Planted(Move("shift", (shifted(6),), 1)),
        Planted(Move("shift", (shifted(5),), 1)),
    ),
    ("long-chain", unfold_(shifted(6), A), Planted(Move("finish", (C, shifted(6), W)), (C,))),
    (
        "contraction-without-outer",
        Planted(contract(C, A, keeps=(C, A))),
        Planted(contract(OUT, C, A, keeps=(C, A))),
    ),
    ("contraction-without-inner", Planted(contract(OUT, C, keeps=()), (C, H)), LINEAR),
    (
        "large-outer-product",
        replace(LINEAR, spec=bound(C_out=2049)),
        replace(LINEAR, spec=bound(C_out=2048)),
    ),
    (
        "large-outer-product",
        Planted(contract(HEAD, TAIL, C, keeps=(C,)), spec=bound(C_out=2050)),
        Planted(contract(HEAD, TAIL, C, keeps=(C,)), spec=bound(C_out=2048)),
    ),
)
NAMES = [f"{name}-{number}" for number, (name, *_) in enumerate(ROWS)]


def test_every_prune_has_a_planted_move() -> None:
    assert list(dict.fromkeys(name for name, *_ in ROWS)) == [prune.name for prune in PRUNES]


@pytest.mark.parametrize(("name", "row", "_near"), ROWS, ids=NAMES)
def test_it_fires_and_counts(name: str, row: Planted, _near: Planted) -> None:
    taste = Taste.without(row.off)
    for times in (1, 2):
        found = taste.rejects(row.spec, row.state, row.move)
        assert found is not None and found.name == name
        assert taste.fired == {name: times}
    assert not taste.would_allow(row.spec, row.state, row.move)
    assert taste.fired == {name: 2}


@pytest.mark.parametrize(("name", "row", "_near"), ROWS, ids=NAMES)
def test_switched_off_it_lets_the_move_pass(name: str, row: Planted, _near: Planted) -> None:
    taste = Taste.without([name, *row.off])
    assert taste.rejects(row.spec, row.state, row.move) is None
    assert taste.fired == {}
    assert not taste.has(name) and Taste().has(name)
    assert Taste.without(row.off).but(name).prunes == taste.prunes


@pytest.mark.parametrize(("_name", "_row", "near"), ROWS, ids=NAMES)
def test_a_near_miss_passes(_name: str, _row: Planted, near: Planted) -> None:
    taste = Taste.without(near.off)
    assert taste.rejects(near.spec, near.state, near.move) is None
    assert taste.fired == {}


FINE = [
    Planted(contract(OUT, C, keeps=(C,))),
    WINDOW,
    Planted(Move("shift", (H,), 1)),
    Planted(Move("merge", (OUT,), S)),
    Planted(Move("reduce", (), K, (A,))),
    Planted(Move("finish", (C, H, W)), (C,)),
]


@pytest.mark.parametrize("row", FINE, ids=lambda row: row.move.primitive)
def test_ordinary_moves_are_to_our_taste(row: Planted) -> None:
    assert Taste().rejects(row.spec, row.state, row.move) is None


@pytest.mark.parametrize("window", range(1, WIDEST_WINDOW + 1))
def test_the_least_dimension_of_a_window_is_exact(window: int) -> None:
    """2.3 is no binary fraction: 23 places hold a window of 10 all the same."""
    least = -(-23 * window // 10)
    assert [_fits(place, window) for place in (least - 1, least)] == [False, True]


def _fits(place: int, window: int) -> bool:
    row = unfold_(H, A, spec=replace(IMAGE, bindings=({**SIZES, "H": place, "k": window},)))
    return Taste.without(["even-window"]).would_allow(row.spec, row.state, row.move)


def test_the_limits_are_those_of_the_published_search() -> None:
    """experiments of tsinghua-ideal/Syno for ResNet-18, the paper's code."""
    found = (WIDEST_WINDOW, DIMENSION_PER_WINDOW, STRONGEST_POOLING, LONGEST_CHAIN, LARGEST_OUTER)
    assert found == (30, 2.3, 8, 6, 2048)


def test_the_space_counts_what_its_taste_rejects() -> None:
    space = SynthesisSpace(named_spec("image"), guided=False)
    space.moves(space.root())
    # H and W: neither weighed, nor cut, nor joined in either order
    assert space.taste.fired["weight-on-position"] == 2
    assert space.taste.fired["cut-position"] == len(_merges(space))
    assert space.taste.fired["position-in-split"] == 2


def test_a_sum_that_no_weight_sees_does_not_finish() -> None:
    """The last step of `y[t,o] = sum[c] x[t,c] * w1[o]` moves nothing, so finishing is tasted."""
    sizes = ({"T": 6, "C_in": 8, "C_out": 16},)
    limits = Limits(steps=2, weights=1, reductions=1)
    spec = Spec("linear", ("T", "C_in"), ("T", "C_out"), {}, sizes, limits=limits)
    off = ["output-scale", "contraction-without-inner", "unweighted-sum"]
    texts = [_found(SynthesisSpace(spec, Taste.without(off[:count]))) for count in (2, 3)]
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
