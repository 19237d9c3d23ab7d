"""Plans: in which order an operator is computed, and what is summed on the way.

A plan is a list of stages; a stage is some views of one tensor and then at most one contraction.
The choice is an exact shortest-path search over what can be done next: a window, a shift, a
broadcast, a contraction with a weight, a product of two weights, or a sum. A reduction that no
later weight reads is summed at once: the materialized reduction of the paper. The length of a path
is its multiply-adds, then the elements it moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from syno.ir.coord import Coord
from syno.ir.operator import Operator
from syno.ir.text import format_coord, leaf_names
from syno.lower.pieces import Factor, Labels, View, factors_of


@dataclass(frozen=True)
class Stage:
    """Views of the running tensor, then at most one contraction.

    `factor` is the weight it is multiplied with (None: a plain sum, or views alone); `product`
    tells that the factor is made here from two weights and the running tensor is not touched.
    `summed` are the reductions summed, `result` the labels afterwards, `flops` multiply-adds.
    """

    views: tuple[View, ...]
    factor: Factor | None
    summed: Labels
    result: Labels
    flops: int
    product: bool = False


@dataclass(frozen=True)
class Plan:
    """How one operator is computed under one binding."""

    op: Operator
    sizes: Mapping[str, int]
    stages: tuple[Stage, ...]
    factors: tuple[Factor, ...]

    @property
    def flops(self) -> int:
        """Multiply-adds of one forward, each counted once; an addition of a pool counts one too."""
        return sum(stage.flops for stage in self.stages)

    @property
    def parameters(self) -> int:
        """Number of weight elements."""
        return sum(prod(shape) for shape in self.op.weight_shapes(self.sizes).values())

    def __str__(self) -> str:
        lines = [
            f"{number}. {describe(self.op, stage)}"
            for number, stage in enumerate(self.stages, start=1)
        ]
        total = f"total: {self.flops:,} multiply-adds, {self.parameters:,} parameters"
        return "\n".join([*lines, total])


def plan(op: Operator, sizes: Mapping[str, int]) -> Plan:
    """Return the cheapest plan of `op` under `sizes`.

    Raises SizeError where a size is not a whole number, OperatorError where no order of the steps
    computes the operator.
    """
    needed = {name: sizes[name] for name in op.symbols if name in sizes}
    return _plan(op, tuple(sorted(needed.items())))


@lru_cache(maxsize=1024)
def _plan(op: Operator, items: tuple[tuple[str, int], ...]) -> Plan:
    from syno.lower.planner import Planner

    sizes = dict(items)
    op.input_shape(sizes), op.output_shape(sizes)
    return Plan(op, sizes, Planner(op, sizes).run(), factors_of(op))


_VERBS = {
    "split": "split",
    "merge": "join",
    "shift": "roll",
    "stride": "slice",
    "unfold": "window",
    "expand": "repeat",
}


def describe(op: Operator, stage: Stage) -> str:
    """Return one line that says what `stage` does, in the names of the formula."""
    names = leaf_names(op)

    def show(labels: Labels) -> str:
        return ", ".join(format_coord(label, names) for label in labels)

    done = [_describe_view(view, show(view.before), show(view.after)) for view in stage.views]
    if stage.factor is not None:
        index = ", ".join(show(axis) for axis in stage.factor.axes)
        if stage.product:
            one, two = stage.factor.parts
            done.append(f"{stage.factor.name}[{index}] = {one.name} * {two.name}")
        else:
            done.append(f"multiply by {stage.factor.name}[{index}]")
    if stage.summed:
        done.append(f"sum over {show(stage.summed)}")
    cost = f" [{stage.flops:,} multiply-adds]" if stage.flops else ""
    return ("; ".join(done) or "nothing to do") + cost


def _describe_view(view: View, before: str, after: str) -> str:
    if view.op == "diagonal":
        return f"shear ({before}) into ({after})"
    if not view.before:
        return f"repeat along {after}"
    if view.op == "merge":
        return f"join ({before}) into {after}"
    return f"{_VERBS[view.op]} {before} into ({after})"


def dynamic_batch(plan: Plan) -> Coord | None:
    """Return the leading dimension of x if it passes untouched as the leading one of y."""
    op = plan.op
    if not op.data or not op.outputs or op.data[0] is not op.outputs[0]:
        return None
    leaf = op.data[0]
    elsewhere = (*op.data[1:], *(coord for index in op.weights for coord in index))
    return None if any(leaf in coord.leaves() for coord in elsewhere) else leaf
