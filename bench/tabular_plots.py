"""The plots of the table of measured operators, as SVG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from syno.testing.tabular import FIDELITIES, Table, correlation, judged

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "syno",  # the same figures give the same file
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#555555")  # Okabe, Ito: told apart by everyone
_INK = "#0072b2"
_LABELS = {
    "sample_residual": "layer fit, a site of each shape (less is better)",
    "fit_residual": "layer fit, sites (less is better)",
    "fit_network_residual": "layer fit, scores (less is better)",
    "fit_accuracy": "accuracy, fitted only, %",
    "short_accuracy": "accuracy, short training, %",
    "scratch_accuracy": "accuracy from random weights, %",
    "flops": "million multiply-adds",
    "parameters": "thousand parameters",
    "synflow": "SynFlow",
    "naswot": "NASWOT",
    "gradient_norm": "gradient norm",
}
_PER_CENT = ("fit_accuracy", "short_accuracy", "scratch_accuracy")
_SCALES = {**dict.fromkeys(_PER_CENT, 100.0), "flops": 1e-6, "parameters": 1e-3}
_COLUMNS = 3


def draw_strategies(grown: Mapping[str, Sequence[Sequence[float]]], file: Path) -> None:
    """Draw the share of the hypervolume against evaluations: the median and the quartiles.

    `grown` has, for each strategy and seed, the share after each evaluation.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.6, 3.9), layout="constrained")
        axes = figure.add_subplot()
        for (name, runs), colour in zip(grown.items(), _COLOURS, strict=False):
            low, middle, high = 100 * np.quantile(np.array(runs), (0.25, 0.5, 0.75), axis=0)
            evaluations = np.arange(1, len(middle) + 1)
            axes.fill_between(evaluations, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(evaluations, middle, color=colour, linewidth=1.6, label=name)
        axes.axhline(95, color="#333333", linewidth=0.8, linestyle=(0, (5, 4)))
        axes.set_xscale("log")
        axes.set_ylim(0, 102)
        axes.set_xlabel("operators evaluated")
        axes.set_ylabel("hypervolume found, %")
        axes.legend(loc="lower right", frameon=False)
        _save(figure, file)


def draw_fidelities(table: Table, file: Path) -> None:
    """Draw the accuracy after long training against what each fidelity says before it."""
    shown = [n for n in FIDELITIES if table.with_all(FIDELITIES[n][0], "long_accuracy")]
    rows = max(-(-len(shown) // _COLUMNS), 1)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(2.9 * _COLUMNS, 2.5 * rows), layout="constrained")
        for place, name in enumerate(shown, start=1):
            _scatter(figure.add_subplot(rows, _COLUMNS, place), table, name)
        figure.supylabel("accuracy after long training, %", fontsize=9.5)
        _save(figure, file)


def _scatter(axes: Axes, table: Table, name: str) -> None:
    column, _ = FIDELITIES[name]
    known = table.with_all(column, "long_accuracy")
    finite = [row for row in known if np.isfinite(row[column])]
    scale = _SCALES.get(column, 1.0)
    places = [scale * row[column] for row in finite], [100 * row["long_accuracy"] for row in finite]
    axes.scatter(*places, s=7, color=_INK, alpha=0.6, linewidth=0)
    axes.set_xlabel(_LABELS[column])
    if column == "synflow":
        axes.set_xscale("log")
    found = correlation([judged(r, name) for r in known], [r["long_accuracy"] for r in known])
    said = "" if found.rho is None else f", rank correlation {found.rho:+.2f}"
    axes.set_title(f"{len(known)} operators{said}", fontsize=8.5)


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="svg", metadata={"Date": None})
