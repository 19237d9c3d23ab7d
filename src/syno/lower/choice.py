"""Which plan is predicted to be the fastest, among those that look short.

The planner of `syno.lower.planner` counts multiply-adds and knows no machine. Here its states are
walked again, path by path, in the order of a rough estimate that looks at labels alone; the first
few different plans are built into programs, and the machine's model says which is the fastest. Two
kinds of moves come on top: a weight may be contracted before the window whose places it reads is
opened (the window then becomes a shear of the result), and any two weights may be multiplied
beforehand.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, islice

from syno.ir.coord import Coord
from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.lower.build import build
from syno.lower.machine import EAGER, Machine, Target
from syno.lower.pieces import Factor, Labels, View, factors_of
from syno.lower.plan import Plan, Stage
from syno.lower.planner import Move, Planner, State
from syno.lower.program import Program

_MOST_PROGRAMS = 10
_CALL, _WORK, _TRAFFIC = 3e-6, 1.5e-11, 5e-11  # seconds of a call, a multiply-add, an element
_MOST_PATHS = 2_000
_MOST_STATES = 20_000
_MOST_FOLDED = 4_000_000  # entries of a product of weights


@dataclass(frozen=True)
class Choice:
    """A program, and the seconds that it is predicted to take."""

    program: Program
    seconds: float


def choose(
    op: Operator,
    sizes: Mapping[str, int],
    *,
    inference: bool = True,
    target: Target = EAGER,
) -> Choice:
    """Return the program of `op` that is predicted to be the fastest on `target`.

    For `inference` what weights alone decide costs nothing, for it is done once. Raises SizeError
    where a size is not a whole number, OperatorError where no order computes the operator.
    """
    needed = tuple(sorted((name, sizes[name]) for name in op.symbols if name in sizes))
    return _choose(op, needed, inference, target.machine)


def programs(
    op: Operator, sizes: Mapping[str, int], *, machine: Machine, inference: bool = True
) -> Iterator[Choice]:
    """Yield programs of different plans, those first that look short."""
    plans = Plans(op, sizes, inference=inference)
    for stages in plans.paths():
        made = Plan(op, sizes, stages, factors_of(op))
        program = build(made, machine.seconds)
        yield Choice(program, machine.total(program, weights=not inference))


@lru_cache(maxsize=512)
def _choose(
    op: Operator, items: tuple[tuple[str, int], ...], inference: bool, machine: Machine
) -> Choice:
    sizes = dict(items)
    op.input_shape(sizes), op.output_shape(sizes)
    every = programs(op, sizes, machine=machine, inference=inference)
    found = list(islice(every, _MOST_PROGRAMS))
    if not found:
        raise OperatorError(
            "No plan computes this operator: its steps leave a coordinate or a weight over. Please "
            f"report it.\n  in: {op}"
        )
    return min(found, key=lambda each: each.seconds)


@dataclass(frozen=True)
class _Path:
    """The moves so far, and the state before the last of them."""

    moves: tuple[Move, ...] = ()
    before: State | None = None


class Plans(Planner):
    """All ways from x to y, those first that look short."""

    def __init__(self, op: Operator, sizes: Mapping[str, int], *, inference: bool) -> None:
        super().__init__(op, sizes)
        self.inference = inference
        self.opening = {view.after[1]: view for view in self.views if view.op == "unfold"}
        self.sheared = {
            place: replace(view, op="diagonal", before=(*view.before, place))
            for place, view in self.opening.items()
        }
        self._rest: dict[State, float] = {}

    def paths(self) -> Iterator[tuple[Stage, ...]]:
        """Yield the stages of different plans, in the order of their estimated seconds."""
        first = State(frozenset(self.op.data), frozenset(factors_of(self.op)), frozenset())
        start, views = self.settle(first)
        ticket = count()
        queue = [(self.rest(start), next(ticket), 0.0, start, _Path())]
        seen: set[tuple[Stage, ...]] = set()
        popped = 0
        while queue and popped < _MOST_PATHS:
            _, _, spent, state, path = heapq.heappop(queue)
            popped += 1
            if not state.factors and state.labels == self.goal:
                stages = self.stages(views, list(path.moves))
                if stages not in seen:
                    seen.add(stages)
                    yield stages
                continue
            for move in self.moves(state):
                if self.waits(move, path):
                    continue
                so_far = spent + self.price(move)
                rest = self.rest(move.state)
                if rest < float("inf"):
                    after = _Path((*path.moves, move), state)
                    heapq.heappush(queue, (so_far + rest, next(ticket), so_far, move.state, after))

    def rest(self, state: State) -> float:
        """Return the estimated seconds from a state to y; infinite where no way leads there.

        With very many states it stops looking ahead: the order gets worse, not the plans.
        """
        if state not in self._rest:
            if len(self._rest) > _MOST_STATES:
                return 0.0
            if not state.factors and state.labels == self.goal:
                self._rest[state] = 0.0
            else:
                ways = (self.price(move) + self.rest(move.state) for move in self.moves(state))
                self._rest[state] = min(ways, default=float("inf"))
        return self._rest[state]

    def price(self, move: Move) -> float:
        """Return about how many seconds a move takes, whatever kernel it becomes."""
        if move.product and self.inference:
            return 0.0
        if not move.cost[0] and not move.cost[1]:
            return 0.0
        return _CALL + move.cost[0] * _WORK + move.cost[1] * _TRAFFIC

    def waits(self, move: Move, path: _Path) -> bool:
        """Tell whether a view comes after one that could as well have come after it."""
        if not path.moves or move.factor is not None or move.summed or not move.views:
            return False
        last = path.moves[-1]
        if last.factor is not None or last.summed or path.before is None:
            return False
        return move.views[0].number < last.views[0].number and self.ready(
            move.views[0], path.before
        )

    # Windows that are opened after a weight has read their places

    def ready(self, view: View, state: State) -> bool:
        if any(self.open_later(label, state) for label in view.before):
            return view.op == "diagonal" and super().ready(view, state)
        return super().ready(view, state)

    def open_later(self, label: Coord, state: State) -> bool:
        """Tell whether `label` is the place of a window that is not open yet."""
        view = self.opening.get(label)
        return view is not None and view.number not in state.done and label in state.labels

    def meets(self, factor: Factor, state: State) -> bool:
        for label in factor.labels:
            if label in state.labels or label not in self.made:
                continue
            view = self.opening.get(label)
            if view is None or view.number in state.done or view.after[0] in factor.labels:
                return False
            if not state.labels.issuperset(view.before):
                return False
        return True

    def moves(self, state: State) -> Iterator[Move]:
        for move in super().moves(state):
            if move.views and not move.summed and move.factor is None:
                view = move.views[0]
                if view.op == "unfold" and view.after[1] in state.labels:
                    continue
            yield move
        for place, view in self.sheared.items():
            if place in state.labels and self.ready(view, state):
                yield self.view_move(view, state)

    def finished(self, state: State) -> Labels:
        return tuple(
            label for label in super().finished(state) if not self.open_later(label, state)
        )

    def untied(self, one: Factor, two: Factor) -> bool:
        union = one.labels | two.labels
        return bool(one.labels & two.labels) and self.elements(union) <= _MOST_FOLDED
