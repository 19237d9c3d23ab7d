"""Writes docs/reference/language.md from the tables of the code: `python docs/generate.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from syno.ir.primitives import PRIMITIVES
from syno.ir.verify import CHECKS
from syno.lower.backends import BACKENDS
from syno.rules.table import RULES, Rule
from syno.search.registry import STRATEGIES
from syno.space.prunes import PRUNES
from syno.space.specs import named_spec, spec_names
from syno.zoo.named import NAMED

PAGE = Path(__file__).parent / "reference" / "language.md"

HEAD = """\
# The language, in tables

This page is generated from the code by `python docs/generate.py`; a test compares the two. How
formulas are written is on the page [formulas](formulas.md).
"""

EXPLAINED = {
    "Primitives": "Operators are built from the output to the input: a primitive consumes current "
    "coordinates and yields the coordinates below them. Source: `ir/primitives.py`.",
    "Checks": "A complete operator has to pass these. Source: `ir/verify.py`.",
    "Exact rules": "A step that makes the left side is not taken, because an equal operator is "
    "reached without it. Source: `rules/table.py`. A rule that is *built in* is applied as "
    "coordinates are made, so that its left side never exists; *unseen* ones hold where no weight "
    "has seen a part of the left side. Where the right side is empty, the reason is an argument "
    "about sums and weights.",
    "Prunes": "Taste: operators thought not worth trying. Source: `space/prunes.py`; any of them "
    "can be switched off with `Taste.without`.",
    "Specs": "Small questions for `syno enumerate`. Source: `space/specs.py`.",
    "Strategies": "Values of `syno search --strategy`. Source: `search/registry.py`.",
    "Backends": "Values of `syno export --backend`. Source: `lower/backends.py`.",
    "Named operators": "Known layers and published operators as formulas. Source: `zoo/named.py`; "
    "`syno show NAME` explains one, `syno.zoo.named.named(NAME)` returns it.",
}


def page() -> str:
    """Return the whole page."""
    tables = {
        "Primitives": _table(
            ("primitive", "consumes", "yields", "condition", "in words"),
            (
                (_code([p.name]), _code(p.consumes), _code(p.yields), p.condition, p.summary)
                for p in PRIMITIVES
            ),
        ),
        "Checks": _table(("check", "rule"), ((_code([c.name]), c.rule) for c in CHECKS)),
        "Exact rules": _table(("rule", "left side", "right side", "why", ""), map(_rule, RULES)),
        "Prunes": _table(("prune", "reason"), ((_code([p.name]), p.reason) for p in PRUNES)),
        "Specs": _table(("spec", "input", "output", "steps at most"), map(_spec, spec_names())),
        "Strategies": _table(
            ("strategy", "what it is"),
            ((_code([name]), _first_line(made)) for name, made in STRATEGIES.items()),
        ),
        "Backends": _table(
            ("backend", "module"), ((_code([n]), _code([m])) for n, m in BACKENDS.items())
        ),
    }
    parts = [f"## {title}\n\n{EXPLAINED[title]}\n\n{table}" for title, table in tables.items()]
    return "\n".join([HEAD, *parts, _named()])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts) or "nothing"


def _rule(rule: Rule) -> tuple[str, ...]:
    marks = [name for name, on in (("built in", rule.built_in), ("unseen", rule.unseen)) if on]
    sides = _code([rule.before]), _code([rule.after]) if rule.after else ""
    return rule.name, *sides, rule.reason, ", ".join(marks)


def _spec(name: str) -> tuple[str, ...]:
    spec = named_spec(name)
    shapes = (f"`[{', '.join(shape)}]`" for shape in (spec.input, spec.output))
    return _code([name]), *shapes, str(spec.limits.steps)


def _first_line(made: object) -> str:
    return str(sys.modules[made.__module__].__doc__).splitlines()[0]


def _named() -> str:
    parts = [f"## Named operators\n\n{EXPLAINED['Named operators']}\n"]
    for name, row in NAMED.items():
        parts.append(f"`{name}`: {row.summary}.\n\n```text\n{row.operator}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
