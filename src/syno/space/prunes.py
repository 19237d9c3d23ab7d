"""Prunes: taste, never called canonical. Each has a name, a reason, a switch and a counter.

Those with a number reproduce the published search: Zhuo, Su, Zhao, Gao, "Syno", ASPLOS 2025 (arXiv
2410.23745), options of its search for ResNet-18. How often a primitive is used, and how many steps,
weights and parameters there may be, are no taste but `Limits` of the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise

from syno.ir.coord import Coord
from syno.ir.errors import SpecError
from syno.ir.operator import Index
from syno.ir.size import product
from syno.space.spec import Spec
from syno.space.state import Move, State

WIDEST_WINDOW = 30
DIMENSION_PER_WINDOW = 2.3
STRONGEST_POOLING = 8
LONGEST_CHAIN = 6
LARGEST_OUTER = 2048


@dataclass(frozen=True)
class Prune:
    """One row: `rejects(spec, state, move)` says that the move is not to our taste.

    `by_operand` tells that a contraction is rejected for one of its operands, whatever the others
    are: such operands are left out before sets of them are formed.
    """

    name: str
    reason: str
    rejects: Callable[[Spec, State, Move], bool]
    by_operand: bool = False


def is_place(spec: Spec, coord: Coord) -> bool:
    """Tell whether the coordinate moves over a dimension that keeps its place (H, W, T)."""
    return any(leaf.op == "output" and leaf.size in spec.kept_sizes for leaf in _leaves(coord))


@cache
def _leaves(coord: Coord) -> Index:
    return coord.leaves()


@cache
def _sums(coord: Coord) -> frozenset[Coord]:
    return frozenset(leaf for leaf in _leaves(coord) if leaf.op == "reduce")


@cache
def _chain(coord: Coord) -> int:
    """Return the number of primitives on the longest path from `coord` to an iterator."""
    return 1 + max(map(_chain, coord.args)) if coord.args else 0


@lru_cache(maxsize=4096)  # few sets of weights are in use at a time, many in a whole search
def _weighted(weights: frozenset[Index]) -> frozenset[Coord]:
    """Return the sums that one of `weights` sees."""
    return frozenset(leaf for index in weights for coord in index for leaf in _sums(coord))


def _exceeds(spec: Spec, coords: Iterable[Coord], most: int) -> bool:
    """Tell whether the product of the sizes of `coords` is above `most` under some binding."""
    values = spec.values(product([coord.size for coord in coords]))
    return values is None or max(values) > most


def _weight_on_position(spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "contract" and any(is_place(spec, c) for c in move.operands)


def _output_scale(_spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "contract" and all(
        leaf.op == "output" for coord in move.operands for leaf in _leaves(coord)
    )


def _wide_window(spec: Spec, _state: State, move: Move) -> bool:
    if move.primitive != "unfold":
        return False
    base, window = (spec.values(each.size) for each in move.operands)
    if base is None or window is None or max(window) > WIDEST_WINDOW:
        return True
    return any(b < DIMENSION_PER_WINDOW * w for b, w in zip(base, window, strict=True))


def _even_window(spec: Spec, _state: State, move: Move) -> bool:
    if move.primitive != "unfold":
        return False
    values = spec.values(move.operands[1].size)
    return values is None or any(value % 2 == 0 for value in values)


def _window_over_channels(spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "unfold" and not is_place(spec, move.operands[0])


def _window_moves(spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "unfold" and any(
        leaf.op == "output" for leaf in _leaves(move.operands[1])
    )


def _shifted_channels(spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "shift" and not is_place(spec, move.operands[0])


def _mixed_split(spec: Spec, _state: State, move: Move) -> bool:
    if move.primitive != "split":
        return False
    places = [is_place(spec, coord) for coord in move.operands]
    return any(places)


def _split_beyond_input(spec: Spec, _state: State, move: Move) -> bool:
    if move.primitive != "split":
        return False
    made = move.operands[0].size * move.operands[1].size
    return not any(size is made or spec.is_legal(size / made) for size in spec.input_sizes)


def _unweighted_sum(_spec: Spec, state: State, move: Move) -> bool:
    if move.primitive in ("reduce", "contract"):
        return False
    seen = _weighted(state.weights)
    return any(not _sums(coord) <= seen for coord in move.operands)


def _strong_pooling(spec: Spec, state: State, move: Move) -> bool:
    """A sum counts once it is part of something else, or of a finished operator."""
    if move.primitive in ("reduce", "contract", "expand"):
        return False
    built = () if move.primitive == "finish" else (c for c in state.coords if c.args)
    sums = {leaf for coord in (*move.operands, *built) for leaf in _sums(coord)}
    lost = sums - _weighted(state.weights)
    return bool(lost) and _exceeds(spec, lost, STRONGEST_POOLING)


def _long_chain(_spec: Spec, _state: State, move: Move) -> bool:
    if move.primitive in ("reduce", "contract", "expand", "finish"):
        return False
    return any(_chain(coord) >= LONGEST_CHAIN for coord in move.operands)


def _without_outer(_spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "contract" and len(move.inner) == len(move.operands)


def _without_inner(_spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "contract" and not move.inner


def _large_outer(spec: Spec, _state: State, move: Move) -> bool:
    if move.primitive != "contract":
        return False
    outer = [coord for coord in move.operands if coord not in move.inner]
    return bool(outer) and _exceeds(spec, outer, LARGEST_OUTER)


def _cut_position(spec: Spec, _state: State, move: Move) -> bool:
    return move.primitive == "merge" and is_place(spec, move.operands[0])


def _swapped_places(spec: Spec, _state: State, move: Move) -> bool:
    """Tell whether places of one size end in another order than they began."""
    if move.primitive != "finish":
        return False
    places = [coord for coord in move.operands if is_place(spec, coord)]
    first = [min(_numbers(coord), default=-1) for coord in places]
    return any(
        one.size is two.size and first[n] > first[n + 1]
        for n, (one, two) in enumerate(pairwise(places))
    )


def _numbers(coord: Coord) -> list[int]:
    return [int(str(leaf.arg)) for leaf in _leaves(coord) if leaf.op == "output"]


PRUNES: tuple[Prune, ...] = (
    Prune(
        "weight-on-position",
        "a weight that depends on the place in the image does not share what it learns",
        _weight_on_position,
        by_operand=True,
    ),
    Prune(
        "output-scale",
        "a weight that no sum sees only scales outputs, which the normalization behind it undoes",
        _output_scale,
    ),
    Prune(
        "wide-window",
        f"a window wider than {WIDEST_WINDOW}, or that does not fit {DIMENSION_PER_WINDOW} times "
        "into its dimension, mostly reads zeros",
        _wide_window,
    ),
    Prune("even-window", "an even window is off centre and moves the image", _even_window),
    Prune("window-over-channels", "the order of channels means nothing", _window_over_channels),
    Prune("window-of-output", "a window slides along sums, not along an output", _window_moves),
    Prune("shifted-channels", "the order of channels means nothing", _shifted_channels),
    Prune(
        "position-in-split",
        "a place and another coordinate in one dimension mix rows with channels",
        _mixed_split,
    ),
    Prune(
        "split-beyond-input",
        "what divides no input dimension can only be merged again or dropped in two parts",
        _split_beyond_input,
    ),
    Prune(
        "unweighted-sum",
        "a sum that no weight sees blurs places or averages channels",
        _unweighted_sum,
    ),
    Prune("cut-position", "blocks of places break neighbourhoods apart", _cut_position),
    Prune(
        "swapped-places",
        "height read as width and width as height transposes the image",
        _swapped_places,
    ),
    Prune(
        "strong-pooling",
        f"sums over more than {STRONGEST_POOLING} terms that no weight sees leave too little",
        _strong_pooling,
    ),
    Prune(
        "long-chain",
        f"more than {LONGEST_CHAIN} primitives one upon another scramble a coordinate",
        _long_chain,
    ),
    Prune(
        "contraction-without-outer",
        "a weight that drops no coordinate makes no new one: it only scales the data",
        _without_outer,
    ),
    Prune(
        "contraction-without-inner",
        "a weight that keeps no coordinate sums nothing: it only repeats the data",
        _without_inner,
    ),
    Prune(
        "large-outer-product",
        f"more than {LARGEST_OUTER:,} results of one weight for each value are too many",
        _large_outer,
    ),
)

_APART = {  # what keeps a place its own dimension for good
    "weight-on-position",
    "position-in-split",
    "cut-position",
    "window-over-channels",
    "window-of-output",
}


@dataclass
class Taste:
    """The prunes that are switched on, and how often each has fired."""

    prunes: tuple[Prune, ...] = PRUNES
    fired: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def without(names: Iterable[str]) -> Taste:
        """Return all prunes but those in `names`; SpecError for a name that no prune has."""
        off = set(names)
        for name in sorted(off - {each.name for each in PRUNES}):
            known = ", ".join(each.name for each in PRUNES)
            raise SpecError(f"There is no prune called {name!r}; known are: {known}.")
        return Taste(tuple(each for each in PRUNES if each.name not in off))

    def but(self, name: str) -> Taste:
        """Return this taste without the prune `name`, with counters of its own."""
        return Taste(tuple(each for each in self.prunes if each.name != name))

    @property
    def keeps_places_apart(self) -> bool:
        """Tell whether places are neither cut, nor joined, nor read by weights, nor slid."""
        return all(self.has(name) for name in _APART)

    def has(self, name: str) -> bool:
        """Tell whether the prune `name` is switched on."""
        return any(prune.name == name for prune in self.prunes)

    def allows_operand(self, spec: Spec, state: State, move: Move) -> bool:
        """Tell whether a contraction may have the one operand of `move`; count where not."""
        chosen = tuple(each for each in self.prunes if each.by_operand)
        return self._first(chosen, spec, state, move) is None

    def would_allow(self, spec: Spec, state: State, move: Move) -> bool:
        """Tell whether no prune rejects `move`; nothing is counted."""
        return not any(prune.rejects(spec, state, move) for prune in self.prunes)

    def rejects(self, spec: Spec, state: State, move: Move) -> Prune | None:
        """Return the first prune that rejects `move`, and count it."""
        return self._first(self.prunes, spec, state, move)

    def _first(
        self, prunes: tuple[Prune, ...], spec: Spec, state: State, move: Move
    ) -> Prune | None:
        for prune in prunes:
            if prune.rejects(spec, state, move):
                self.fired[prune.name] = self.fired.get(prune.name, 0) + 1
                return prune
        return None
