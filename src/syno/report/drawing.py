"""Writing a laid-out graph as SVG: boxes, curved lines, a legend, colours for light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from syno.report.layout import Edge, Layout, Port, arrange

_LETTER, _PAD, _LEAST = 7.3, 11.0, 44.0  # of a monospaced font of 12 px
_MARGIN, _GAP, _BETWEEN, _TIP = 14.0, 16.0, 44.0, 5.0
_HEIGHT = {"output": 40.0, "reduce": 40.0, "primitive": 58.0, "input": 46.0, "weight": 46.0}
_LEGEND_ROOM, _SHRINK = 300.0, 0.7  # a wide picture shrinks on a small screen before it scrolls
_LEGEND = (
    ("output", "output iterator"),
    ("reduce", "summed iterator"),
    ("primitive", "primitive"),
    ("input", "input x"),
    ("weight", "weight"),
)
# Colours are named in style sheets, not in attributes: a dark page needs others. The classes carry
# a prefix because the style sheet of an inline SVG holds for the whole page.
STYLE = """
.sy-graph{--sy-ink:#1d232b;--sy-soft:#66727f;--sy-box:#fff;--sy-output:#0b6e8f;--sy-reduce:#b2530a;
--sy-primitive:#5d6975;--sy-input:#1c7a46;--sy-weight:#7447b8;font-family:ui-monospace,
"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:12px}
@media (prefers-color-scheme:dark){.sy-graph{--sy-ink:#e6eaee;--sy-soft:#98a4b0;--sy-box:#1b2128;
--sy-output:#58b9d9;--sy-reduce:#f2a45f;--sy-primitive:#8d99a5;--sy-input:#6acb8c;
--sy-weight:#bb9ef2}}
.sy-graph text{fill:var(--sy-ink);text-anchor:middle}
.sy-graph .sy-note{fill:var(--sy-soft);font-size:10.5px}
.sy-graph .sy-title{font-weight:700;font-size:11px}
.sy-graph .sy-key{text-anchor:start;fill:var(--sy-soft);font-size:11px}
.sy-graph rect{fill:var(--sy-box);stroke-width:1.5}
.sy-graph .sy-line{fill:none;stroke-width:1.5;opacity:.85}
.sy-graph .sy-rule{fill:none;stroke-width:1;opacity:.5}
.sy-graph .sy-line.sy-weight{stroke-width:1.2;stroke-dasharray:4 3;opacity:.7}
"""
_KINDS = ("output", "reduce", "primitive", "input", "weight")
_PAINT = "".join(
    f".sy-graph rect.sy-{kind},.sy-graph path.sy-{kind}{{stroke:var(--sy-{kind})}}"
    f".sy-graph text.sy-{kind}{{fill:var(--sy-{kind})}}"
    f".sy-graph path.sy-tip.sy-{kind}{{fill:var(--sy-{kind});stroke:none}}"
    f".sy-graph rect.sy-wash.sy-{kind}{{fill:var(--sy-{kind});fill-opacity:.13}}"
    for kind in _KINDS
)


@dataclass(frozen=True)
class Cell:
    """One part of a node: a coordinate or a dimension; `text` large, `note` small below it."""

    text: str
    note: str = ""

    @property
    def width(self) -> float:
        """Room it takes."""
        return max(_LEAST, _room(self.text), _room(self.note))


@dataclass(frozen=True)
class Node:
    """One box: an output or summed iterator, a primitive, x, or a weight (`kind` says which)."""

    kind: str
    title: str
    cells: tuple[Cell, ...]

    @property
    def width(self) -> float:
        """Room it takes."""
        return max(sum(cell.width for cell in self.cells), _room(self.title))

    def port(self, number: int, cell: int) -> Port:
        """Return the middle of a cell, as a port of node `number`."""
        before = sum(each.width for each in self.cells[:cell])
        total = sum(each.width for each in self.cells)
        return Port(number, before + self.cells[cell].width / 2 - total / 2)


def draw(nodes: Sequence[Node], layer: Sequence[int], edges: Sequence[Edge], label: str) -> str:
    """Return the SVG of a graph; `label` is what a reader who cannot see it is told."""
    found = arrange([node.width for node in nodes], layer, edges, _GAP)
    bands = _bands(nodes, found)
    lines = [
        _line(edge, nodes, layer, route, bands)
        for edge, route in zip(edges, found.routes, strict=True)
    ]
    boxes = [_box(node, found.x[n] + _MARGIN, bands[layer[n]][0]) for n, node in enumerate(nodes)]
    used = {node.kind for node in nodes}
    room = max(found.width, _LEGEND_ROOM)
    legend, bottom = _legend([row for row in _LEGEND if row[0] in used], room, bands[-1][1] + 26)
    width, height = room + 2 * _MARGIN, bottom + _MARGIN
    shift = (room - found.width) / 2
    return (
        f'<svg class="sy-graph" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'style="max-width:100%;min-width:{_SHRINK * width:.0f}px;height:auto">'
        f"<title>{escape(label)}</title><style>{STYLE}{_PAINT}</style>"
        f'<g transform="translate({shift:.1f} 0)">{"".join(lines)}{"".join(boxes)}</g>'
        f"{legend}</svg>"
    )


def _bands(nodes: Sequence[Node], found: Layout) -> list[tuple[float, float]]:
    """Return the upper and the lower edge of every layer."""
    bands, top = [], _MARGIN
    for members in found.layers:
        tallest = max((_HEIGHT[nodes[node].kind] for node in members), default=0.0)
        bands.append((top, top + tallest))
        top += tallest + _BETWEEN
    return bands


def _line(
    edge: Edge,
    nodes: Sequence[Node],
    layer: Sequence[int],
    route: Sequence[float],
    bands: Sequence[tuple[float, float]],
) -> str:
    """Return one edge: curves between the layers, straight through them, a tip at its end."""
    first, last = layer[edge.source.node], layer[edge.target.node]
    x = [place + _MARGIN for place in route]
    y = bands[first][0] + _HEIGHT[nodes[edge.source.node].kind]
    path = f"M{x[0]:.1f} {y:.1f}"
    for level, (before, here) in enumerate(pairwise(x), start=first + 1):
        top = bands[level][0] - (_TIP if level == last else 0)
        half = (bands[level - 1][1] + top) / 2
        path += f"V{bands[level - 1][1]:.1f}C{before:.1f} {half:.1f} {here:.1f} {half:.1f}"
        path += f" {here:.1f} {top:.1f}"
    kind = {"data": "output"}.get(edge.kind, edge.kind)
    tip = f"M{x[-1] - 3.5:.1f} {bands[last][0] - _TIP:.1f}h7l-3.5 {_TIP}z"
    return f'<path class="sy-line sy-{kind}" d="{path}"/><path class="sy-tip sy-{kind}" d="{tip}"/>'


def _box(node: Node, middle: float, top: float) -> str:
    height, left = _HEIGHT[node.kind], middle - node.width / 2
    radius = height / 2 if node.kind in ("output", "reduce") else 6
    place = f'x="{left:.1f}" y="{top:.1f}" width="{node.width:.1f}" height="{height}" rx="{radius}"'
    parts = [f"<rect {place}/>", f'<rect class="sy-wash sy-{node.kind}" {place}/>']
    base = top + 16
    if node.title:
        parts.append(_text(middle, base, node.title, f"sy-title sy-{node.kind}"))
        base += 18
    total = sum(cell.width for cell in node.cells)
    edge = middle - total / 2
    for number, cell in enumerate(node.cells):
        if number:
            line = f"M{edge:.1f} {base - 11:.1f}V{top + height:.1f}"
            parts.append(f'<path class="sy-rule sy-{node.kind}" d="{line}"/>')
        centre = edge + cell.width / 2
        parts.append(_text(centre, base + (0 if cell.note else 2), cell.text, ""))
        if cell.note:
            parts.append(_text(centre, base + 15, cell.note, "sy-note"))
        edge += cell.width
    return "".join(parts)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _legend(rows: Sequence[tuple[str, str]], room: float, top: float) -> tuple[str, float]:
    """Return the legend, in as many lines as `room` asks for, and its lower edge."""
    parts, x = [], 0.0
    for kind, words in rows:
        wide = 17 + 6.8 * len(words)
        if x and x + wide > room:
            x, top = 0.0, top + 20
        swatch = f'x="{x + _MARGIN:.1f}" y="{top}" width="12" height="12" rx="3"'
        place = f'x="{x + _MARGIN + 17:.1f}" y="{top + 10:.1f}"'
        parts.append(f'<rect class="sy-wash sy-{kind}" {swatch}/>')
        parts.append(f'<text class="sy-key" {place}>{words}</text>')
        x += wide + 16
    return "".join(parts), top + 12


def _room(text: str) -> float:
    return len(text) * _LETTER + 2 * _PAD


__all__ = ["Cell", "Node", "draw"]
