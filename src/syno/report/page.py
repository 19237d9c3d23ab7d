"""The report: one self-contained page about a study, and its figures as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import syno
from syno.ir.errors import FileError
from syno.ir.files import write_atomically
from syno.report.details import colored, details_of
from syno.report.figures import collect, signed
from syno.report.pareto import below, pareto_svg
from syno.run.study import read_study

_TEMPLATES = Path(__file__).with_name("templates")


def write_report(study_path: str | Path, output: str | Path) -> dict[str, Any]:
    """Write the page about the study at `study_path` to `output`, and a JSON of its name beside it.

    Returns where both are and what they say first. Raises StudyError where there is no study,
    FileError where something cannot be written.
    """
    page = Path(output)
    beside = page.with_suffix(".json")
    if page == beside:
        raise FileError(f"{page} is the name of the figures: give the page one that ends in .html.")
    study = read_study(study_path)
    try:
        figures = collect(study)
    finally:
        study.close()
    figures |= {
        "written": datetime.now(UTC).isoformat(timespec="minutes"),
        "study": _name(study_path),
    }
    figures["operators"] = {
        str(row["number"]): details_of(row["operator"], figures["question"])
        for row in figures["trained"]
        if row["detailed"]
    }
    write_atomically(page, render(figures))
    write_atomically(beside, json.dumps(_without_pictures(figures), indent=1) + "\n")
    return {
        "page": str(page),
        "json": str(beside),
        "headline": figures["headline"],
        "trained": figures["outcomes"]["trained"],
        "front": [row["number"] for row in figures["trained"] if row["on_front"]],
    }


def render(figures: Mapping[str, Any]) -> str:
    """Return the page of figures as `collect` and `details_of` give them."""
    page = _environment().get_template("page.html.j2")
    baseline, rows = figures["baseline"], figures["trained"]
    drawn = bool(baseline and rows)
    extra = {
        "plot": pareto_svg(baseline, rows) if drawn else None,
        "outside": len(below(baseline, rows)) if drawn else 0,
        "version": syno.__version__,
    }
    return page.render(**figures, **extra)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": lambda value: f"{100 * value:.2f} %",
        "share": lambda value: f"{100 * value:.{0 if value > 0.0995 else 1}f} %",
        "times": lambda value: f"{value:.2f}\N{MULTIPLICATION SIGN}",
        "count": lambda value: f"{value:,}",
        "brief": _brief,
        "points": signed,
        "duration": _duration,
        "moment": lambda text: text.replace("T", " ").replace("+00:00", " UTC"),
        "pairs": lambda found: ", ".join(f"{key}={value}" for key, value in found.items()),
        "colored": colored,
    }
    return made


def _brief(value: int) -> str:
    """Return a count in three digits, as in 9.44 M."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _name(study: str | Path) -> str:
    """Return what to call a study: no folders of somebody's machine, no password of a database."""
    return str(study).partition("?")[0].rpartition("/")[2]


def _without_pictures(figures: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(figures)
    found["operators"] = {
        number: {key: value for key, value in each.items() if key != "graph"}
        for number, each in figures["operators"].items()
    }
    return found


__all__ = ["render", "write_report"]
