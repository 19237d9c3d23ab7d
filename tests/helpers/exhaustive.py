"""Exhaustive search of a small space: the truth that the distance is compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from syno.ir.operator import Operator
from syno.rules import fingerprint
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec
from syno.space.specs import named_spec
from syno.space.state import Move, State

FAR = 10**9


@dataclass
class Explored:
    """All states of a space by depth, their children (None for a finished one), all operators."""

    layers: list[list[State]]
    children: dict[State, list[tuple[Move, State | None]]] = field(default_factory=dict)
    operators: dict[Operator, None] = field(default_factory=dict)

    def remaining(self) -> dict[State, int]:
        """Return the true number of steps from every state to the nearest complete operator."""
        steps: dict[State, int] = {}
        for layer in reversed(self.layers):
            for state in layer:
                ways = (
                    0 if child is None else 1 + steps[child] for _, child in self.children[state]
                )
                steps[state] = min(ways, default=FAR)
        return steps


def explore(space: SynthesisSpace) -> Explored:
    """Expand every state of `space` once."""
    found = Explored([[space.root()]])
    while found.layers[-1]:
        following: dict[State, None] = {}
        for state in found.layers[-1]:
            children = found.children[state] = []
            for move in space.moves(state):
                child = space.apply(state, move)
                if child.operator is None:
                    following[child] = None
                    children.append((move, child))
                else:
                    found.operators[child.operator] = None
                    children.append((move, None))
        found.layers.append(list(following))
    return found


def overestimates(free: Explored, guided: SynthesisSpace) -> list[str]:
    """Return every move after which the distance is larger than the steps that are needed."""
    steps, limit, found = free.remaining(), guided.spec.limits.steps, []
    for state, children in free.children.items():
        for move, child in children:
            if child is not None and steps[child] < FAR:
                distance = limit - child.steps - guided.spare(state, move)
                if distance > steps[child]:
                    coords = sorted(coord.key for coord in state.coords)
                    found.append(f"{move} of {coords}: {distance} instead of {steps[child]}")
    return found


def classes(
    operators: Collection[Operator], bindings: Collection[Mapping[str, int]]
) -> dict[tuple[str, ...], list[Operator]]:
    """Return the operators by their fingerprints."""
    found: dict[tuple[str, ...], list[Operator]] = {}
    for op in operators:
        found.setdefault(tuple(fingerprint(op, each) for each in bindings), []).append(op)
    return found


def limited(spec: Spec | str, **limits: Any) -> Spec:
    """Return a spec, or the one of that name, with other limits."""
    whole = named_spec(spec) if isinstance(spec, str) else spec
    return replace(whole, limits=replace(whole.limits, **limits))
