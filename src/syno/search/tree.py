"""The graph of states that a tree search has opened, each state once however it is reached."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from syno.search.protocol import Space, State
from syno.search.statistics import Average, Statistics


@dataclass(slots=True)
class Branch:
    """The moves of one primitive at one state.

    `as_first` holds, for the primitive and for its moves, the rewards of the candidates below the
    state that have it anywhere in their moves.
    """

    statistics: Statistics = field(default_factory=Statistics)
    children: dict[Any, Node] = field(default_factory=dict)
    unopened: dict[Any, None] = field(default_factory=dict)
    as_first: dict[Any, Average] = field(default_factory=dict)

    def open_children(self) -> list[Any]:
        """Return the opened moves below which there may be something new."""
        return [move for move, child in self.children.items() if not child.closed]

    def has(self, move: Any) -> bool:
        """Tell whether `move` is a move of this branch."""
        return move in self.children or move in self.unopened

    @property
    def exhausted(self) -> bool:
        """Tell whether there is nothing new below."""
        return not self.unopened and all(child.closed for child in self.children.values())


@dataclass(slots=True)
class Node:
    """One state. `branches` are there once it was entered a second time, until it is closed."""

    state: State
    statistics: Statistics = field(default_factory=Statistics)
    branches: dict[str, Branch] | None = None
    closed: bool = False

    def close(self) -> None:
        """Mark that nothing new is below; what was remembered of the ways there is dropped."""
        self.closed, self.branches = True, {}


class Step(NamedTuple):
    """One step of a walk: the state before it, the branch and the move taken, the state after."""

    node: Node
    branch: Branch
    move: Any
    child: Node


Trail = list[Step]


class Tree:
    """The table of nodes. Finished states are not in it: each is told of once."""

    def __init__(self, space: Space, rng: Random) -> None:
        self.space = space
        self.rng = rng
        self.nodes: dict[State, Node] = {}
        self.root = self._node(space.root())

    def branches(self, node: Node) -> dict[str, Branch]:
        """Return the moves of a node by their primitives, made when they are first asked for."""
        if node.branches is None:
            moves = list(self.space.moves(node.state))
            self.rng.shuffle(moves)
            node.branches = {}
            for move in moves:
                node.branches.setdefault(move.primitive, Branch()).unopened[move] = None
        return node.branches

    def result(self, node: Node) -> Hashable | None:
        """Return the candidate of a finished node."""
        return self.space.result(node.state)

    def step(self, node: Node, primitive: str, move: Any) -> tuple[Step, bool]:
        """Take a move; the flag tells whether it led to a state that was not in the table."""
        branch = self.branches(node)[primitive]
        child = branch.children.get(move)
        new = False
        if child is None:
            del branch.unopened[move]
            state = self.space.apply(node.state, move)
            new = state not in self.nodes
            child = branch.children[move] = self._node(state)
        return Step(node, branch, move, child), new

    def follow(self, moves: Iterable[Any]) -> Trail:
        """Take moves from the root as far as the table reaches, and one step more."""
        trail: Trail = []
        node, new = self.root, False
        for move in moves:
            branch = self.branches(node).get(move.primitive)
            if new or branch is None or not branch.has(move):
                break
            step, new = self.step(node, move.primitive, move)
            trail.append(step)
            node = step.child
        return trail

    def close_upwards(self, trail: Trail) -> None:
        """Close the states of a walk, from its end, that have nothing new left below them."""
        for step in reversed(trail):
            if not all(branch.exhausted for branch in self.branches(step.node).values()):
                return
            step.node.close()

    def _node(self, state: State) -> Node:
        found = self.nodes.get(state)
        if found is None:
            found = Node(state)
            if self.space.result(state) is None:
                self.nodes[state] = found
        return found


def on(trail: Trail) -> Iterator[Statistics]:
    """Yield all that a walk counts for: its states and the branches it took."""
    for step in trail:
        yield step.node.statistics
        yield step.branch.statistics
    if trail:
        yield trail[-1].child.statistics
