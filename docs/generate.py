"""Writes docs/reference/language.md from the tables of the code, and the table of certificates.

Run: python docs/generate.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from syno.ir.primitives import PRIMITIVES
from syno.ir.verify import CHECKS
from syno.lower.backends import BACKENDS, Backend
from syno.rules.table import RULES, Rule
from syno.search.registry import STRATEGIES
from syno.space.prunes import PRUNES
from syno.space.specs import named_spec, spec_names
from syno.zoo.named import NAMED
from syno.zoo.shelf import found

FORMS = Path(__file__).parent / "explanation" / "canonical-forms.md"
CERTIFICATES = Path(__file__).parent / "results" / "certificates" / "certificates.json"
BEGIN, END = "<!-- certificates -->\n", "<!-- end of certificates -->\n"
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
    "Exact rules": "The left side may be written as the right side, which is how states and "
    "operators are kept. Source: `rules/table.py`; what they are for, how they are proved and what "
    "they are worth is told in [canonical forms](../explanation/canonical-forms.md). Symbols stand "
    "for sizes above 1; d, e and f are distances of shifts. A rule that is *built in* is applied "
    "as coordinates are made, so that its left side never exists. Names that begin with r are "
    "summed; *weights see* says when a rule about sums holds.",
    "Prunes": "Taste: operators thought not worth trying. Source: `space/prunes.py`; any of them "
    "can be switched off with `Taste.without`.",
    "Specs": "Small questions for `syno enumerate`. Source: `space/specs.py`.",
    "Strategies": "Values of `syno search --strategy`. Source: `search/registry.py`.",
    "Backends": "Those made from a plan are values of `syno export --backend`; those made from a "
    "torch module compile whole networks. Source: `lower/backends/`.",
    "Named operators": "Known layers and published operators as formulas. Source: `zoo/named.py`; "
    "`syno show NAME` explains one, `syno.zoo.named.named(NAME)` returns it.",
    "Found operators": "What searches found, best first for each model, with its record there: the "
    "speed of the whole model, and validation accuracy after a short training against the original "
    "trained the same way. Source: `zoo/found.json`, from the reports in `docs/results/`; a name "
    "stands wherever a formula may, and `syno.zoo.shelf.found()` returns the rows.",
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
        "Exact rules": _table(
            ("rule", "left side", "right side", "where", "weights see", "why"), map(_rule, RULES)
        ),
        "Prunes": _table(("prune", "reason"), ((_code([p.name]), p.reason) for p in PRUNES)),
        "Specs": _table(("spec", "input", "output", "steps at most"), map(_spec, spec_names())),
        "Strategies": _table(
            ("strategy", "what it is"),
            ((_code([name]), _first_line(made)) for name, made in STRATEGIES.items()),
        ),
        "Backends": _table(
            ("backend", "what it is", "made from", "gradient", "what it cannot do"),
            map(_backend, BACKENDS.values()),
        ),
    }
    parts = [f"## {title}\n\n{EXPLAINED[title]}\n\n{table}" for title, table in tables.items()]
    return "\n".join([HEAD, *parts, _named()])


def _backend(row: Backend) -> tuple[str, ...]:
    made = "a plan" if row.writes else "a torch module"
    gradient = "yes" if row.gradient else "no"
    return _code([row.name]), row.summary, made, gradient, "; ".join(row.limits) or "nothing known"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts) or "nothing"


def _rule(rule: Rule) -> tuple[str, ...]:
    where = [_code([text]) for text in (_sizes(rule), rule.condition) if text]
    where += [_code([f"{name} = {text}"]) for name, text in rule.where.items()]
    where += [f"beside {_code([rule.beside])}"] if rule.beside else []
    where += ["built in"] if rule.built_in else []
    sides = _code([rule.before]), _code([rule.after])
    return rule.name, *sides, "; ".join(where), rule.seen, rule.reason


def _sizes(rule: Rule) -> str:
    return ", ".join(f"{name}:{size}" for name, size in rule.iterators.items())


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
    parts.append(f"## Found operators\n\n{EXPLAINED['Found operators']}\n")
    for name, one in found().items():
        parts.append(f"`{name}`: {one.summary}.\n\n```text\n{one.operator}\n```\n")
    return "\n".join(parts)


_FIGURES = (
    "depth",
    "raw_operators",
    "classes",
    "canonical_operators",
    "redundant_by_rules",
    "lost",
    "redundant",
)


def forms() -> str:
    """Return the page about canonical forms with the certificates as they are kept."""
    found = json.loads(CERTIFICATES.read_text(encoding="utf-8"))
    head = ("spec", "depth", "raw", "classes", "canonical", "by rules", "lost", "redundant")
    rows = [
        (
            _code([row["spec"]]),
            *(f"{row[key]:,}" for key in _FIGURES),
            f"{row['raw_operators'] / row['canonical_operators']:.2f}",
            f"{row['raw_states'] / row['canonical_states']:.2f}",
            f"{row['raw_sequences']:,}",
        )
        for row in found["certificates"]
    ]
    made = _table((*head, "raw/canonical", "states raw/canonical", "sequences"), rows)
    pruned = _table(
        ("spec", "depth", "operators", "classes"),
        (
            (_code([row["spec"]]), *(f"{row[key]:,}" for key in ("depth", "operators", "classes")))
            for row in found["with_prunes"]
        ),
    )
    text = (
        f"\n{made}\nMeasured {found['date']} with Python {found['python']} by "
        "`python bench/certificates.py`. With the default prunes on, which is what a search sees, "
        f"the rules alone leave:\n\n{pruned}\n"
    )
    page = FORMS.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return before + BEGIN + text + END + after


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    FORMS.write_text(forms(), encoding="utf-8")
    print(f"wrote {PAGE.name} and {FORMS.name}")
