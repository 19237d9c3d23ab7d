"""From an operator back to steps: an order of primitives that builds it.

Every primitive consumes current coordinates and yields new ones, so a coordinate is consumed at
most once, and a weight is contracted while all of its coordinates are current. This module finds
such an order or says why there is none. Parts of a merged coordinate (`i // B`, `(i // B) % C`) are
digits; they are cut at every boundary that anything uses, from the lowest upwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from syno.ir.coord import Coord, quotient, remainder
from syno.ir.cuts import Cuts
from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.ir.size import ONE, Size


@dataclass(frozen=True)
class Step:
    """One application of a primitive; `contract` is the share and expand of one new weight."""

    primitive: str
    consumes: tuple[Coord, ...]
    yields: tuple[Coord, ...]
    arg: Size | int | None = None
    weight: int | None = None


@dataclass
class _Event:
    """A step in the making: what it waits for, as indices of other events."""

    step: Step
    after: set[int] = field(default_factory=set)


_STEPS: dict[Operator, tuple[Step, ...]] = {}


def steps(op: Operator) -> tuple[Step, ...]:
    """Return primitives, in order, that build `op` from its output iterators.

    Raises OperatorError where a coordinate would have to be consumed twice, or where no order of
    the steps satisfies every weight.
    """
    if op not in _STEPS:
        _STEPS[op] = _Builder(op).build()
    return _STEPS[op]


def is_buildable(op: Operator) -> bool:
    """Tell whether primitives build `op` in some order."""
    try:
        steps(op)
    except OperatorError:
        return False
    return True


class _Builder:
    """Collects the events of one operator and puts them in order."""

    def __init__(self, op: Operator) -> None:
        self.op = op
        self.nodes = tuple(dict.fromkeys(n for top in op.coordinates for n in top.walk()))
        self.cuts = Cuts(self.nodes)
        self.events: list[_Event] = []
        self.made: dict[Coord, int] = {}  # event that makes a coordinate current
        self.rejoined: dict[Coord, int] = {}
        self.used: dict[Coord, int] = {}  # event that consumes a coordinate
        self.contracted: list[int] = []

    def build(self) -> tuple[Step, ...]:
        for leaf in self.op.reductions:
            self.made[leaf] = self._add(Step("reduce", (), (leaf,), leaf.size))
        for whole in self.cuts.edges:
            self._merge(whole)
        self._contract()
        self._make()
        self._rejoin()
        self._order_weights()
        ordered = _topological(self.events)
        if ordered is None:
            raise OperatorError(
                "No order of steps builds this operator: one weight needs a coordinate before, "
                "another one after the same step."
            )
        return self._with_expands([self.events[index].step for index in ordered])

    def _add(self, step: Step, after: Iterable[int] = ()) -> int:
        self.events.append(_Event(step, set(after)))
        return len(self.events) - 1

    def _merge(self, whole: Coord) -> None:
        """Cut `whole` at its boundaries, from the lowest upwards."""
        current = whole
        start = ONE
        for cut in self.cuts.edges[whole]:
            high, low = quotient(whole, cut), remainder(current, cut / start)
            event = self._add(Step("merge", (current,), (high, low), cut / start))
            self.used[current] = event
            self.made[high] = self.made[low] = event
            current, start = high, cut

    def _contract(self) -> None:
        for number, index in enumerate(self.op.weights):
            refined = tuple(dict.fromkeys(p for coord in index for p in self.cuts.pieces(coord)))
            self.contracted.append(self._add(Step("contract", refined, (), weight=number)))

    def _make(self) -> None:
        """Add the events that make split, shift, stride and unfold coordinates."""
        for node in reversed(self.nodes):
            if node.op in ("output", "reduce", "quotient", "remainder") or node in self.made:
                continue
            kind = node.op
            arg = node.arg
            event = self._add(Step(kind, node.args, (node,), arg))
            self.made[node] = event
            for each in node.args:
                self._consume(each, event)
        seen: set[Coord] = set()
        for coord in self.op.data:
            if coord in seen:
                raise OperatorError(_twice(coord))
            seen.add(coord)
            if coord in self.used and not self._is_cut(coord):
                raise OperatorError(_twice(coord))

    def _consume(self, coord: Coord, event: int) -> None:
        earlier = self.used.get(coord)
        merged = self._is_cut(coord)
        if earlier is not None and not merged:
            raise OperatorError(_twice(coord))
        if merged:
            if coord in self.rejoined:
                raise OperatorError(_twice(coord))
            self.rejoined[coord] = -1 - event
        else:
            self.used[coord] = event

    def _is_cut(self, coord: Coord) -> bool:
        return len(self.cuts.pieces(coord)) > 1

    def _rejoin(self) -> None:
        """Split pieces back together where the data needs the coordinate that a weight saw cut."""
        wanted = {coord: -1 - code for coord, code in self.rejoined.items()}
        for coord in self.op.data:
            if self._is_cut(coord):
                if coord in wanted:
                    raise OperatorError(_twice(coord))
                wanted[coord] = -1
        for coord, user in wanted.items():
            pieces = self.cuts.pieces(coord)
            event = self._add(Step("split", pieces, (coord,)))
            for piece in pieces:
                if piece in self.used or piece in self.op.data:
                    raise OperatorError(_twice(piece))
                self.used[piece] = event
            self.rejoined[coord] = event
            if user >= 0:
                self.events[user].after.add(event)

    def _order_weights(self) -> None:
        """Every step waits for what it consumes; a weight is contracted before that is gone."""
        for number, event in enumerate(self.events):
            for coord in event.step.consumes:
                source = self.made.get(coord)
                if self._is_cut(coord) and event.step.primitive != "merge":
                    source = self.rejoined.get(coord, source)
                if source is not None:
                    event.after.add(source)
                if event.step.primitive == "contract":
                    user = self.used.get(coord)
                    if user is not None:
                        self.events[user].after.add(number)

    def _with_expands(self, ordered: list[Step]) -> tuple[Step, ...]:
        """Mark what each contraction keeps to itself, and expand what nothing reads."""
        kept = set(self.used) | set(self.op.data)
        last = {c: s for s in ordered if s.primitive == "contract" for c in s.consumes}
        final: list[Step] = []
        for step in ordered:
            if step.primitive == "contract":
                inner = tuple(c for c in step.consumes if c in kept or last[c] is not step)
                final.append(Step("contract", step.consumes, inner, weight=step.weight))
            else:
                final.append(step)
        current = {*self.op.outputs, *(c for s in ordered for c in s.yields)}
        dropped = [c for c in current if c not in kept and c not in last]
        dropped.sort(key=lambda coord: coord.key)
        return (*final, *(Step("expand", (coord,), ()) for coord in dropped))


def _topological(events: list[_Event]) -> list[int] | None:
    """Return event numbers in an order that respects `after`; None where that is circular."""
    done: dict[int, None] = {}
    while len(done) < len(events):
        ready = next(
            (
                number
                for number, event in enumerate(events)
                if number not in done and all(each in done for each in event.after)
            ),
            None,
        )
        if ready is None:
            return None
        done[ready] = None
    return list(done)


def _twice(coord: Coord) -> str:
    leaves = ", ".join(f"{leaf.op} {leaf.arg} of size {leaf.size}" for leaf in coord.leaves())
    return (
        f"A coordinate of size {coord.size} (made of {leaves}) is read in two places of x. The "
        "primitives consume each coordinate once: reading one element twice cannot be written."
    )
