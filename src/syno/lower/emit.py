"""From a plan to readable source: one writer for all backends.

The writer follows the stages, keeps note of the labels of the running tensor, and asks a dialect
for the words. A dialect that knows library calls (`Calls`) is offered what `recognize` finds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import Protocol, runtime_checkable

from syno.ir.coord import Coord
from syno.lower.layout import Axes, Dialect, Tensor, gathered, rearrange, reshaped, singles
from syno.lower.pieces import Factor, Labels, View
from syno.lower.plan import Plan, Stage, describe
from syno.lower.recognize import (
    Convolution,
    Linear,
    Product,
    Scale,
    Window,
    recognize,
    roles_of,
    windows_of,
)

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Slide:
    """The numbers of one spatial axis of a convolution or pool."""

    def __init__(self, size: int = 1, left: int = 0, stride: int = 1, dilation: int = 1) -> None:
        self.size, self.left, self.stride, self.dilation = size, left, stride, dilation
        self.right = dilation * (size - 1) - left if stride == 1 or left else 0


@runtime_checkable
class Calls(Protocol):
    """What a dialect with library calls adds to `Dialect`."""

    def convolution(self, code: str, weight: str, slides: Sequence[Slide], groups: str) -> str: ...
    def linear(self, code: str, weight: str) -> str: ...
    def matmul(self, left: str, right: str) -> str: ...
    def pool(self, code: str, rank: int, sizes: Sequence[int]) -> str: ...
    def window_sum(
        self, code: str, axis: int, rank: int, slide: Slide, length: int
    ) -> tuple[str, str]: ...


def write_body(plan: Plan, dialect: Dialect) -> list[str]:
    """Return the lines of `forward(x, w1, w2, ...)` below its header, ending in a return."""
    return _Writer(plan, dialect).write()


class _Writer:
    """The running tensor and the lines so far."""

    def __init__(self, plan: Plan, dialect: Dialect) -> None:
        self.plan, self.dialect = plan, dialect
        self.calls = dialect if isinstance(dialect, Calls) else None
        self.lines: list[str] = []
        self.parts: dict[Coord, Labels] = {}
        self.windows: dict[Coord, Window] = {}
        self.virtual: set[Coord] = set()
        self.weights = {each.name: Tensor(each.name, each.axes) for each in plan.factors}
        self.joins = {v.after[0]: v.before for s in plan.stages for v in s.views if v.op == "merge"}
        self.tensor = Tensor("x", singles(plan.op.data))
        self.batch = dynamic_batch(plan)

    def write(self) -> list[str]:
        for number, stage in enumerate(self.plan.stages, start=1):
            self.lines.append(f"# {number}. {describe(self.plan.op, stage)}")
            self.stage(stage)
            self.flush()
        self.arrange(tuple(self.atoms(label) for label in self.plan.op.outputs))
        self.lines.append(f"return {self.tensor.code}")
        head = ["n = x.shape[0]"] if any(_reads_batch(line) for line in self.lines) else []
        return head + self.lines

    # Numbers and labels

    def length(self, label: Coord) -> int:
        return label.size.evaluate(self.plan.sizes)

    def lengths(self, labels: Labels) -> int:
        return prod(self.length(label) for label in labels)

    def extent(self, labels: Labels) -> str:
        """Return the length of an axis as source text; the batch is read from x."""
        known = self.lengths(tuple(label for label in labels if label is not self.batch))
        if self.batch not in labels:
            return str(known)
        return "n" if known == 1 else f"n * {known}"

    def atoms(self, label: Coord) -> Labels:
        """Return the labels that stand for `label` in memory: its parts where it is joined."""
        if label in self.tensor.labels:
            return (label,)
        parts = self.parts.get(label)
        if parts is None:
            parts = self.joins.get(label)
        if parts is None:
            return (label,)
        return tuple(atom for part in parts for atom in self.atoms(part))

    # The running tensor

    def set(self, code: str, axes: Axes) -> None:
        self.tensor = Tensor(code, axes)

    def flush(self) -> None:
        if self.tensor.code not in ("x", "t"):
            self.lines.append(f"t = {self.tensor.code}")
            self.set("t", self.tensor.axes)

    def arrange(self, axes: Axes) -> None:
        self.tensor = rearrange(self.tensor, axes, self.dialect, self.extent)

    def focus(self, label: Coord) -> int:
        """Give `label` an axis of its own and return its place."""
        atoms = self.atoms(label)
        self.arrange(gathered(self.tensor.axes, atoms))
        place = self.tensor.axes.index(atoms)
        axes = self.tensor.axes
        self.set(self.tensor.code, (*axes[:place], (label,), *axes[place + 1 :]))
        return place

    def relabel(self, place: int, labels: Labels, code: str | None = None) -> None:
        axes = self.tensor.axes
        self.set(code or self.tensor.code, (*axes[:place], labels, *axes[place + 1 :]))

    # Stages

    def stage(self, stage: Stage) -> None:
        if stage.product:
            self.product(stage)
            return
        self.windows, self.virtual = {}, set()
        summed = frozenset(atom for label in stage.summed for atom in self.atoms(label))
        found: dict[int, Window] = {}
        if self.calls is not None and (stage.factor is not None or stage.summed):
            labels = None if stage.factor is None else stage.factor.labels
            found = windows_of(stage.views, self.parts, labels, summed)
        for view in stage.views:
            self.view(view, found)
        if stage.factor is not None:
            self.contract(stage.factor, summed)
        elif summed:
            self.sum(summed)

    def view(self, view: View, found: dict[int, Window]) -> None:
        if view.op != "merge" and view.before and self.virtual.issuperset(view.before):
            self.virtual.update(view.after)
            return
        if view.op == "merge":
            self.parts[view.after[0]] = view.before
        elif view.op == "expand":
            size = self.length(view.after[0])
            code = self.dialect.repeat(self.tensor.code, len(self.tensor.axes), size)
            self.set(code, (*self.tensor.axes, view.after))
        elif view.op == "split":
            self.split(view)
        elif view.number in found:
            self.focus(view.before[0])
            self.windows[view.before[0]] = found[view.number]
            self.virtual.update(view.after)
        else:
            self.act(view)

    def split(self, view: View) -> None:
        """Put the pieces where the whole was; nothing to write."""
        label = view.before[0]
        if self.atoms(label) == view.after:
            return
        if self.atoms(label) != (label,):
            self.focus(label)
        axes = self.tensor.axes
        place = next(number for number, axis in enumerate(axes) if label in axis)
        self.relabel(
            place, tuple(x for old in axes[place] for x in (view.after if old is label else (old,)))
        )

    def act(self, view: View) -> None:
        """Write a roll, a slice or a window."""
        label = view.before[0]
        place = self.focus(label)
        code = self.tensor.code
        if view.op == "shift":
            assert isinstance(label.arg, int)
            self.relabel(place, view.after, self.dialect.roll(code, place, -label.arg))
        elif view.op == "stride":
            step = self.length(label) // self.length(view.after[0])
            self.relabel(place, view.after, self.dialect.slice(code, place, step))
        else:
            base, window = view.after
            rank = len(self.tensor.axes)
            self.relabel(
                place, (base,), self.dialect.window(code, place, rank, self.length(window))
            )
            self.set(self.tensor.code, (*self.tensor.axes, (window,)))
        self.flush()

    def product(self, stage: Stage) -> None:
        assert stage.factor is not None
        one, two = (self.weight(part) for part in stage.factor.parts)
        result = tuple(label for axis in stage.factor.axes for label in axis)
        code = self.einsum([one, two], result)
        self.lines.append(f"{stage.factor.name} = {code}")
        self.weights[stage.factor.name] = Tensor(stage.factor.name, singles(result))

    def weight(self, factor: Factor) -> Tensor:
        """Return a weight, reduced to the diagonal where one label indexes two dimensions."""
        tensor = self.weights[factor.name]
        labels = tensor.labels
        if len(set(labels)) == len(labels):
            return tensor
        apart = [self.extent((label,)) for label in labels]
        once = tuple(dict.fromkeys(labels))
        names = {label: _LETTERS[number] for number, label in enumerate(once)}
        spec = f"{''.join(names[x] for x in labels)}->{''.join(names[x] for x in once)}"
        code = self.dialect.einsum(spec, self.dialect.reshape(tensor.code, apart))
        return Tensor(code, singles(once))

    def einsum(self, tensors: Sequence[Tensor], result: Labels) -> str:
        """Return an einsum over all labels that `result` leaves out."""
        labels = dict.fromkeys(label for tensor in tensors for label in tensor.labels)
        names = {label: _LETTERS[number] for number, label in enumerate(labels)}
        apart = [
            rearrange(each, singles(each.labels), self.dialect, self.extent) for each in tensors
        ]
        left = ",".join("".join(names[label] for label in each.labels) for each in apart)
        spec = f"{left}->{''.join(names[label] for label in result)}"
        return self.dialect.einsum(spec, *(each.code for each in apart))

    def contract(self, factor: Factor, summed: frozenset[Coord]) -> None:
        self.plain_sum((summed - factor.labels).intersection(self.tensor.labels))
        weight = self.weight(factor)
        places = {x for window in self.windows.values() for x in window.places}
        plain = tuple(label for label in weight.labels if label not in places)
        data = tuple(label for label in self.tensor.labels if label not in self.windows)
        roles = roles_of(data, plain, summed)
        call = recognize(self.tensor.labels, self.windows, roles) if self.calls else None
        if roles.weight_summed:
            kept = tuple(label for label in weight.labels if label not in roles.weight_summed)
            weight = Tensor(self.einsum([weight], kept), singles(kept))
        if isinstance(call, Convolution):
            self.convolution(call, weight)
        elif isinstance(call, Linear):
            self.linear(call, weight)
        elif isinstance(call, Product):
            self.matmul(call, weight)
        elif isinstance(call, Scale):
            self.scale(call, weight)
        else:
            result = (*roles.kept, *roles.grouped, *roles.added)
            self.set(self.einsum([self.tensor, weight], result), singles(result))

    def scale(self, call: Scale, weight: Tensor) -> None:
        """Multiply elementwise, in the order of the tensor.

        Labels of the weight alone go behind those of both: a later sum finds them side by side.
        """
        parts = [run for axis in self.tensor.axes for run in _by_kind(axis, call.grouped)]
        last = [place for place, axis in enumerate(parts) if set(axis) <= set(call.grouped)]
        place = last[-1] + 1 if last else int(self.batch in self.tensor.labels)
        axes = (*parts[:place], *([call.added] if call.added else []), *parts[place:])
        code = f"{self.broadcast(self.tensor, axes)} * {self.broadcast(weight, axes)}"
        self.set(code, axes)
        self.flush()

    def broadcast(self, tensor: Tensor, axes: Axes) -> str:
        """Return `tensor` arranged along `axes`, with length 1 where it has no such labels."""
        own = tuple(axis for axis in axes if set(axis) <= set(tensor.labels))
        code = rearrange(tensor, own, self.dialect, self.extent).code
        shown = axes[axes.index(own[0]) :] if own else axes[-1:]
        if len(shown) == len(own):
            return code
        lengths = [self.extent(axis) if axis in own else "1" for axis in shown]
        return reshaped(code, lengths, self.dialect)

    def matmul(self, call: Product, weight: Tensor) -> None:
        assert self.calls is not None
        self.arrange((call.batch, call.grouped, call.contracted, call.columns))
        matrix = (call.grouped, call.added, call.contracted)
        weight = rearrange(weight, matrix, self.dialect, self.extent)
        code = self.calls.matmul(weight.code, self.tensor.code)
        self.set(code, (call.batch, call.grouped, call.added, call.columns))

    def linear(self, call: Linear, weight: Tensor) -> None:
        assert self.calls is not None
        kept = tuple(axis for axis in self.tensor.axes if axis and set(axis) <= set(call.kept))
        if tuple(label for axis in kept for label in axis) != call.kept:
            kept = singles(call.kept)
        self.arrange((*kept, call.contracted))
        matrix = rearrange(weight, (call.added, call.contracted), self.dialect, self.extent)
        self.set(self.calls.linear(self.tensor.code, matrix.code), (*kept, call.added))

    def convolution(self, call: Convolution, weight: Tensor) -> None:
        assert self.calls is not None
        self.arrange((call.batch, (*call.grouped, *call.contracted), *call.spatial))
        kernel: Axes = tuple(
            self.windows[axis[0]].places if axis[0] in self.windows else () for axis in call.spatial
        )
        outer = (*call.grouped, *call.added)
        weight = rearrange(weight, (outer, call.contracted, *kernel), self.dialect, self.extent)
        slides = [self.slide(axis) for axis in call.spatial]
        code = self.calls.convolution(
            self.tensor.code, weight.code, slides, self.extent(call.grouped)
        )
        self.set(code, (call.batch, outer, *(self.base(axis) for axis in call.spatial)))

    def base(self, axis: Labels) -> Labels:
        return self.windows[axis[0]].base if axis and axis[0] in self.windows else axis

    def slide(self, axis: Labels) -> Slide:
        window = self.windows.get(axis[0]) if axis else None
        if window is None:
            return Slide()
        whole = self.length(window.view.after[1])
        size = self.lengths(window.places)
        step = self.length(window.label) // self.lengths(window.base)
        return Slide(size, whole // 2, step, whole // size)

    def sum(self, summed: frozenset[Coord]) -> None:
        """Sum labels: windows by adding their places, blocks by a pool, the rest by a sum."""
        for label in list(self.windows):
            self.window_sum(label)
        summed &= set(self.tensor.labels)
        blocks = self.blocks(summed) if self.calls is not None else {}
        self.plain_sum(summed - set(blocks.values()))
        if blocks:
            self.pool(blocks)

    def plain_sum(self, labels: frozenset[Coord]) -> None:
        if labels:
            axes = gathered_many(self.tensor.axes, labels)
            self.arrange(axes)
            where = [number for number, axis in enumerate(axes) if set(axis) & labels]
            left = tuple(axis for axis in axes if not set(axis) & labels)
            self.set(self.dialect.sum(self.tensor.code, where), left)

    def window_sum(self, label: Coord) -> None:
        assert self.calls is not None
        place = self.focus(label)
        slide, rank = self.slide((label,)), len(self.tensor.axes)
        window = self.windows.pop(label)
        length = self.lengths(window.base)
        padded, code = self.calls.window_sum(self.tensor.code, place, rank, slide, length)
        self.lines.append(f"t = {padded}")
        self.relabel(place, window.base, code)
        self.flush()

    def blocks(self, summed: frozenset[Coord]) -> dict[Labels, Coord]:
        """Return the last axes (..., r) of which r alone is summed: pools of stride |r|."""
        axes = self.tensor.axes
        if not 3 <= len(axes) <= 4 or any(set(axis) & summed for axis in axes[:-2]):
            return {}
        found = {axis: axis[-1] for axis in axes[-2:] if axis and axis[-1] in summed}
        fits = all(len(axis) > 1 and not set(axis[:-1]) & summed for axis in found)
        return found if fits else {}

    def pool(self, blocks: dict[Labels, Coord]) -> None:
        assert self.calls is not None
        axes = self.tensor.axes
        sizes = [self.length(blocks[axis]) if axis in blocks else 1 for axis in axes[-2:]]
        after = tuple(axis[:-1] if axis in blocks else axis for axis in axes)
        self.set(self.calls.pool(self.tensor.code, len(axes), sizes), after)


def _by_kind(axis: Labels, chosen: Labels) -> list[Labels]:
    """Cut an axis where labels among `chosen` meet others."""
    runs: list[list[Coord]] = []
    for label in axis:
        if runs and (runs[-1][-1] in chosen) == (label in chosen):
            runs[-1].append(label)
        else:
            runs.append([label])
    return [tuple(run) for run in runs]


def _reads_batch(line: str) -> bool:
    """Tell whether a line of code names the batch."""
    return not line.startswith("#") and re.search(r"\bn\b", line) is not None


def gathered_many(axes: Axes, labels: frozenset[Coord]) -> Axes:
    """Return `axes` cut so that each of `labels` has an axis of its own."""
    for label in [label for axis in axes for label in axis if label in labels]:
        axes = gathered(axes, (label,))
    return axes


def dynamic_batch(plan: Plan) -> Coord | None:
    """Return the leading dimension of x if it passes untouched as the leading one of y."""
    op = plan.op
    if not op.data or not op.outputs or op.data[0] is not op.outputs[0]:
        return None
    leaf = op.data[0]
    elsewhere = (*op.data[1:], *(coord for index in op.weights for coord in index))
    return None if any(leaf in coord.leaves() for coord in elsewhere) else leaf
