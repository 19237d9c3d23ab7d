"""Exhaustive enumeration of a small spec, state by state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from syno.ir.operator import Operator
from syno.space.space import SynthesisSpace
from syno.space.state import State


def expanded(space: SynthesisSpace) -> Iterator[tuple[State, int, list[State]]]:
    """Yield every state of `space` once, shallow ones first, before it is finished.

    With it come the number of sequences of steps that lead to it, and the states behind its moves.
    """
    layer = Counter({space.root(): 1})
    while layer:
        following: Counter[State] = Counter()
        for state, ways in layer.items():
            children = [space.apply(state, move) for move in space.moves(state)]
            for child in children:
                if child.operator is None:
                    following[child] += ways
            yield state, ways, children
        layer = following


def enumerate_operators(space: SynthesisSpace) -> Iterator[Operator]:
    """Yield every operator of `space` once, shallow ones first; each state is expanded once.

    Two spellings that no rule makes one are two operators, unless the space is `distinct`.
    """
    seen: set[Operator] = set()
    for _, _, children in expanded(space):
        for child in children:
            if child.operator is not None and child.operator not in seen:
                seen.add(child.operator)
                yield child.operator
