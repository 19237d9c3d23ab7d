"""Pairs of operators that a rule about reductions says are the same."""

from __future__ import annotations

from syno.ir.coord import Coord, merge, output, reduce, shift, split
from syno.ir.operator import Operator
from syno.ir.size import Size
from syno.rules.table import Rule

_O = Size.symbol("O")


def witnesses(rule: Rule) -> tuple[Operator, Operator]:
    """Return (operator that uses the left side, operator that does not) for `rule`."""
    one = output(0, _O)
    n, b, c, g = (Size.symbol(name) for name in "NBCG")
    if rule.name == "shift of reduction":
        r = reduce(0, n)
        return _weighted((n,), (shift(r, 1),), (one, r)), _weighted((n,), (r,), (one, r))
    if rule.name in ("quotient of reduction", "remainder of reduction"):
        r, p, q = reduce(0, b * c), reduce(1, c), reduce(2, b)
        high, low = merge(r, b)
        return _weighted((c, b), (high, low), (one, r)), _weighted((c, b), (p, q), (one, p, q))
    if rule.name == "split of reductions":
        p, q, r = reduce(0, g), reduce(1, b), reduce(2, g * b)
        return _weighted((g * b,), (split(p, q),), (one,)), _weighted((g * b,), (r,), (one,))
    raise ValueError(f"no witness for {rule.name}")


def _weighted(
    shape: tuple[Size, ...], data: tuple[Coord, ...], index: tuple[Coord, ...]
) -> Operator:
    return Operator.build(shape, (_O,), data, (index,))
