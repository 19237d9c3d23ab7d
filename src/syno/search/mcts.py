"""Monte Carlo tree search over the graph of states.

A walk chooses a primitive, then its argument, by UCB1-tuned (Auer, Cesa-Bianchi, Fischer 2002)
with values that begin as those of the move elsewhere: below the same state, and anywhere (RAVE;
Gelly, Silver 2011). The moves looked at grow with the visits (progressive widening; Coulom 2007,
"Computing Elo ratings of move patterns in the game of Go"). Equal states reached by different
orders share their statistics (Childs, Brodeur, Kocsis 2008, "Transpositions and move groups in
Monte Carlo tree search"); states with nothing new below them are closed and never entered again.

A candidate in flight counts as a visit that earned `virtual_loss` less than its place promises, so
that others are sent elsewhere (Chaslot, Winands, van den Herik 2008, "Parallel Monte-Carlo tree
search"). At 0 it only makes its place less uncertain, as Liu et al. 2020, "Watch the unobserved",
found best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

from syno.search.outcome import Outcome
from syno.search.protocol import Setting
from syno.search.rollout import drawn_below
from syno.search.statistics import Average, Statistics, spread
from syno.search.tree import Branch, Node, Trail, Tree, on

_NOTHING = Statistics()


class _Option(NamedTuple):
    """A choice at a node: what its own walks earned, and what it was worth as a move elsewhere."""

    own: Statistics
    as_first: Average
    anywhere: Average


class MonteCarloTreeSearch:
    """See the module.

    The three `trust` are the numbers of rewards at which one mean weighs as much as the next more
    general one: anywhere against the node's own mean, below the node against anywhere, of the
    option's own walks against below the node. `exploration` scales what UCB1-tuned adds to a mean.
    A branch has up to `widening` times the square root of its walks open.
    """

    trust_anywhere = 2.0
    trust_below = 4.0
    trust_own = 4.0
    exploration = 0.7
    widening = 1.5
    virtual_loss = 0.0

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rng = Random(setting.seed)
        self.tree = Tree(setting.space, self.rng)
        self.anywhere: dict[Any, Average] = {}
        self.seen: set[Hashable] = set()
        self.flights: dict[Hashable, Trail] = {}

    @property
    def in_flight(self) -> int:
        """Return the number of candidates that were asked and not yet told."""
        return len(self.flights)

    def ask(self) -> Any | None:
        """Return a new candidate, or None when the root is closed or patience runs out."""
        for _ in range(self.setting.patience):
            if self.tree.root.closed:
                return None
            trail, found = self._walk()
            if found is not None and found not in self.seen:
                self.seen.add(found)
                self.flights[found] = trail
                for statistics in on(trail):
                    statistics.flying += 1
                return found
            for statistics in on(trail):
                statistics.vain += 1
        return None

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        """Replace what a candidate counted for in flight; learn one from an earlier run."""
        self.seen.add(candidate)
        moves = self.setting.space.trace(candidate)
        trail = self.flights.pop(candidate, None)
        if trail is None:
            trail = self._retraced(moves)
        else:
            for statistics in on(trail):
                statistics.flying -= 1
        if trail:
            self._learn(trail, moves, self.setting.reward(outcome))

    # ---------------------------------------------------------------------------------- walks

    def _walk(self) -> tuple[Trail, Hashable | None]:
        """Walk down by the bounds to a state not seen before and roll out from there."""
        node, trail = self.tree.root, Trail()
        while True:
            chosen = self._choose(node)
            if chosen is None:
                node.close()
                self.tree.close_upwards(trail)
                return trail, None
            step, new = self.tree.step(node, *chosen)
            trail.append(step)
            node = step.child
            if self.tree.result(node) is not None:
                self._finish(trail)
                return trail, self.tree.result(node)
            if new:
                return trail, drawn_below(self.setting.space, node.state, self.rng)

    def _retraced(self, moves: Iterable[Any]) -> Trail:
        """Return the way to a candidate of an earlier run, as far as it is opened."""
        trail = self.tree.follow(moves)
        if trail and self.tree.result(trail[-1].child) is not None:
            self._finish(trail)
        return trail

    def _finish(self, trail: Trail) -> None:
        trail[-1].child.close()
        self.tree.close_upwards(trail)

    # --------------------------------------------------------------------------------- choices

    def _choose(self, node: Node) -> tuple[str, Any] | None:
        """Return a primitive and a move of it; None where nothing is left."""
        branches = self.tree.branches(node)
        names = [name for name, branch in branches.items() if not branch.exhausted]
        if not names:
            return None
        options = {name: self._primitive(name, branches[name]) for name in names}
        name = self._best(node, options)
        return name, self._argument(node, branches[name])

    def _primitive(self, name: str, branch: Branch) -> _Option:
        first = branch.as_first.get(name, _NOTHING)
        return _Option(branch.statistics, first, self.anywhere.get(name, _NOTHING))

    def _argument(self, node: Node, branch: Branch) -> Any:
        """Return the move to follow: an unopened one while the branch may widen."""
        opened = branch.open_children()
        room = self.widening * (branch.statistics.walks + 1) ** 0.5
        if branch.unopened and (not opened or len(opened) < room):
            return self._best(node, {move: self._move(branch, move) for move in branch.unopened})
        return self._best(node, {move: self._move(branch, move) for move in opened})

    def _move(self, branch: Branch, move: Any) -> _Option:
        child = branch.children.get(move)
        own = _NOTHING if child is None else child.statistics
        first = branch.as_first.get(move, _NOTHING)
        return _Option(own, first, self.anywhere.get(move, _NOTHING))

    def _best(self, node: Node, options: dict[Any, _Option]) -> Any:
        """Return the option with the greatest bound, the first of equals."""
        if len(options) == 1:
            return next(iter(options))
        return max(options, key=lambda key: self._bound(node.statistics, options[key]))

    def _bound(self, above: Statistics, option: _Option) -> float:
        """Return the value of an option, from the general to the special, and its UCB1-tuned."""
        own = option.own
        elsewhere = option.anywhere.shrunk(above.mean, self.trust_anywhere)
        below = option.as_first.shrunk(elsewhere, self.trust_below)
        value = own.shrunk(below, self.trust_own)
        lost = self.virtual_loss * own.flying / (own.walks + self.trust_own)
        variance = own.variance if own.visits else above.variance
        return value - lost + self.exploration * spread(variance, own.walks + 1, above.walks)

    # ------------------------------------------------------------------------------- learning

    def _learn(self, trail: Trail, moves: Sequence[Any], reward: float) -> None:
        """Count the reward for a walk, and for each move as if it had been the first."""
        for statistics in on(trail):
            statistics.add(reward)
        left = Counter(step.move for step in trail) | Counter(moves)
        _credit(self.anywhere, left, reward)
        for step in trail:
            for name, branch in (step.node.branches or {}).items():
                legal = [move for move in left if move.primitive == name and branch.has(move)]
                _credit(branch.as_first, legal, reward)
            left -= Counter([step.move])


def _credit(table: dict[Any, Average], moves: Iterable[Any], reward: float) -> None:
    """Add a reward for each of `moves`, and once for each of their primitives."""
    for key in dict.fromkeys([*moves, *(move.primitive for move in moves)]):
        table.setdefault(key, Average()).add(reward)
