"""Everything that a rollout may draw: every abstract way, and every choice among equal forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import groupby, permutations
from math import factorial, prod
from typing import Any, TypeVar, cast

from syno.ir.operator import Operator
from syno.space.abstract import DONE, Abstract, Change
from syno.space.changes import Changes, Step
from syno.space.rollouts import Rollouts, _Maker
from syno.space.space import SynthesisSpace
from syno.space.state import State

T = TypeVar("T")


class Script:
    """Stands for a random generator: takes given decisions, and remembers what else there was."""

    def __init__(self, decisions: Sequence[int]) -> None:
        self.decisions = list(decisions)
        self.options: list[int] = []

    def _pick(self, options: int) -> int:
        self.options.append(options)
        if len(self.options) > len(self.decisions):
            self.decisions.append(0)
        return self.decisions[len(self.options) - 1]

    def choice(self, items: Sequence[T]) -> T:
        """Return one of `items`."""
        return items[self._pick(len(items))]

    def shuffle(self, pairs: list[Any]) -> None:
        """Order pairs of (form, coordinate): of all orders, those that differ in equal forms."""
        pairs.sort(key=lambda pair: pair[0])
        groups = [list(group) for _, group in groupby(pairs, key=lambda pair: pair[0])]
        pick = self._pick(prod(factorial(len(group)) for group in groups))
        pairs.clear()
        for group in groups:
            pick, which = divmod(pick, factorial(len(group)))
            pairs += list(permutations(group))[which]


def outcomes(run: Callable[[Any], T]) -> Iterator[T]:
    """Yield what `run` returns for every sequence of decisions that it asks a `Script` for."""
    for outcome, _ in likely(run):
        yield outcome


def likely(run: Callable[[Any], T]) -> Iterator[tuple[T, float]]:
    """Yield the outcomes of `run` with the probability of the decisions that lead there."""
    script = Script(())
    while True:
        outcome = run(script)
        yield outcome, 1 / prod(script.options)
        decided = list(zip(script.decisions, script.options, strict=True))
        while decided and decided[-1][0] + 1 == decided[-1][1]:
            decided.pop()
        if not decided:
            return
        script = Script([each for each, _ in decided[:-1]] + [decided[-1][0] + 1])


@dataclass(frozen=True)
class Way:
    """A place on a way that a rollout can take: the abstract state, what was made, and whence."""

    now: Abstract
    maker: _Maker
    change: Change | None = None
    before: Way | None = None

    def back(self) -> Iterator[Way]:
        """Yield this place and all before it."""
        place: Way | None = self
        while place is not None:
            yield place
            place = place.before


class Drawable:
    """All that rollouts from the states of a space may end in."""

    def __init__(self, space: SynthesisSpace) -> None:
        self.space = space
        self.rollouts = cast(Rollouts, space.rollouts)
        self.changes: Changes = self.rollouts.completions.changes
        self._steps: dict[tuple[bool, Abstract], list[Step]] = {}

    def __call__(self, state: State) -> set[Operator]:
        """Return the operators that are drawn below `state`."""
        ends = (way.maker.state.operator for way in self.ends(state))
        return {op for op in ends if op is not None}

    def ends(self, state: State) -> Iterator[Way]:
        """Yield all complete ways; those that pass the same places in between, once."""
        within = self.rollouts.from_within if state.steps else self.rollouts.completions
        self.changes = within.changes
        now, named, places = self.rollouts.abstraction(state)
        seen: set[tuple[object, ...]] = set()
        stack = [
            Way(now, maker)
            for maker in outcomes(lambda rng: _Maker(self.space, state, named, list(places), rng))
        ]
        while stack:
            way = stack.pop()
            if way.now.phase == DONE:
                yield way
                continue
            for change, behind in self.steps(way.now):
                for made in outcomes(lambda rng, way=way, c=change: followed(way.maker, c, rng)):
                    key = (behind, _place(made)) if made is not None else ()
                    if made is not None and key not in seen:
                        seen.add(key)
                        stack.append(Way(behind, made, change, way))

    def steps(self, now: Abstract) -> list[Step]:
        """Return the abstract moves of `now`."""
        key = self.changes.order is None, now
        if key not in self._steps:
            self._steps[key] = list(self.changes(now))
        return self._steps[key]

    def paths(self, now: Abstract) -> dict[Abstract, int]:
        """Return the number of ways from every abstract state at or below `now` to a complete one.

        States stand behind those that lie below them.
        """
        counts: dict[Abstract, int] = {}

        def count(at: Abstract) -> int:
            if at not in counts:
                below = [count(behind) for _, behind in self.steps(at)]
                counts[at] = 1 if at.phase == DONE else sum(below)
            return counts[at]

        count(now)
        return counts


def followed(maker: _Maker, change: Change, rng: Any) -> _Maker | None:
    """Return a maker that followed `change`; None where the space refuses it."""
    made = copy(maker)
    made.named, made.places, made.rng = list(maker.named), list(maker.places), rng
    return made if made.follow(change) else None


def _place(maker: _Maker) -> tuple[object, ...]:
    chosen = tuple(maker.chosen)
    return maker.state, tuple(maker.named), tuple(maker.places), maker.at, chosen, maker.phase
