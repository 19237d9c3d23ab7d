"""Canonical forms of operators and of states: one spelling for what the exact rules make equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from syno.ir.coord import Coord
from syno.ir.errors import SizeError
from syno.ir.operator import Index, Operator
from syno.ir.size import Values
from syno.ir.steps import is_buildable, steps
from syno.rules.rewrite import Rewriter
from syno.rules.sums import Sum, Sums
from syno.rules.table import RULES, Rule

_PRIMES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061, 1063, 1069, 1087, 1091)


class Canonical:
    """Canonical forms where sizes have certain values, under some rules, by default all.

    Rules hold where they do so under every binding that `values` knows. `coefficients` names the
    symbols that are constants: two of their products may have one value. `expands` tells that
    coordinates may be dropped that nothing reads.
    """

    def __init__(
        self,
        values: Values,
        rules: Iterable[Rule] = RULES,
        coefficients: Iterable[str] = (),
        *,
        expands: bool = False,
    ) -> None:
        chosen = [rule for rule in rules if not rule.built_in]
        of_indices = [rule for rule in chosen if not rule.seen]
        self.rewriter = Rewriter(values, of_indices, expands=expands)
        of_sums = [rule for rule in chosen if rule.seen]
        self.sums = Sums(self.rewriter, of_sums, coefficients)
        self._operators: dict[Operator, Operator] = {}

    def coord(self, coord: Coord) -> Coord:
        """Return the normal form of one coordinate."""
        return self.rewriter(coord)

    def is_constant(self, coord: Coord) -> bool:
        """Tell whether `coord`, or a part of it, has the same value everywhere."""
        return self.rewriter.is_constant(coord)

    def state(self, coords: Sequence[Coord], weights: Iterable[Index]) -> Sum:
        """Return current coordinates, in the order given, and weights, in canonical form."""
        return self.sums(coords, weights)

    def operator(self, op: Operator) -> Operator:
        """Return the canonical form of a complete operator."""
        found = self._operators.get(op)
        if found is None:
            found = Operator.build(op.input, op.output, *self.sums(op.data, op.weights))
            if not is_buildable(found):
                found = op
            self._operators[op] = self._operators[found] = found
        return found


def canonical(op: Operator, bindings: Iterable[Mapping[str, int]] = ()) -> Operator:
    """Return the canonical form of `op`: the same function, whatever its weights are named.

    Rules that depend on numbers are applied where they hold under every one of `bindings`; without
    bindings, where they hold whatever the symbols stand for. Raises OperatorError where no order of
    primitives builds `op`.
    """
    bound = tuple(bindings) or _anything(op.symbols)
    expands = any(step.primitive == "expand" for step in steps(op))
    return _under(tuple(tuple(sorted(each.items())) for each in bound), expands).operator(op)


@lru_cache(maxsize=64)
def _under(bindings: tuple[tuple[tuple[str, int], ...], ...], expands: bool) -> Canonical:
    return Canonical(Values(map(dict, bindings)), expands=expands)


def _anything(symbols: Iterable[str]) -> tuple[dict[str, int], ...]:
    """Return two bindings of which only that is true which is true of all, for small distances."""
    names = sorted(symbols)
    if len(names) > len(_PRIMES):
        raise SizeError(f"There are {len(names)} symbols; canonical forms need bindings for them.")
    odd = dict(zip(names, _PRIMES, strict=False))
    return odd, {name: 2 * prime for name, prime in odd.items()}


__all__ = ["Canonical", "canonical"]
