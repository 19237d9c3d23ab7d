"""What an exact rule is: a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Rule:
    """One exact rule: `before` may be written `after`.

    `iterators` gives each name its size; names starting with `r` are reductions. The letters d, e
    and f are distances of shifts: those of the right side are computed by `where`. `condition` is
    an equation between numbers that has to hold under every binding. An `after` without iterators
    says that the left side is a constant: what it indexes would have one entry there. `beside` is
    the other part of a merge: where it is out of range, the term is 0 whatever this part is. `seen`
    says in words what weights may see, and that the rule is about a sum, not one coordinate.
    """

    name: str
    before: str
    after: str
    iterators: Mapping[str, str]
    reason: str
    condition: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    beside: str = ""
    seen: str = ""
    built_in: bool = False


__all__ = ["Rule"]
