"""Proofs of exact rules by a solver, for iterators of any length: `pip install syno[testing]`."""

from __future__ import annotations

from typing import Any

import z3

from syno.ir.errors import SizeError
from syno.ir.size import Size
from syno.rules import Rule
from syno.rules.pattern import expression, number
from syno.rules.proof import Counterexample, claims, names_in


def is_for_solver(rule: Rule) -> bool:
    """Tell whether a rule is easy for the solver: an index rule without windows or open ranges.

    What is taken modulo a free size is not linear; a window has a range to stay in.
    """
    return not rule.before.startswith("x[") and "- " not in rule.before and bool(_open(rule))


def solve(rule: Rule, largest: int = 6) -> Counterexample | None:
    """Return a counterexample found by the solver, or None where it proves that there is none.

    Sizes that only bound an iterator stay free: the iterator is any number from 0. The others run
    from 2 to `largest`.
    """
    free = _open(rule)
    seen = set()
    for sizes in claims(rule, largest):
        fixed = {name: value for name, value in sizes.items() if name not in free}
        if tuple(fixed.items()) in seen:
            continue
        seen.add(tuple(fixed.items()))
        solver = z3.Solver()
        solver.set("timeout", 10_000)
        values: dict[str, Any] = dict(fixed)
        for name, size in rule.iterators.items():
            values[name] = z3.Int(name)
            solver.add(values[name] >= 0)
            if not Size.parse(size).symbols & free:
                solver.add(values[name] < Size.parse(size).evaluate(fixed))
        sides: list[Any] = [
            number(expression(text), values, _divided) for text in (rule.before, rule.after)
        ]
        solver.add(sides[0] != sides[1])
        answer = solver.check()
        if answer == z3.unknown:
            raise SizeError(f"The solver did not decide {rule.name} under {fixed} in 10 seconds.")
        if answer == z3.sat:
            model = solver.model()
            point = {name: model.eval(values[name]).as_long() for name in rule.iterators}
            return Counterexample(rule.name, fixed, point, 0, 1)
    return None


def _open(rule: Rule) -> set[str]:
    """Return the sizes that neither side of a rule mentions: they only bound iterators."""
    named = names_in(f"{rule.before} {rule.after} {rule.condition} {' '.join(rule.where.values())}")
    symbols = {name for size in rule.iterators.values() for name in names_in(size)}
    return symbols - named


def _divided(left: Any, right: int) -> Any:
    """Divide as // does: the solver's / between integers, where divisors are positive numbers."""
    return left // right if isinstance(left, int) else left / right


__all__ = ["is_for_solver", "solve"]
