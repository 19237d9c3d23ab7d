"""How many ways lead from an abstract state to complete operators, learned while drawing.

A state that was expanded counts the sum over its moves; one that was not is taken to be like others
of its kind. What is found below is told upwards after every draw, so that counts become exact where
everything below is known, and a state without completions is never entered again.
"""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from random import Random

from syno.space.abstract import DONE, Abstract
from syno.space.changes import Changes, Step


class Node:
    """An abstract state with the states behind its moves, once they are known."""

    __slots__ = ("children", "count", "now", "steps")

    def __init__(self, now: Abstract, count: float) -> None:
        self.now = now
        self.count = count
        self.steps: list[Step] | None = None
        self.children: list[Node] = []


class Completions:
    """Counts of completions over the abstract states of one spec."""

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self.nodes: dict[Abstract, Node] = {}
        self.expanded: list[Node] = []
        self.usual: dict[tuple[int, ...], float] = {}
        self._settle_at = 64

    def node(self, now: Abstract) -> Node:
        """Return the node of an abstract state."""
        found = self.nodes.get(now)
        if found is None:
            found = self.nodes[now] = Node(now, self._guess(now))
        return found

    def expand(self, node: Node) -> None:
        """Make the children of `node`; its count becomes the sum of theirs."""
        node.steps = list(self.changes(node.now))
        node.children = [self.node(behind) for _, behind in node.steps]
        node.count = sum(child.count for child in node.children)
        self.expanded.append(node)

    def _guess(self, now: Abstract) -> float:
        return 1.0 if now.phase == DONE else self.usual.get(_kind(now), 1.0)

    def settle(self) -> None:
        """Guess anew, by what is known by now, what is below states that were not expanded."""
        self.expanded.sort(key=lambda node: _depth(node.now))
        totals: dict[tuple[int, ...], list[float]] = {}
        for node in self.expanded:
            node.count = sum(
                self._guess(child.now) if child.steps is None else child.count
                for child in node.children
            )
            found = totals.setdefault(_kind(node.now), [0.0, 0.0])
            found[0] += node.count
            found[1] += 1
            self.usual[_kind(node.now)] = max(found[0] / found[1], 1.0)
        for node in self.nodes.values():
            if node.steps is None:
                node.count = self._guess(node.now)

    def draw(self, now: Abstract, rng: Random) -> list[Step]:
        """Return changes from `now` to a complete abstract state; none where there are none.

        Each is drawn in proportion to the completions behind it.
        """
        if len(self.expanded) > self._settle_at:
            self.settle()
            self._settle_at = len(self.expanded) * 3 // 2
        path: list[Node] = [self.node(now)]
        found: list[Step] = []
        while path and path[-1].now.phase != DONE:
            node = path[-1]
            if node.steps is None:
                self.expand(node)
            place = _chosen(node, rng) if node.count > 0 else -1
            if place >= 0 and node.steps is not None:
                found.append(node.steps[place])
                path.append(node.children[place])
                continue
            node.count = 0.0
            path.pop()
            if found:
                found.pop()
        for node in reversed(path[:-1]):
            node.count = sum(child.count for child in node.children)
        return found


def _chosen(node: Node, rng: Random) -> int:
    """Return the place of a child, drawn in proportion to its count; -1 where all are dead."""
    sums = list(accumulate(child.count for child in node.children))
    if not sums or sums[-1] <= 0:
        return -1
    return bisect(sums, rng.random() * sums[-1], hi=len(sums) - 1)


def _depth(now: Abstract) -> tuple[int, int, int]:
    """Return a key that is less for states behind a move."""
    return now.left.steps, -now.phase, -now.at


def _kind(now: Abstract) -> tuple[int, ...]:
    """Return what unknown states are compared by."""
    return (now.phase, len(now.coords), *now.left[:5], len(now.lacking))
