"""A systematic walk, for when chance brings nothing new: every candidate comes up in the end."""

from __future__ import annotations

from collections.abc import Container, Hashable
from random import Random
from typing import Any

from syno.search.protocol import Space, State


class Sweep:
    """A walk through all states, depth first and each once, that goes on where it stopped.

    It remembers the states it met, and nothing before it is needed the first time.
    """

    def __init__(self, space: Space, rng: Random) -> None:
        self.space = space
        self.rng = rng
        self.met: set[State] = set()
        self.ways: list[tuple[State, list[Any]]] | None = None

    def next(self, seen: Container[Hashable], steps: int) -> Hashable | None:
        """Return a candidate that is not in `seen`; None after `steps` steps or at the end."""
        if self.ways is None:
            self.ways = []
            self._enter(self.space.root())
        for _ in range(steps):
            if not self.ways:
                return None
            state, moves = self.ways[-1]
            if not moves:
                self.ways.pop()
                continue
            found = self._enter(self.space.apply(state, moves.pop()))
            if found is not None and found not in seen:
                return found
        return None

    def _enter(self, state: State) -> Hashable | None:
        """Go on from `state`, unless it was met; return the candidate of a finished one."""
        assert self.ways is not None
        found = self.space.result(state)
        if found is None and state not in self.met:
            self.met.add(state)
            moves = list(self.space.moves(state))
            self.rng.shuffle(moves)
            self.ways.append((state, moves))
        return found
