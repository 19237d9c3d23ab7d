"""Aging evolution: the traces of good candidates are cut and continued at random.

Real, Aggarwal, Huang, Le 2019, "Regularized evolution for image classifier architecture search",
AAAI, algorithm 1.

The parent is the best of a few members drawn from the population; a child takes over the beginning
of its parent's moves, cut at random, and goes on at random; the oldest member makes room for it,
whatever it was worth. Candidates come back in any order, so a member's age counts from then on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from random import Random
from typing import Any, NamedTuple

from syno.search.outcome import Outcome
from syno.search.protocol import Setting
from syno.search.rollout import drawn_below
from syno.search.sweep import Sweep


class Member(NamedTuple):
    """A candidate that was told: the moves that make it, and what it earned."""

    moves: Sequence[Any]
    reward: float


class Evolution:
    """See the module. The first `population` candidates are drawn from the root.

    Where `tries` mutations in a row bring nothing new, a candidate is drawn from the root; where
    that brings nothing new either, the space is gone through in order.
    """

    population = 64
    tournament = 16
    tries = 50

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rng = Random(setting.seed)
        self.members: deque[Member] = deque(maxlen=self.population)
        self.seen: set[Hashable] = set()
        self.flying: set[Hashable] = set()
        self.sweep = Sweep(setting.space, self.rng)

    @property
    def in_flight(self) -> int:
        """Return the number of candidates that were asked and not yet told."""
        return len(self.flying)

    def ask(self) -> Any | None:
        """Return a new candidate, or None where the space has no other or patience runs out."""
        found = self._drawn()
        if found is None:
            found = self.sweep.next(self.seen, self.setting.patience)
        if found is not None:
            self.seen.add(found)
            self.flying.add(found)
        return found

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        """Let the candidate into the population, asked here or in an earlier run."""
        self.seen.add(candidate)
        self.flying.discard(candidate)
        moves = self.setting.space.trace(candidate)
        if moves:
            self.members.append(Member(moves, self.setting.reward(outcome)))

    def _drawn(self) -> Hashable | None:
        """Return a new candidate by chance: a mutation if there are members enough for that."""
        born = len(self.members) + len(self.flying)
        if self.members and born >= self.population:
            found = self._new(self.tries, mutate=True)
            if found is not None:
                return found
        return self._new(self.tries, mutate=False)

    def _new(self, tries: int, *, mutate: bool) -> Hashable | None:
        space = self.setting.space
        for _ in range(tries):
            state = self._cut(self._parent()) if mutate else space.root()
            found = drawn_below(space, state, self.rng)
            if found is not None and found not in self.seen:
                return found
        return None

    def _parent(self) -> Member:
        """Return the best of a tournament; the youngest of equals."""
        drawn = self.rng.sample(range(len(self.members)), min(self.tournament, len(self.members)))
        return self.members[max(drawn, key=lambda place: (self.members[place].reward, place))]

    def _cut(self, parent: Member) -> Any:
        """Return a state on the way to `parent`: a mutation goes on from there."""
        space, state = self.setting.space, self.setting.space.root()
        for move in parent.moves[: self.rng.randrange(len(parent.moves))]:
            state = space.apply(state, move)
        return state
