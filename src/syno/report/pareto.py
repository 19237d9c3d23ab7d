"""The plot of a study: validation accuracy against the measured latency ratio, as SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

Row = Mapping[str, Any]

# Matplotlib writes colours as numbers. These stand for what the page calls them, so that one SVG
# serves light and dark.
_PAINTS = {
    "#010101": "ink",
    "#020202": "soft",
    "#030303": "line",
    "#040404": "accent",
    "#050505": "paper",
}
_INK, _SOFT, _LINE, _ACCENT, _PAPER = _PAINTS
_WIDTH, _HEIGHT = 6.6, 3.9
_NEAR = 0.15  # how far below the original the picture reaches, in accuracy


def pareto_svg(baseline: Row, rows: Sequence[Row]) -> str:
    """Return the plot of a baseline and trained operators (rows of `figures.collect`).

    Bars are the quartiles of the latency ratio; the point of an operator with a section of its own
    leads there. What `below` returns lies outside of the picture.
    """
    shown = [row for row in rows if row not in below(baseline, rows)]
    options: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "syno", "font.size": 9.5}
    with mpl.rc_context(options):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        _dress(axes)
        _draw_points(axes, [row for row in shown if not row["on_front"]])
        _draw_front(axes, [row for row in rows if row["on_front"]], shown)
        _draw_baseline(axes, baseline)
        _zoom(axes, baseline, shown)
        legend = axes.legend(loc="best", frameon=False, fontsize=8.5)
        for text in legend.get_texts():
            text.set_color(_INK)
        return _inline(figure)


def below(baseline: Row, rows: Sequence[Row]) -> list[Row]:
    """Return the operators too inaccurate for the picture: they would flatten all others.

    Where no operator comes near the original, all are drawn.
    """
    least = baseline["accuracy"] - _NEAR
    far = [row for row in rows if row["accuracy"] < least]
    return far if len(far) < len(rows) else []


def _dress(axes: Axes) -> None:
    axes.set_xlabel("measured speed against the original (times as fast)", color=_INK)
    axes.set_ylabel("validation accuracy, %", color=_INK)
    axes.patch.set_visible(False)
    axes.grid(color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_SOFT)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_LINE)


def _draw_points(axes: Axes, rows: Sequence[Row]) -> None:
    if rows:
        _bars(axes, rows, _SOFT)
        places = [row["ratio"] for row in rows], [100 * row["accuracy"] for row in rows]
        points = axes.scatter(*places, s=18, color=_SOFT, zorder=3, label="other operators")
        points.set_urls([_link(row) for row in rows])


def _draw_front(axes: Axes, front: Sequence[Row], shown: Sequence[Row]) -> None:
    ordered = sorted(front, key=lambda row: row["ratio"])
    x, y = [row["ratio"] for row in ordered], [100 * row["accuracy"] for row in ordered]
    axes.plot(x, y, color=_ACCENT, linewidth=1.2, drawstyle="steps-pre", alpha=0.6, zorder=2)
    _bars(axes, ordered, _ACCENT)
    points = axes.scatter(x, y, s=34, color=_ACCENT, zorder=4, label="front")
    points.set_urls([_link(row) for row in ordered])
    for row in (row for row in ordered if row in shown):
        place = row["ratio"], 100 * row["accuracy"]
        style: dict[str, Any] = {"textcoords": "offset points", "color": _INK, "fontsize": 8.5}
        style["path_effects"] = [withStroke(linewidth=2.5, foreground=_PAPER)]
        axes.annotate(f"#{row['number']}", place, (5, 4), **style)


def _draw_baseline(axes: Axes, baseline: Row) -> None:
    percent = 100 * baseline["accuracy"]
    axes.axhline(percent, color=_INK, linewidth=0.9, linestyle=(0, (5, 4)), zorder=1)
    axes.scatter([1.0], [percent], s=85, marker="*", color=_INK, zorder=5, label="original")


def _bars(axes: Axes, rows: Sequence[Row], color: str) -> None:
    known = [row for row in rows if row["ratio_low"] is not None]
    if known:
        left = [max(row["ratio"] - row["ratio_low"], 0.0) for row in known]
        right = [max(row["ratio_high"] - row["ratio"], 0.0) for row in known]
        places = [row["ratio"] for row in known], [100 * row["accuracy"] for row in known]
        axes.errorbar(
            *places, xerr=(left, right), fmt="none", ecolor=color, elinewidth=1.0, alpha=0.55
        )


def _zoom(axes: Axes, baseline: Row, rows: Sequence[Row]) -> None:
    """Leave room at the sides, so that no label is cut off."""
    speeds = [1.0, *(row["ratio_high"] or row["ratio"] for row in rows)]
    heights = [100 * baseline["accuracy"], *(100 * row["accuracy"] for row in rows)]
    margin = 0.08 * (max(speeds) - min(speeds)) or 0.5
    axes.set_xlim(min([1.0, *(row["ratio"] for row in rows)]) - margin, max(speeds) + margin)
    room = 0.1 * (max(heights) - min(heights)) or 1.0
    axes.set_ylim(max(min(heights) - room, -1.0), max(heights) + room)


def _link(row: Row) -> str | None:
    return f"#operator-{row['number']}" if row["detailed"] else None


def _inline(figure: Figure) -> str:
    """Return a figure as an SVG element that takes its colours from the page."""
    found = io.StringIO()
    figure.savefig(
        found, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    text = found.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for number, name in _PAINTS.items():
        text = text.replace(number, f"var(--{name})")
    label = 'role="img" aria-label="validation accuracy against measured speed"'
    return re.sub(r"<svg ", f'<svg class="plot" {label} ', text, count=1).strip()


__all__ = ["below", "pareto_svg"]
