"""The search behind `plan`: Dijkstra's algorithm over what has been computed so far."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, count
from math import prod

from syno.ir.coord import Coord
from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.lower.pieces import Factor, Labels, View, factors_of, views_of
from syno.lower.plan import Stage

# Reshapes cost nothing, slices only make less: both are applied as soon as they can be.
_FREE = ("split", "merge", "stride")
_MAX_STATES = 100_000

Cost = tuple[int, int]  # multiply-adds, elements moved


@dataclass(frozen=True)
class State:
    """What has been computed: labels of the running tensor, weights to come, views done."""

    labels: frozenset[Coord]
    factors: frozenset[Factor]
    done: frozenset[int]


@dataclass(frozen=True)
class Move:
    """One thing that can be done in a state, what it costs and where it leads."""

    state: State
    cost: Cost
    views: tuple[View, ...] = ()
    factor: Factor | None = None
    summed: Labels = ()
    product: bool = False


class Planner:
    """The shortest path from x to y for one operator and binding."""

    def __init__(self, op: Operator, sizes: Mapping[str, int]) -> None:
        self.op = op
        self.sizes = sizes
        self.views = views_of(op)
        self.made = {label for view in self.views for label in view.after}
        self.goal = frozenset(op.outputs)
        self.lengths: dict[Coord, int] = {}

    def run(self) -> tuple[Stage, ...]:
        """Return the stages of the cheapest plan."""
        first = State(frozenset(self.op.data), frozenset(factors_of(self.op)), frozenset())
        start, views = self.settle(first)
        best: dict[State, Cost] = {start: (0, 0)}
        came: dict[State, tuple[State, Move]] = {}
        queue: list[tuple[Cost, int, State]] = [((0, 0), 0, start)]
        ticket = count(1)
        while queue and len(best) < _MAX_STATES:
            cost, _, state = heapq.heappop(queue)
            if cost > best[state]:
                continue
            if not state.factors and state.labels == self.goal:
                return self.stages(views, _path(start, state, came))
            for move in self.moves(state):
                total = (cost[0] + move.cost[0], cost[1] + move.cost[1])
                if move.state not in best or total < best[move.state]:
                    best[move.state] = total
                    came[move.state] = (state, move)
                    heapq.heappush(queue, (total, next(ticket), move.state))
        raise OperatorError(
            "No plan computes this operator: its steps leave a coordinate or a weight over. Please "
            f"report it.\n  in: {self.op}"
        )

    def stages(self, views: tuple[View, ...], path: list[Move]) -> tuple[Stage, ...]:
        """Cut a path into stages: views gather until a contraction or a sum closes the stage."""
        found: list[Stage] = []
        pending = list(views)
        for move in path:
            result = tuple(sorted(move.state.labels, key=_label_order))
            if move.product:
                found.append(Stage((), move.factor, move.summed, (), move.cost[0], True))
            elif move.factor is not None or move.summed:
                gathered = tuple(pending)
                found.append(Stage(gathered, move.factor, move.summed, result, move.cost[0]))
                pending.clear()
            pending += move.views
        if pending or not found:
            found.append(Stage(tuple(pending), None, (), self.op.outputs, 0))
        return tuple(found)

    def elements(self, labels: frozenset[Coord]) -> int:
        for label in labels:
            if label not in self.lengths:
                self.lengths[label] = label.size.evaluate(self.sizes)
        return prod(self.lengths[label] for label in labels)

    def settle(
        self, state: State, kinds: tuple[str, ...] = _FREE
    ) -> tuple[State, tuple[View, ...]]:
        """Apply the views of the free `kinds` until none is left."""
        applied: list[View] = []
        while True:
            view = next((v for v in self.views if v.op in kinds and self.ready(v, state)), None)
            if view is None:
                return state, tuple(applied)
            applied.append(view)
            state = _apply(view, state)

    def ready(self, view: View, state: State) -> bool:
        """Tell whether a view can be applied: its labels are there and no weight waits for them."""
        if view.number in state.done or not state.labels.issuperset(view.before):
            return False
        if not view.before and view.after[0] in state.labels:
            return False
        return not any(label in factor.labels for factor in state.factors for label in view.before)

    def moves(self, state: State) -> Iterator[Move]:
        """Yield everything that can be done next."""
        for view in self.views:
            if view.op not in _FREE and self.ready(view, state):
                yield self.view_move(view, state)
        summed = self.finished(state)
        if summed:
            yield self.close(state, None, summed)
        factors = sorted(state.factors, key=lambda factor: factor.name)
        for factor in factors:
            if self.meets(factor, state):
                yield self.contract(state, factor)
        for one, two in combinations(factors, 2):
            move = self.pair(state, one, two)
            if move is not None:
                yield move

    def meets(self, factor: Factor, state: State) -> bool:
        """Tell whether a weight can be contracted: nothing it reads has still to be made."""
        return all(label in state.labels or label not in self.made for label in factor.labels)

    def view_move(self, view: View, state: State) -> Move:
        after, free = self.settle(_apply(view, state))
        moved = 0  # a window becomes part of the contraction that follows
        if view.op == "shift":
            moved = 2 * self.elements(state.labels)
        elif view.op == "expand":
            moved = self.elements(state.labels | frozenset(view.after))
        return Move(after, (0, moved), (view, *free))

    def finished(self, state: State) -> Labels:
        """Return the reductions of the running tensor that nothing reads any more."""
        pending = (view for view in self.views if view.number not in state.done)
        waiting = {label for view in pending for label in view.before}
        waiting |= {label for factor in state.factors for label in factor.labels}
        found = (label for label in state.labels if label.op == "reduce" and label not in waiting)
        return tuple(sorted(found, key=lambda label: int(str(label.arg))))

    def contract(self, state: State, factor: Factor) -> Move:
        everything = state.labels | factor.labels
        # Pieces of a reduction stand for it, so join them first; all else waits for the sum.
        joined, _ = self.settle(
            State(everything, state.factors - {factor}, state.done), kinds=("merge",)
        )
        return self.close(state, factor, self.finished(joined))

    def close(self, state: State, factor: Factor | None, summed: Labels) -> Move:
        """Return the move that multiplies by `factor`, if any, and sums `summed`."""
        own = frozenset() if factor is None else factor.labels
        rest = state.factors if factor is None else state.factors - {factor}
        everything = state.labels | own
        joined, joins = self.settle(State(everything, rest, state.done), kinds=("merge",))
        left = State(joined.labels - frozenset(summed), rest, joined.done)
        after, views = self.settle(left)
        moved = self.elements(state.labels) + self.elements(own) + self.elements(after.labels)
        return Move(after, (self.elements(everything), moved), (*joins, *views), factor, summed)

    def pair(self, state: State, one: Factor, two: Factor) -> Move | None:
        """Multiply two weights first, where a reduction ties them and nothing else reads it."""
        tied = self.tied(state, one, two)
        if not tied and not self.untied(one, two):
            return None
        union = one.labels | two.labels
        kept = sorted(union - set(tied), key=_label_order)
        made = Factor(f"{one.name}{two.name}", tuple((label,) for label in kept), (one, two))
        after = State(state.labels, state.factors - {one, two} | {made}, state.done)
        moved = sum(self.elements(labels) for labels in (one.labels, two.labels, made.labels))
        return Move(after, (self.elements(union), moved), (), made, tied, product=True)

    def tied(self, state: State, one: Factor, two: Factor) -> Labels:
        """Return the reductions that two weights share and nothing else reads."""
        others = [each.labels for each in state.factors if each not in (one, two)]
        return tuple(
            label
            for label in sorted(one.labels & two.labels, key=_label_order)
            if label.op == "reduce"
            and label not in state.labels | self.made
            and not any(label in labels for labels in others)
        )

    def untied(self, one: Factor, two: Factor) -> bool:
        """Tell whether two weights may be multiplied although no reduction ties them."""
        del one, two
        return False


def _apply(view: View, state: State) -> State:
    labels = state.labels - frozenset(view.before) | frozenset(view.after)
    return State(labels, state.factors, state.done | {view.number})


def _path(start: State, end: State, came: Mapping[State, tuple[State, Move]]) -> list[Move]:
    moves: list[Move] = []
    while end != start:
        end, move = came[end]
        moves.append(move)
    return moves[::-1]


def _label_order(label: Coord) -> tuple[bool, str]:
    """Sort key: labels made of outputs first."""
    return any(leaf.op == "reduce" for leaf in label.leaves()), label.key
