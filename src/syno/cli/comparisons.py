"""What `syno bench` prints for people: a table of backends, a table of sites, totals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from syno.cli.app import out

if TYPE_CHECKING:
    from syno.evaluate.benchmark import Replaced

_WIDE = 120  # columns that the table of sites takes
_TIMES = ("original ms", "operator ms", "ratio", "quartiles")


def comparisons(latency: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the table of whole networks, one row for each backend."""
    table = Table("backend", *_TIMES)
    for name, row in latency.items():
        table.add_row(name, *_times(row))
    return table


def places(rows: Iterable[Mapping[str, Any]], backend: str) -> Table:
    """Return the table of sites, one row for each shape."""
    table = Table("layer", "output", *_TIMES, "parameters", "multiply-adds")
    table.title = f"each layer alone, under {backend}"
    for row in rows:
        size = f"{row['H']}x{row['W']}" if "H" in row else f"{row['rows']} rows"
        counts = (_pair(row[name]) for name in ("parameters", "multiply_adds"))
        table.add_row(_layer(row), size, *_times(row["latency"]), *counts)
    return table


def _layer(row: Mapping[str, Any]) -> str:
    """Return what a layer is called, as in `3 x conv3x3 64 to 128, stride 2`."""
    grouped = f" {'x'.join(map(str, row['kernel']))}" if row["groups"] > 1 else ""
    text = f"{row['count']} x {row['form']}{grouped} {row['C_in']} to {row['C_out']}"
    groups = f", {row['groups']} groups" if row["groups"] > 1 else ""
    return text + groups + (f", stride {row['stride']}" if row["stride"] > 1 else "")


def wide() -> Console:
    """Return a console for the table of sites: wide enough where no terminal sets a limit."""
    width = out.width if out.is_terminal else max(out.width, _WIDE)
    return Console(markup=False, highlight=False, file=out.file, width=width)


def totals(replaced: Replaced) -> list[str]:
    """Return the lines below the tables: what was left alone, parameters, multiply-adds."""
    reasons: dict[str, list[str]] = {}
    for name, reason in replaced.left_alone.items():
        reasons.setdefault(reason, []).append(name)
    lines = [f"left alone: {', '.join(names)}. {reason}" for reason, names in reasons.items()]
    before, after = replaced.parameters
    removed = 100 * replaced.removed
    flops = replaced.multiply_adds
    return [
        *lines,
        f"parameters of the network: {before:,} before, {after:,} after ({removed:.1f} % removed)",
        f"multiply-adds at the sites: {flops[0]:,} before, {flops[1]:,} after",
    ]


def _times(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    original, candidate = f"{row['original_ms']:.3f}", f"{row['candidate_ms']:.3f}"
    spread = f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
    return original, candidate, f"{row['ratio']:.2f}x", spread


def _pair(counts: tuple[int, int]) -> str:
    return f"{_short(counts[0])} to {_short(counts[1])}"


def _short(count: int) -> str:
    """Return a count with three digits, as in 36.9k."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return str(count)
