"""Random rollouts: a primitive first, then its argument, until a candidate or a dead end."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from syno.search.protocol import Space, State

FINISH = "finish"


def choose(moves: Sequence[Any], rng: Random) -> Any:
    """Return one of `moves`: a primitive drawn uniformly, then one of its moves."""
    kinds: dict[str, list[Any]] = {}
    for move in moves:
        kinds.setdefault(move.primitive, []).append(move)
    return rng.choice(kinds[rng.choice(sorted(kinds))])


def roll_out(space: Space, state: State, rng: Random) -> list[State]:
    """Return the states from `state` (exclusive) to a finished or a dead one."""
    passed: list[State] = []
    while True:
        moves = space.moves(state)
        if not moves:
            return passed
        state = space.apply(state, choose(moves, rng))
        passed.append(state)
