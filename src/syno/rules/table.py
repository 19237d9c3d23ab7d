"""Exact rules: spellings that have an equal, simpler one. Standing in the table is being proved.

Index rules are about one coordinate, whose two sides are the same function of the iterators; sum
rules are about reductions and the weights that see them: the two sides are the same operator
once terms are renumbered and weights relabelled. `syno.rules.proof` evaluates both sides over all
small sizes, `syno.rules.rewrite` and `syno.rules.sums` apply the rows.

Rules marked `built_in` are applied by the constructors of `syno.ir`, so that their left side never
exists.
"""

from __future__ import annotations

from syno.rules.index_rules import BUILT_IN, OF_INDICES
from syno.rules.rule import Rule
from syno.rules.sum_rules import OF_SUMS

RULES: tuple[Rule, ...] = (*BUILT_IN, *OF_INDICES, *OF_SUMS)

__all__ = ["BUILT_IN", "OF_INDICES", "OF_SUMS", "RULES", "Rule"]
