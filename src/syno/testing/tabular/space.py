"""A space of nothing but given candidates, for searches among what was measured."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from random import Random
from typing import Any

from syno.ir.errors import DataError
from syno.search.protocol import Space


class TableSpace:
    """The part of a space that lies on the traces of some of its candidates.

    States are numbers, 0 is the root; they are the states that the traces pass. Moves are those of
    the space, between any two of these states: a candidate that shares states with another one may
    be reached on more ways than its trace. Nothing is a dead end.

    A rollout is uniform over the candidates below a state. That is what `SynthesisSpace` does as
    nearly as it can over all operators; so random search goes through the table in random order,
    and no strategy gains by which branches the table happens to fill. Uniform over moves, the few
    candidates of a thin branch would come up early in every search.

    `operators` are the candidates reached, `unreached` those to which the space knows no moves.
    Raises DataError where two of them are one candidate.
    """

    def __init__(self, space: Space, candidates: Iterable[Any]) -> None:
        self._numbers: dict[Any, int] = {space.root(): 0}
        self._traces: dict[Hashable, tuple[Any, ...]] = {}
        self._results: dict[int, Hashable] = {}
        unreached = [each for each in candidates if not self._enter(space, each)]
        self._after = [self._inside(space, state) for state in self._numbers]
        self._leaves: dict[int, tuple[int, ...]] = {}
        self.operators = tuple(self._results.values())
        self.unreached = tuple(unreached)

    def _enter(self, space: Space, candidate: Hashable) -> bool:
        """Number the states on the way to a candidate; tell whether there is a way."""
        moves, state = tuple(space.trace(candidate)), space.root()
        if not moves:
            return False
        for move in moves:
            state = space.apply(state, move)
            self._numbers.setdefault(state, len(self._numbers))
        end = self._numbers[state]
        if end in self._results:
            raise DataError(f"{candidate} and {self._results[end]} are one candidate.")
        self._results[end], self._traces[candidate] = candidate, moves
        return True

    def _inside(self, space: Space, state: Any) -> dict[Any, int]:
        """Return the moves from a state that lead to numbered ones, with these."""
        found = ((move, space.apply(state, move)) for move in space.moves(state))
        return {move: self._numbers[after] for move, after in found if after in self._numbers}

    def root(self) -> int:
        """Return the first state."""
        return 0

    def moves(self, state: int) -> Sequence[Any]:
        """Return the moves that lead on to candidates; none for a finished state."""
        return list(self._after[state])

    def apply(self, state: int, move: Any) -> int:
        """Return the state after `move`."""
        return self._after[state][move]

    def result(self, state: int) -> Hashable | None:
        """Return the candidate of a finished state, None for any other."""
        return self._results.get(state)

    def trace(self, candidate: Hashable) -> Sequence[Any]:
        """Return moves from the root to a candidate; none where it is not one of these."""
        return self._traces.get(candidate, ())

    def roll_out(self, state: int, rng: Random) -> list[int]:
        """Return the finished state of one of the candidates below, each as often."""
        if not self._after[state]:
            return []
        return [rng.choice(self._below(state))]

    def _below(self, state: int) -> tuple[int, ...]:
        """Return the finished states that moves lead to, in the order of the candidates."""
        if state not in self._leaves:
            after = self._after[state].values()
            found = {end for each in after for end in self._below(each)}
            ends = (end for end in self._results if end in found)
            self._leaves[state] = tuple(ends) if after else (state,)
        return self._leaves[state]
