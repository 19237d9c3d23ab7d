"""The picture of an operator: from output iterators through primitives to x and the weights.

`graph_of` turns an operator into nodes and edges, `graph_svg` into a drawing that stands alone and
follows the light or dark setting of its reader.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from syno.ir.coord import Coord
from syno.ir.cuts import Cuts
from syno.ir.operator import Index, Operator
from syno.ir.steps import Step, steps
from syno.ir.text import format_coord, leaf_names
from syno.report.drawing import Cell, Node, draw
from syno.report.layout import Edge, Port


@dataclass
class Graph:
    """Nodes with their layers and edges, ready to be laid out."""

    nodes: list[Node] = field(default_factory=list)
    layer: list[int] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    def add(self, node: Node, layer: int) -> int:
        """Append a node and return its number."""
        self.nodes.append(node)
        self.layer.append(layer)
        return len(self.nodes) - 1


def graph_svg(op: Operator) -> str:
    """Return a picture of `op` as one SVG element that needs nothing beside it.

    Raises OperatorError where the primitives cannot build `op`.
    """
    graph = graph_of(op)
    return draw(graph.nodes, graph.layer, graph.edges, op.text)


def graph_of(op: Operator) -> Graph:
    """Return the nodes and edges of `op`; the iterators stand in layer 0, x in the last."""
    return _Builder(op).build()


class _Builder:
    """Follows the steps of one operator; `current` knows which port gives a coordinate."""

    def __init__(self, op: Operator) -> None:
        self.op = op
        self.names = leaf_names(op)
        self.graph = Graph()
        self.current: dict[Coord, Port] = {}
        self.seen_by: dict[int, list[tuple[Port, int]]] = {}
        self.cuts = Cuts(node for top in op.coordinates for node in top.walk())

    def build(self) -> Graph:
        for leaf in (*self.op.outputs, *self.op.reductions):
            self._iterator(leaf)
        for step in steps(self.op):
            if step.primitive == "contract":
                self._remember_weight(step)
            elif step.primitive != "reduce":
                self._primitive(step)
        last = max(self.graph.layer, default=0) + 1
        x = self._tensor("input", "x", self.op.data, last)
        self._tie(x, [(self.current[coord], cell) for cell, coord in enumerate(self.op.data)])
        for number, index in enumerate(self.op.weights):
            weight = self._tensor("weight", f"w{number + 1}", index, last)
            self._tie(weight, self.seen_by.get(number, []))
        return self.graph

    def _iterator(self, leaf: Coord) -> None:
        cell = Cell(self.names[leaf], str(leaf.size))
        node = Node(leaf.op, "", (cell,))
        self.current[leaf] = node.port(self.graph.add(node, 0), 0)

    def _primitive(self, step: Step) -> None:
        title = step.primitive if step.arg is None else f"{step.primitive} {step.arg}"
        cells = [Cell(format_coord(c, self.names), str(c.size)) for c in step.yields]
        node = Node("primitive", title, tuple(cells) or (Cell("not read by x", ""),))
        sources = [self.current[coord] for coord in step.consumes]
        layer = max((self.graph.layer[port.node] for port in sources), default=0) + 1
        number = self.graph.add(node, layer)
        spread = node.width / (len(sources) + 1)
        for place, port in enumerate(sources, start=1):
            target = Port(number, place * spread - node.width / 2)
            self.graph.edges.append(Edge(port, target, self._origin(port)))
        for cell, coord in enumerate(step.yields):
            self.current[coord] = node.port(number, cell)

    def _tensor(self, kind: str, name: str, index: Index, layer: int) -> int:
        cells = tuple(Cell(str(coord.size), "") for coord in index)
        return self.graph.add(Node(kind, name, cells or (Cell("1", ""),)), layer)

    def _remember_weight(self, step: Step) -> None:
        """Keep which ports a weight sees now: later steps may consume the coordinates."""
        assert step.weight is not None
        found = []
        for cell, coord in enumerate(self.op.weights[step.weight]):
            known = coord in self.current
            parts = (coord,) if known else self.cuts.pieces(coord)
            found += [(self.current[part], cell) for part in parts]
        self.seen_by[step.weight] = found

    def _tie(self, number: int, ports: list[tuple[Port, int]]) -> None:
        node = self.graph.nodes[number]
        for port, cell in ports:
            kind = "weight" if node.kind == "weight" else self._origin(port)
            self.graph.edges.append(Edge(port, node.port(number, cell), kind))

    def _origin(self, port: Port) -> str:
        kind = self.graph.nodes[port.node].kind
        return kind if kind == "reduce" else "data"


__all__ = ["Graph", "graph_of", "graph_svg"]
