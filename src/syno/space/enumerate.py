"""Exhaustive enumeration of a small spec, state by state."""

from __future__ import annotations

from collections.abc import Iterator

from syno.ir.operator import Operator
from syno.space.space import SynthesisSpace
from syno.space.state import State


def enumerate_operators(space: SynthesisSpace) -> Iterator[Operator]:
    """Yield every operator of `space` once, shallow ones first; each state is expanded once.

    Two spellings that no rule makes one are two operators, unless the space is `distinct`.
    """
    frontier: dict[State, None] = {space.root(): None}
    seen: set[Operator] = set()
    while frontier:
        following: dict[State, None] = {}
        for state in frontier:
            for move in space.moves(state):
                child = space.apply(state, move)
                if child.operator is None:
                    following[child] = None
                elif child.operator not in seen:
                    seen.add(child.operator)
                    yield child.operator
        frontier = following
