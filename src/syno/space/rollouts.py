"""Random completions of states: drawn on abstract states, then made of coordinates.

What is drawn is an abstract state's way to the input shape, in proportion to the completions behind
each move; which of several coordinates with the same abstract form takes part is drawn uniformly.
What the abstract states do not show (detours, long chains, the verifier) is checked on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from syno.ir.coord import Coord
from syno.ir.operator import Index, follows, normal_index
from syno.ir.size import Size
from syno.space.abstract import (
    HIGH,
    LOW,
    MIXED,
    OUTPUT,
    PLACES,
    SUM,
    SUMS,
    WHOLE,
    Abstract,
    Change,
    Coordinate,
    Left,
    Piece,
    contracted,
    cut,
    joined,
    of,
    single,
)
from syno.space.changes import Changes, Step
from syno.space.completions import Completions
from syno.space.moves import after, is_wasted, lacks_window, leaves_of, made, next_reduction
from syno.space.state import Move, State

if TYPE_CHECKING:
    from syno.space.space import SynthesisSpace


class Rollouts:
    """Completions of the states of one space of which the places stay apart."""

    def __init__(self, space: SynthesisSpace, *, by_length: bool = False) -> None:
        self.space = space
        self.spec = space.spec
        self.by_length = by_length
        parts = space.spec, space.taste, space.distance
        self.completions = Completions(Changes(*parts))
        self.from_within = Completions(Changes(*parts, ordered=False))

    def __call__(self, state: State, rng: Random) -> list[State]:
        """Return the states behind `state`; the last is finished unless this failed.

        They are not in canonical form, all but the operator at the end.
        """
        now, named, places = self.abstraction(state)
        counts = self.from_within if state.steps else self.completions
        drawn = self._drawn(counts, now, rng)
        maker = _Maker(self.space, state, named, list(places), rng)
        return maker.states(change for change, _ in drawn)

    def _drawn(self, counts: Completions, now: Abstract, rng: Random) -> list[Step]:
        """Return a way to a complete state; none where there is none."""
        most = now.left.steps
        shortest = 0
        while self.by_length and shortest < most:
            steps = rng.randint(shortest, most)
            found = counts.draw(now._replace(left=now.left._replace(steps=steps)), rng)
            if found:
                return found
            shortest = steps + 1
        return counts.draw(now, rng)

    # -------------------------------------------------------------------------------- abstraction

    def abstraction(self, state: State) -> tuple[Abstract, list[tuple[Coordinate, Coord]], Index]:
        """Return the abstract form of a state, its channels with theirs, and its places."""
        weights = sorted(state.weights, key=lambda index: [coord.key for coord in index])
        places = sorted(filter(self.space.is_place, state.coords), key=_place_key)
        channels = [coord for coord in state.coords if coord not in places]
        whole = set(normal_index(sorted(state.coords, key=lambda coord: coord.key)))
        ties = sum(
            1 << number
            for number, index in enumerate(weights)
            if all(follows(coord, whole) for coord in index)
        )
        named = [(_coordinate(coord, weights, ties), coord) for coord in channels]
        limits, count = self.spec.limits, state.count
        left = Left(
            limits.steps - state.steps,
            limits.reductions - count("reduce"),
            limits.weights - count("contract"),
            limits.splits - count("split"),
            limits.merges - count("merge"),
            limits.unfolds - count("unfold"),
            limits.shifts - count("shift"),
        )
        dropped, windows = self._gone(state, weights, channels, places)
        now = Abstract(
            SUMS,
            0,
            tuple(sorted(each for each, _ in named)),
            tuple(dropped),
            tuple(windows),
            left,
            tuple(n for n, place in enumerate(places) if lacks_window(self.spec, place)),
            self._terms(state),
        )
        return now, named, tuple(places)

    def _terms(self, state: State) -> int:
        if self.spec.limits.domain is None:
            return 0
        return sum(leaf.size.packed for leaf in leaves_of(state) if leaf.op == "reduce")

    def _gone(
        self, state: State, weights: list[Index], channels: list[Coord], places: list[Coord]
    ) -> tuple[list[Piece], list[Piece]]:
        """Return the iterators that are in no channel any more: those dropped, and windows."""
        here = {leaf for coord in channels for leaf in coord.leaves()}
        read = {leaf for coord in places for leaf in coord.leaves()}
        cuts = any(
            node.op in ("quotient", "remainder")
            for coord in (*state.coords, *(c for index in weights for c in index))
            for node in coord.walk()
        )
        dropped: list[Piece] = []
        windows: list[Piece] = []
        for leaf in leaves_of(state) - here:
            if leaf.op == "output" and leaf in read:
                continue
            what = MIXED if cuts else OUTPUT if leaf.op == "output" else SUM
            piece = Piece(leaf.size.packed, what, _seen_by(leaf, weights))
            (windows if leaf in read else dropped).append(piece)
        return sorted(dropped), sorted(windows)


class _Maker:
    """A state on its way, with its channels in the order of their abstract forms."""

    def __init__(
        self,
        space: SynthesisSpace,
        state: State,
        named: list[tuple[Coordinate, Coord]],
        places: list[Coord],
        rng: Random,
    ) -> None:
        self.space = space
        self.state = state
        self.places = places
        self.rng = rng
        self.at = 0
        self.phase = SUMS
        self.named = self._sorted(named)
        self.chosen: list[Coord] = []

    def _sorted(self, named: list[tuple[Coordinate, Coord]]) -> list[tuple[Coordinate, Coord]]:
        """Return channels by their abstract form; equal ones in a random order."""
        keyed = sorted(named, key=lambda pair: pair[1].key)
        self.rng.shuffle(keyed)
        return sorted(keyed, key=lambda pair: pair[0])

    def states(self, changes: Iterable[Change]) -> list[State]:
        """Return the states that abstract changes lead through; none where one is refused."""
        passed: list[State] = []
        for change in changes:
            if not self.follow(change):
                return []
            if change.primitive not in ("pass", "channels"):
                passed.append(self.state)
        return passed

    def _pass(self, _change: Change) -> bool:
        """Go on to the next phase or place."""
        if self.phase == PLACES:
            self.at += 1
        return True

    def follow(self, change: Change) -> bool:
        """Apply one change; False where the space refuses it."""
        action = getattr(self, f"_{change.primitive}")
        return bool(action(change))

    def _take(self, move: Move) -> bool:
        space, forms = self.space, self.space.canonical
        if forms is not None and is_wasted(space.spec, forms, self.state, move):
            return False
        if space.taste.rejects(space.spec, self.state, move) is not None:
            return False
        self.state = after(self.state, move)
        return True

    def _reduce(self, change: Change) -> bool:
        size = Size(change.argument)
        move = next_reduction(self.space.spec, self.state, size)
        if move is None or not self._take(move):
            return False
        named = (single(size.packed, SUM), move.inner[0])
        self.named = self._sorted([*self.named, named])
        return True

    def _contract(self, change: Change) -> bool:
        coords = tuple(coord for coord, _ in self.named)
        outer = tuple(place for place in change.operands if place not in change.inner)
        names = [self.named[place][1] for place in change.operands]
        inner = [self.named[place][1] for place in change.inner]
        operands = tuple(sorted(names, key=lambda coord: coord.key))
        kept = tuple(coord for coord in operands if coord in inner)
        if not self._take(Move("contract", operands, None, kept)):
            return False
        weight = 1 << (self.state.count("contract") - 1)
        left, _ = contracted(coords, change.inner, outer, weight)
        seen = (*change.inner, *outer)
        rest = [self.named[place][1] for place in range(len(coords)) if place not in seen]
        self.named = self._sorted(list(zip(left, [*rest, *inner], strict=True)))
        return True

    def _split(self, change: Change) -> bool:
        (one, high), (two, low) = (self.named[place] for place in change.operands)
        move = Move("split", (high, low))
        if not self._take(move):
            return False
        rest = _without(self.named, change.operands)
        self.named = self._sorted([*rest, (joined(one, two), made(move)[0])])
        return True

    def _merge(self, change: Change) -> bool:
        coord, name = self.named[change.operands[0]]
        move = Move("merge", (name,), Size(change.argument))
        if not self._take(move):
            return False
        rest = _without(self.named, change.operands)
        parts = zip(cut(coord, change.argument), made(move), strict=True)
        self.named = self._sorted([*rest, *parts])
        return True

    def _channels(self, change: Change) -> bool:
        self.phase = PLACES
        self.chosen = [self.named[place][1] for place in change.operands]
        rest = _without(self.named, change.operands)
        self.named = self._sorted(rest)
        return True

    def _unfold(self, change: Change) -> bool:
        (place,) = change.operands
        if not self._over_place(Move("unfold", (self.places[self.at], self.named[place][1]))):
            return False
        self.named.pop(place)
        return True

    def _shift(self, change: Change) -> bool:
        return self._over_place(Move("shift", (self.places[self.at],), change.argument))

    def _over_place(self, move: Move) -> bool:
        if not self._take(move):
            return False
        self.places[self.at] = made(move)[0]
        return True

    def _finish(self, _change: Change) -> bool:
        space = self.space
        orders = [
            order
            for order in space.orders((*self.places, *self.chosen))
            if space.taste.would_allow(space.spec, self.state, Move("finish", order))
        ]
        if not orders or not self.state.steps:
            return False
        order = self.rng.choice(orders)
        operator = space.operator_of(self.state, order)
        if not space.is_valid(operator):
            return False
        self.state = replace(self.state, operator=operator)
        return True


def _without(
    named: list[tuple[Coordinate, Coord]], places: tuple[int, ...]
) -> list[tuple[Coordinate, Coord]]:
    """Return the pairs that do not stand at `places`."""
    return [pair for place, pair in enumerate(named) if place not in places]


def _place_key(coord: Coord) -> tuple[int, str]:
    outputs = [int(str(leaf.arg)) for leaf in coord.leaves() if leaf.op == "output"]
    return min(outputs), coord.key


def _seen_by(coord: Coord, weights: list[Index]) -> int:
    return sum(1 << number for number, index in enumerate(weights) if follows(coord, index))


def _coordinate(coord: Coord, weights: list[Index], ties: int) -> Coordinate:
    return of(_pieces(coord, weights, ties))


def _pieces(coord: Coord, weights: list[Index], ties: int) -> Iterator[Piece]:
    if coord.op == "split":
        for each in coord.args:
            yield from _pieces(each, weights, ties)
        return
    kinds = {leaf.op for leaf in coord.leaves()}
    what = MIXED if len(kinds) > 1 else SUM if kinds == {"reduce"} else OUTPUT
    mask = _seen_by(coord, weights)
    tie = sum(
        1 << number
        for number, index in enumerate(weights)
        if ties >> number & 1 and any(set(coord.leaves()) & set(each.leaves()) for each in index)
    )
    part = {"quotient": HIGH, "remainder": LOW}.get(coord.op, WHOLE)
    yield Piece(coord.size.packed, what, mask, tie, part)
