"""What the page tells of one operator beyond its figures: picture, plan, cost by site, code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pygments import highlight  # type: ignore[import-untyped]  # ships no annotations
from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]

from syno.ir.errors import SynoError
from syno.ir.parser import parse
from syno.lower.plan import plan
from syno.report.explain import numbers_of
from syno.report.graph import graph_svg

_BACKEND = "torch"


def details_of(text: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data about an operator at the sites of a study.

    `site` is the one of most multiply-adds: `plan`, `code` and shapes are those there. Where
    something cannot be told, `problem` says why and the keys that depend on it are missing.
    """
    try:
        op = parse(text)
        found: dict[str, Any] = {"formula": str(op), "graph": graph_svg(op)}
        sites = _sites(question)
        if not sites:
            return found | {"problem": "The study names no site: there are no sizes for a plan."}
        plans = [(site, plan(op, site["sizes"])) for site in sites]
        site, made = max(plans, key=lambda pair: pair[1].flops)
        by_site = [
            {"name": each["name"], "flops": p.flops, "parameters": p.parameters}
            for each, p in plans
        ]
        return found | {"site": site, "by_site": by_site, **_numbers(numbers_of(made))}
    except SynoError as error:
        return {"formula": text, "problem": str(error)}


def colored(source: str) -> str:
    """Return Python source as HTML spans; it is escaped on the way."""
    found: str = highlight(source.rstrip(), PythonLexer(), HtmlFormatter(nowrap=True))
    return found


def _sites(question: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the sites with all sizes that an operator may ask for, for a batch of one."""
    coefficients = question.get("coefficients", {})
    return [
        {"name": site["name"], "sizes": {**coefficients, **site["sizes"], "N": 1}}
        for site in question.get("sites", [])
    ]


def _numbers(found: dict[str, Any]) -> dict[str, Any]:
    names = ("plan", "input_shape", "output_shape", "weights")
    code = found["code"].get(_BACKEND) or found["code_absent"][_BACKEND]
    return {name: found[name] for name in names} | {"code": code}


__all__ = ["colored", "details_of"]
