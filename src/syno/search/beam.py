"""Beam search over states, ranked by the best candidate found below each.

Lowerre 1976, "The HARPY speech recognition system", for the beam; Zhang 1998, "Complete anytime
beam search", AAAI, for starting again with a wider one.

A level holds states of one depth. Below each of them candidates are rolled out; once they are
told, the children of the best states are the next level. At the end of all ways the beam starts
again from the root, twice as wide and with one rollout more for each state. It keeps what it has
learned: a state below which enough is known, from an earlier pass or an earlier run, is ranked at
once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from random import Random
from typing import Any

from syno.search.outcome import Outcome
from syno.search.protocol import Setting, State
from syno.search.rollout import choose, drawn_below
from syno.search.sweep import Sweep


@dataclass(slots=True)
class Ray:
    """A state of the level: the states before it, and how many rollouts it was given."""

    state: State
    before: tuple[State, ...]
    rollouts: int = 0

    @property
    def path(self) -> tuple[State, ...]:
        """Return the states from the root to this one."""
        return (*self.before, self.state)


@dataclass(slots=True)
class Record:
    """What is known of a state: how many candidates below it were told, and the best of them."""

    told: int = 0
    best: float = 0.0

    def add(self, reward: float) -> None:
        """Count one candidate."""
        self.told += 1
        self.best = max(self.best, reward)


_NOTHING = Record()


class BeamSearch:
    """See the module. `width` states of a level live on, with `branches` children each.

    Each state of a level is given `rollouts` rollouts, and up to `extra` times as many while the
    level waits for what is in flight.
    """

    width = 4
    branches = 8
    rollouts = 2
    extra = 4

    level: list[Ray]
    due: deque[Ray]
    waits: bool | None

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rng = Random(setting.seed)
        self.seen: set[Hashable] = set()
        self.flights: dict[Hashable, tuple[State, ...]] = {}
        self.records: dict[State, Record] = {}
        self.sweep = Sweep(setting.space, self.rng)
        self._enter([Ray(setting.space.root(), ())])
        self.news = self.left_out = self.over = False

    @property
    def in_flight(self) -> int:
        """Return the number of candidates that were asked and not yet told."""
        return len(self.flights)

    def ask(self) -> Any | None:
        """Return a new candidate, or None where the space has no other or patience runs out."""
        found, path = self._drawn()
        if found is None:
            found = self.sweep.next(self.seen, self.setting.patience)
        if found is not None:
            self.seen.add(found)
            self.flights[found] = path
        return found

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        """Rank the states above the candidate by it, asked here or in an earlier run."""
        path = self.flights.pop(candidate, None)
        if path is None:
            path = self._retraced(candidate)
        self.seen.add(candidate)
        self.waits = None
        reward = self.setting.reward(outcome)
        for state in path:
            self.records.setdefault(state, Record()).add(reward)

    def _retraced(self, candidate: Any) -> tuple[State, ...]:
        space, state = self.setting.space, self.setting.space.root()
        path = [state]
        for move in space.trace(candidate)[:-1]:
            state = space.apply(state, move)
            path.append(state)
        return tuple(path)

    def _drawn(self) -> tuple[Hashable | None, tuple[State, ...]]:
        """Return a new candidate below the level and the states above it, moving the level on."""
        for _ in range(self.setting.patience):
            if self.over:
                break
            ray = self._next_ray()
            if ray is None:
                self._advance()
                continue
            ray.rollouts += 1
            found = drawn_below(self.setting.space, ray.state, self.rng)
            if found is not None and found not in self.seen:
                self.news = True
                return found, ray.path
        return None, ()

    def _enter(self, level: list[Ray]) -> None:
        """Begin with a level; its rays take turns until enough is known of each."""
        self.level, self.due, self.waits = level, deque(level), None

    def _next_ray(self) -> Ray | None:
        """Return the ray whose turn it is; None where the level is done.

        While most states wait for what is in flight, they are given some rollouts more.
        """
        enough = self.rollouts * (self.extra if self._is_waiting() else 1)
        while self.due:
            ray = self.due.popleft()
            if max(ray.rollouts, self._told(ray)) < enough:
                self.due.append(ray)
                return ray
        return None

    def _is_waiting(self) -> bool:
        """Tell whether too little is known of most states, with as much in flight as they need."""
        if self.waits is None:
            unknown = sum(self._told(ray) < self.rollouts for ray in self.level)
            self.waits = 2 * unknown > len(self.level)
        return self.waits and len(self.flights) >= self.rollouts * len(self.level)

    def _told(self, ray: Ray) -> int:
        return self.records.get(ray.state, _NOTHING).told

    def _advance(self) -> None:
        """Go one level down, or start again where there is none.

        Only states that are not finished are in a level: finished ones were candidates before.
        """
        ranked = sorted(self.level, key=self._rank, reverse=True)
        following: dict[State, Ray] = {}
        for ray in ranked[: self.width]:
            for state in self._children(ray.state):
                following.setdefault(state, Ray(state, ray.path))
        self.left_out |= len(ranked) > self.width
        self._enter(list(following.values()))
        if not self.level:
            self._start_again()

    def _start_again(self) -> None:
        """Begin the next pass, unless the last one left nothing out and found nothing."""
        self.over = not (self.news or self.left_out)
        self.news = self.left_out = False
        self.width, self.branches = 2 * self.width, 2 * self.branches
        self.rollouts += 1
        self._enter([Ray(self.setting.space.root(), ())])

    def _rank(self, ray: Ray) -> float:
        return self.records.get(ray.state, _NOTHING).best

    def _children(self, state: State) -> list[State]:
        """Return up to `branches` unfinished states behind `state`, primitives taking turns."""
        space, rest = self.setting.space, list(self.setting.space.moves(state))
        found: list[State] = []
        while rest and len(found) < self.branches:
            move = choose(rest, self.rng)
            rest.remove(move)
            child = space.apply(state, move)
            if space.result(child) is None:
                found.append(child)
        self.left_out |= bool(rest)
        return found
