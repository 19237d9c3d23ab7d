"""Random rollouts: a primitive first, then its argument, until a candidate or a dead end."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from random import Random
from typing import Any

from syno.search.protocol import Guided, Space, State

FINISH = "finish"


# A shift can be applied at almost every step; drawn as often as the others, it would be in nearly
# every candidate. To finish is one move among many, and short operators are worth seeing.
WEIGHTS: Mapping[str, float] = {"shift": 0.1, FINISH: 2.0}


def choose(moves: Sequence[Any], rng: Random) -> Any:
    """Return one of `moves`: a primitive drawn by `WEIGHTS` (1 if not there), then a move of it."""
    kinds: dict[str, list[Any]] = {}
    for move in moves:
        kinds.setdefault(move.primitive, []).append(move)
    names = sorted(kinds)
    name = rng.choices(names, [WEIGHTS.get(each, 1.0) for each in names])[0]
    return rng.choice(kinds[name])


def roll_out(space: Space, state: State, rng: Random) -> list[State]:
    """Return the states from `state` (exclusive) to a finished or a dead one.

    A space that is `Guided` draws them itself, where it can; it may leave out all but the last.
    """
    drawn = space.roll_out(state, rng) if isinstance(space, Guided) else None
    return walk(space, state, rng) if drawn is None else drawn


def walk(space: Space, state: State, rng: Random) -> list[State]:
    """Return the states of a random walk from `state` (exclusive) to a finished or a dead one."""
    passed: list[State] = []
    while True:
        moves = space.moves(state)
        if not moves:
            return passed
        state = space.apply(state, choose(moves, rng))
        passed.append(state)


def drawn_below(space: Space, state: State, rng: Random) -> Hashable | None:
    """Return the candidate at the end of a rollout from `state`, or None for a dead end."""
    passed = roll_out(space, state, rng)
    return space.result(passed[-1] if passed else state)
