"""Monte Carlo tree search over the graph of states.

Selection by UCB1-tuned (Auer, Cesa-Bianchi, Fischer 2002), blended with all-moves-as-first values
(RAVE; Gelly, Silver 2011); progressive widening (Coulom 2007) bounds the children looked at;
candidates in flight count as visits that earned nothing (virtual loss); states without anything
new below them are closed and never entered again. Equal states reached by different orders share
their statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, sqrt
from random import Random
from typing import Any

from syno.search.outcome import Outcome
from syno.search.protocol import Setting, State
from syno.search.rollout import choose, roll_out


@dataclass
class Statistics:
    """Visits, and the sum and the sum of squares of their rewards."""

    visits: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, reward: float, weight: float = 1.0) -> None:
        """Count one visit; `weight` -1 takes a virtual one back."""
        self.visits += weight
        self.total += weight * reward
        self.squares += weight * reward * reward

    @property
    def mean(self) -> float:
        """Mean reward; 0 before the first visit."""
        return self.total / self.visits if self.visits else 0.0

    def upper(self, parent_visits: float) -> float:
        """Return the UCB1-tuned bound."""
        if self.visits <= 0:
            return float("inf")
        spread = log(max(parent_visits, 2.0)) / self.visits
        variance = max(self.squares / self.visits - self.mean**2, 0.0) + sqrt(2 * spread)
        return self.mean + sqrt(spread * min(0.25, variance))


@dataclass
class Node:
    """One state: its statistics and the children opened so far, in a drawn order."""

    statistics: Statistics = field(default_factory=Statistics)
    children: dict[Any, State] = field(default_factory=dict)
    unopened: list[Any] | None = None
    closed: bool = False


@dataclass
class _Flight:
    """A candidate that was asked and not yet told: where it came from."""

    path: list[State]
    moves: list[Any]


class MonteCarloTreeSearch:
    """See the module; `rave_visits` is the number of visits at which RAVE weighs one half."""

    rave_visits = 8.0
    widening = 1.5

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rng = Random(setting.seed)
        self.nodes: dict[State, Node] = {}
        self.as_first: dict[Any, Statistics] = {}
        self.seen: set[Any] = set()
        self.flights: dict[Any, _Flight] = {}

    def ask(self) -> Any | None:
        """Return a new candidate, or None when the root is closed or patience runs out."""
        for _ in range(self.setting.patience):
            if self._node(self.setting.space.root()).closed:
                return None
            path, moves = self._descend()
            found = self.setting.space.result(path[-1])
            if found is None or found in self.seen:
                self._close_upwards(path)
                # A repeated candidate has been counted; a dead end says that its way is poor.
                self._count(path, moves, 0.0, weight=float(found is None))
                continue
            self.seen.add(found)
            self.flights[found] = _Flight(path, moves)
            self._count(path, moves, 0.0)
            return found
        return None

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        """Replace the virtual loss of a candidate by its reward; learn one from an earlier run."""
        self.seen.add(candidate)
        flight = self.flights.pop(candidate, None)
        if flight is None:
            flight = self._retrace(candidate)
        else:
            self._count(flight.path, flight.moves, 0.0, weight=-1.0)
        if flight is not None:
            self._count(flight.path, flight.moves, self.setting.reward(outcome))
            self._close_upwards(flight.path)

    def _retrace(self, candidate: Any) -> _Flight | None:
        """Return the way to a candidate of an earlier run, opening the moves on it."""
        space, state = self.setting.space, self.setting.space.root()
        moves = list(space.trace(candidate))
        path = [state]
        for move in moves:
            state = space.apply(state, move)
            path.append(state)
        return _Flight(path, moves) if moves else None

    def _node(self, state: State) -> Node:
        return self.nodes.setdefault(state, Node())

    def _descend(self) -> tuple[list[State], list[Any]]:
        """Walk down by the bounds to a state not seen before, then roll out."""
        space, state = self.setting.space, self.setting.space.root()
        path: list[State] = [state]
        moves: list[Any] = []
        while True:
            node = self._node(state)
            move = self._select(state, node)
            if move is None:
                node.closed = True
                return path, moves
            fresh = move not in node.children
            if fresh:
                node.children[move] = space.apply(state, move)
            state = node.children[move]
            path.append(state)
            moves.append(move)
            if fresh and state not in self.nodes:
                return [*path, *roll_out(space, state, self.rng)], moves
            if space.result(state) is not None:
                return path, moves

    def _select(self, state: State, node: Node) -> Any | None:
        """Return the move to follow: an unopened one while the node may widen, else the best."""
        if node.unopened is None:
            node.unopened = self._drawn(list(self.setting.space.moves(state)))
        open_moves = [m for m, s in node.children.items() if not self._node(s).closed]
        room = self.widening * sqrt(node.statistics.visits + 1)
        if node.unopened and len(open_moves) < room:
            return node.unopened.pop()
        if not open_moves:
            return node.unopened.pop() if node.unopened else None
        return max(open_moves, key=lambda move: self._value(node, move))

    def _drawn(self, moves: list[Any]) -> list[Any]:
        """Return `moves` in a random order in which primitives take turns."""
        order: list[Any] = []
        rest = list(moves)
        while rest:
            move = choose(rest, self.rng)
            rest.remove(move)
            order.append(move)
        return order[::-1]

    def _value(self, node: Node, move: Any) -> float:
        own = self._node(node.children[move]).statistics
        bound = own.upper(node.statistics.visits)
        other = self.as_first.get(move)
        if other is None or not own.visits:
            return bound
        beta = self.rave_visits / (self.rave_visits + own.visits)
        return bound + beta * (other.mean - own.mean)

    def _count(
        self, path: list[State], moves: list[Any], reward: float, weight: float = 1.0
    ) -> None:
        for state in dict.fromkeys(path):
            self._node(state).statistics.add(reward, weight)
        for move in dict.fromkeys(moves):
            self.as_first.setdefault(move, Statistics()).add(reward, weight)

    def _close_upwards(self, path: list[State]) -> None:
        """Close the end of `path`, and every state on it that has nothing open left."""
        self._node(path[-1]).closed = True
        for state in reversed(path[:-1]):
            node = self._node(state)
            if node.unopened is None or node.unopened:
                return
            if any(not self._node(child).closed for child in node.children.values()):
                return
            node.closed = True
