"""A layered layout: every node has a layer, edges lead downwards, crossings are few.

The method is that of Sugiyama, Tagawa and Toda (1981): long edges are cut by invisible nodes, then
each layer in turn is ordered by the mean place of its neighbours and packed without overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

_SWEEPS = 24


@dataclass(frozen=True)
class Port:
    """A place on the upper or lower side of a node: `offset` from its middle."""

    node: int
    offset: float = 0.0


@dataclass(frozen=True)
class Edge:
    """A line from a lower side down to an upper side, of one kind (how it is painted)."""

    source: Port
    target: Port
    kind: str = ""


@dataclass
class Layout:
    """The result: `x` is the middle of every node, `routes` the x of every edge layer by layer."""

    x: list[float]
    layers: list[list[int]]
    routes: list[list[float]]
    width: float
    crossings: int


@dataclass
class _Sheet:
    """Nodes, real and invisible, with the short edges between neighbouring layers."""

    widths: list[float]
    layers: list[list[int]]
    links: list[tuple[Port, Port]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)
    x: list[float] = field(default_factory=list)


def arrange(
    widths: Sequence[float], layer: Sequence[int], edges: Sequence[Edge], gap: float
) -> Layout:
    """Place nodes of `widths` on their layers; the order given is the order to start from."""
    sheet = _cut(widths, layer, edges)
    sheet.x = [0.0] * len(sheet.widths)
    for members in sheet.layers:
        _pack(sheet, members, dict.fromkeys(members, 0.0), gap)
    best: Layout | None = None
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        rows = sheet.layers if down else sheet.layers[::-1]
        for members in rows:
            wanted = _wanted(sheet, members, down=down)
            members.sort(key=wanted.__getitem__)
            _pack(sheet, members, wanted, gap)
        found = _result(sheet, len(widths), edges)
        if best is None or (found.crossings, found.width) < (best.crossings, best.width):
            best = found
    assert best is not None
    return best


def _cut(widths: Sequence[float], layer: Sequence[int], edges: Sequence[Edge]) -> _Sheet:
    """Return the sheet: an edge over several layers runs through invisible nodes of width 0."""
    sheet = _Sheet(list(widths), [[] for _ in range(max(layer, default=0) + 1)])
    for node, level in enumerate(layer):
        sheet.layers[level].append(node)
    for edge in edges:
        chain: list[int] = []
        before = edge.source
        for level in range(layer[edge.source.node] + 1, layer[edge.target.node]):
            chain.append(len(sheet.widths))
            sheet.widths.append(0.0)
            sheet.layers[level].append(chain[-1])
            sheet.links.append((before, Port(chain[-1])))
            before = Port(chain[-1])
        sheet.links.append((before, edge.target))
        sheet.chains.append(chain)
    return sheet


def _wanted(sheet: _Sheet, members: list[int], *, down: bool) -> dict[int, float]:
    """Return where each node would like to stand: below, or above, what it is tied to."""
    found: dict[int, list[float]] = {node: [] for node in members}
    for upper, lower in sheet.links:
        here, there = (lower, upper) if down else (upper, lower)
        if here.node in found:
            found[here.node].append(sheet.x[there.node] + there.offset - here.offset)
    return {
        node: sum(places) / len(places) if places else sheet.x[node]
        for node, places in found.items()
    }


def _pack(sheet: _Sheet, members: list[int], wanted: dict[int, float], gap: float) -> None:
    """Place the nodes of a layer, in their order, as near as can be to what they want.

    Least squares under "no overlap" is isotonic regression once every node is moved left by the
    room that those before it take (pool adjacent violators).
    """
    shifts, room = [], 0.0
    for place, node in enumerate(members):
        if place:
            room += (sheet.widths[members[place - 1]] + sheet.widths[node]) / 2 + gap
        shifts.append(room)
    blocks: list[list[float]] = []
    for node, shift in zip(members, shifts, strict=True):
        blocks.append([wanted[node] - shift])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            joined = blocks.pop()
            blocks[-1] += joined
    places = [fmean(block) for block in blocks for _ in block]
    for node, here, shift in zip(members, places, shifts, strict=True):
        sheet.x[node] = here + shift


def _result(sheet: _Sheet, nodes: int, edges: Sequence[Edge]) -> Layout:
    """Return the present placement, moved so that it begins at 0."""
    left = min((sheet.x[n] - sheet.widths[n] / 2 for n in range(len(sheet.x))), default=0.0)
    right = max((sheet.x[n] + sheet.widths[n] / 2 for n in range(len(sheet.x))), default=0.0)
    x = [place - left for place in sheet.x]
    routes = [
        [
            x[edge.source.node] + edge.source.offset,
            *(x[node] for node in chain),
            x[edge.target.node] + edge.target.offset,
        ]
        for edge, chain in zip(edges, sheet.chains, strict=True)
    ]
    layers = [[node for node in members if node < nodes] for members in sheet.layers]
    return Layout(x[:nodes], layers, routes, right - left, _crossings(sheet))


def _crossings(sheet: _Sheet) -> int:
    """Count pairs of short edges that cross."""
    level = {node: number for number, members in enumerate(sheet.layers) for node in members}
    rows: dict[int, list[tuple[float, float]]] = {}
    for upper, lower in sheet.links:
        ends = sheet.x[upper.node] + upper.offset, sheet.x[lower.node] + lower.offset
        rows.setdefault(level[upper.node], []).append(ends)
    return sum(
        (one[0] - two[0]) * (one[1] - two[1]) < 0
        for ends in rows.values()
        for number, one in enumerate(ends)
        for two in ends[number + 1 :]
    )
