"""Pictures of operators: complete, without overlap, well-formed, the same every time."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

import syno
from syno.ir.text import format_coord, leaf_names
from syno.report.graph import graph_of, graph_svg
from syno.report.layout import Edge, Port, arrange
from syno.zoo.named import NAMED, NamedOperator

named = pytest.mark.parametrize("row", NAMED.values(), ids=list(NAMED))
GAP = 10.0


def parse(svg: str) -> ET.Element:
    """Read an SVG of our own making."""
    return ET.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in parse(svg).iter("{http://www.w3.org/2000/svg}text")]


@named
def test_every_coordinate_is_in_the_picture(row: NamedOperator) -> None:
    op = row.operator
    names, shown = leaf_names(op), texts(graph_svg(op))
    for leaf in (*op.outputs, *op.reductions):
        assert names[leaf] in shown
    for coord in op.data:
        assert format_coord(coord, names) in shown
    for number in range(1, len(op.weights) + 1):
        assert f"w{number}" in shown


@named
def test_every_dimension_of_x_has_one_line_and_every_one_of_a_weight_at_least_one(
    row: NamedOperator,
) -> None:
    graph = graph_of(row.operator)
    for number, node in enumerate(graph.nodes):
        ends = Counter(edge.target for edge in graph.edges if edge.target.node == number)
        if node.kind == "input":
            assert ends == Counter(node.port(number, cell) for cell in range(len(node.cells)))
        elif node.kind == "weight":
            assert ends.keys() == {node.port(number, cell) for cell in range(len(node.cells))}


@named
def test_lines_lead_downwards_and_boxes_do_not_overlap(row: NamedOperator) -> None:
    graph = graph_of(row.operator)
    for edge in graph.edges:
        assert graph.layer[edge.source.node] < graph.layer[edge.target.node]
    widths = [node.width for node in graph.nodes]
    found = arrange(widths, graph.layer, graph.edges, GAP)
    for members in found.layers:
        for left, right in pairwise(members):
            room = found.x[right] - found.x[left] - (widths[left] + widths[right]) / 2
            assert room >= GAP - 1e-6


@named
def test_a_picture_stands_alone_and_is_always_the_same(row: NamedOperator) -> None:
    svg = graph_svg(row.operator)
    assert graph_svg(row.operator) == svg
    assert parse(svg).tag.endswith("svg")
    assert not re.search(r"(href|src|url\()", svg)
    assert "prefers-color-scheme:dark" in svg
    title = parse(svg).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text == str(row.operator)


def test_what_x_does_not_read_is_expanded() -> None:
    shown = texts(graph_svg(syno.parse("[H] -> [H, W]\ny[h,w] = x[h]")))
    assert "expand" in shown
    assert "not read by x" in shown


def test_a_coordinate_that_only_a_weight_sees_cut_is_split_together_again() -> None:
    graph = graph_of(syno.parse("y[h] = x[h] * w1[h // s]"))
    titles = [node.title for node in graph.nodes]
    assert titles == ["", "merge s", "split", "x", "w1"]
    ties = {(edge.source.node, edge.target.node) for edge in graph.edges}
    assert ties == {(0, 1), (1, 2), (2, 3), (1, 4)}


def test_crossings_that_can_be_avoided_are() -> None:
    edges = [Edge(Port(0), Port(3)), Edge(Port(1), Port(2))]
    assert arrange([10.0] * 4, [0, 0, 1, 1], edges, GAP).crossings == 0


@given(st.data())
def test_any_graph_is_laid_out_inside_its_width(data: st.DataObject) -> None:
    layer = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=10))
    widths = data.draw(
        st.lists(st.floats(1, 90), min_size=len(layer), max_size=len(layer)), label="widths"
    )
    pairs = [(a, b) for a in range(len(layer)) for b in range(len(layer)) if layer[a] < layer[b]]
    chosen = data.draw(st.lists(st.sampled_from(pairs), max_size=12)) if pairs else []
    found = arrange(widths, layer, [Edge(Port(a), Port(b)) for a, b in chosen], GAP)
    for place, width in zip(found.x, widths, strict=True):
        assert place - width / 2 >= -1e-6
        assert place + width / 2 <= found.width + 1e-6
    for (a, b), route in zip(chosen, found.routes, strict=True):
        assert len(route) == layer[b] - layer[a] + 1
        assert (route[0], route[-1]) == (found.x[a], found.x[b])
