"""What operators cost at all the places of a network at once: multiply-adds, entries, memory.

`Costs.flops` is what the cheapest plans of `syno.lower.plan` take, to the last digit, for all
bindings in one walk over the orders of computation. `Costs.partial` bounds what a partial operator
can still become; the arguments for the bounds stand in `syno.lower.bounds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from operator import add, mul

from syno.ir.coord import Coord
from syno.ir.errors import OperatorError
from syno.ir.operator import Index, Operator
from syno.ir.size import Size
from syno.lower.bounds import ANYTHING, Ahead, Bounds, Limit
from syno.lower.orders import Node, Orders
from syno.lower.parts import Numbers, Vector, entries_of
from syno.lower.plan import Plan, plan

__all__ = ["Ahead", "Bounds", "Costs"]


class Costs:
    """Costs of operators under several bindings, each of which occurs so many times.

    Sums run over `bindings`, each counted as often as `occurrences` says (once, if not given).
    """

    def __init__(
        self, bindings: Sequence[Mapping[str, int]], occurrences: Sequence[int] | None = None
    ) -> None:
        self.bindings = tuple(bindings)
        self.occurrences = tuple(occurrences or (1,) * len(self.bindings))
        if len(self.occurrences) != len(self.bindings):
            raise ValueError(
                f"{len(self.bindings)} bindings occur {len(self.occurrences)} times: give one "
                "number of occurrences for each binding."
            )
        self._numbers = Numbers(self.bindings)
        self._limit = Limit(self._numbers)

    def flops(self, op: Operator) -> int:
        """Return the multiply-adds of the cheapest plans of `op`, over all bindings.

        Raises SizeError where a size is no whole number, OperatorError where no plan computes `op`.
        """
        return self._total(self.flops_of(op))

    def flops_of(self, op: Operator) -> Vector:
        """Return the multiply-adds of one forward of `op` under each binding; errors as `flops`."""
        orders = Orders(op)
        for size in (*op.input, *op.output):
            self._numbers(size.packed)
        for packed in orders.sizes:
            self._numbers(packed)
        found = self._cheapest(orders, orders.start, {})
        if found is None:
            raise OperatorError(f"No plan computes this operator. Please report it.\n  in: {op}")
        return found

    def _cheapest(
        self, orders: Orders, node: Node, known: dict[Node, Vector | None]
    ) -> Vector | None:
        """Return what is still to pay from `node` on; None where no way leads to y."""
        if orders.is_goal(node):
            return self._numbers.zero
        best: Vector | None = None
        for labels, following in orders.edges(node):
            if following not in known:
                known[following] = self._cheapest(orders, following, known)
            rest = known[following]
            if rest is None:
                continue
            if labels:
                rest = tuple(map(add, rest, self._numbers(orders.packed(labels))))
            best = rest if best is None else tuple(map(min, best, rest))
        return best

    def flops_within(self, op: Operator, least: int, most: int) -> bool:
        """Tell whether `least <= flops(op) <= most`; bounds decide it where they suffice."""
        low, high = self.flops_bounds(op)
        if high < least or low > most:
            return False
        return (least <= low and high <= most) or least <= self.flops(op) <= most

    def flops_bounds(self, op: Operator) -> tuple[int, int]:
        """Return a lower and an upper bound of `flops(op)`, without any search."""
        low, high = self._limit.complete(op)
        return self._total(low), self._total(high)

    def parameters(self, op: Operator) -> int:
        """Return the number of weight entries, over all bindings."""
        return self._total(self._numbers.sum(map(entries_of, op.weights)))

    def memory(self, op: Operator) -> int:
        """Return the largest number of elements alive at once, of all bindings and stages.

        Alive are the input and the result of a stage, all weights, and products of weights.
        """
        return max(_peak(plan(op, binding)) for binding in self.bindings)

    def partial(
        self,
        coords: Sequence[Coord],
        weights: Sequence[Index],
        *,
        reductions: Sequence[Size],
        left: int,
        weights_left: int,
        ahead: Ahead = ANYTHING,
    ) -> Bounds:
        """Return bounds, over all bindings, for every operator that a partial one can become.

        `coords` are its coordinates, `weights` those it has; up to `left` reductions of sizes in
        `reductions` and `weights_left` weights may come, and any views. `ahead` says what is known
        beyond that: what it leaves open makes bounds wider, what it promises has to be kept.
        """
        future = self._limit.future(reductions, left, weights_left, ahead)
        vectors = self._limit.partial(coords, weights, future)
        return Bounds(*map(self._total, vectors))

    def _total(self, values: Vector) -> int:
        return sum(map(mul, values, self.occurrences))


def _peak(made: Plan) -> int:
    """Return the largest number of elements alive at once in one plan."""

    def elements(coords: Sequence[Coord]) -> int:
        return prod(coord.size.evaluate(made.sizes) for coord in coords)

    running, kept, most = elements(made.op.data), made.parameters, 0
    for stage in made.stages:
        result = elements(stage.result)
        if stage.product and stage.factor is not None:
            kept += elements(tuple(stage.factor.labels))
            most = max(most, running + kept)
        else:
            most = max(most, running + result + kept)
            running = result
    return most
