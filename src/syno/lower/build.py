"""From a plan to a program: the writer follows the stages and notes where labels stand.

Where a stage can be computed in several ways (a grouped convolution, a batched product over
windows, a convolution without groups whose kernel is zero elsewhere) the writer tries each and
keeps the one that the machine is predicted to finish first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from string import ascii_letters

from syno.ir.coord import Coord
from syno.lower import values
from syno.lower.layout import (
    Axes,
    Tensor,
    by_kind,
    gathered,
    gathered_many,
    rearrange,
    singles,
)
from syno.lower.pieces import Factor, Labels, View
from syno.lower.plan import Plan, Stage, dynamic_batch
from syno.lower.program import Extent, Program, Slide, Statement, Value
from syno.lower.recognize import (
    Call,
    Convolution,
    Linear,
    Product,
    Roles,
    Scale,
    Window,
    as_convolution,
    recognize,
    roles_of,
    windows_of,
)

_LONGEST_POOL = 8
_CLEARLY = 0.88  # of the time of the library call: the clock is about so good
_DENSE = 64  # groups up to which a kernel is filled with zeros

Clock = Callable[[Value], float]
"""Predicted seconds of one value, its operands being there."""


def build(plan: Plan, clock: Clock | None, *, calls: bool = True) -> Program:
    """Return the program of a plan; with `calls`, stages become library calls where they are one.

    `clock` chooses between ways to compute a stage; without one the first is taken.
    """
    return _Writer(plan, clock, calls).write()


class _Writer:
    """The running tensor and the statements so far."""

    def __init__(self, plan: Plan, clock: Clock | None, calls: bool) -> None:
        self.plan, self.clock, self.calls = plan, clock, calls
        self.statements: list[Statement] = []
        self.parts: dict[Coord, Labels] = {}
        self.windows: dict[Coord, Window] = {}
        self.virtual: set[Coord] = set()
        self.weights: dict[str, Tensor] = {}
        for each in plan.factors:
            shape = tuple(self.lengths(axis) for axis in each.axes)
            value = values.argument(each.name, shape, fixed=True)
            self.weights[each.name] = Tensor(value, each.axes)
        self.joins = {v.after[0]: v.before for s in plan.stages for v in s.views if v.op == "merge"}
        data = singles(plan.op.data)
        shape = tuple(self.lengths(axis) for axis in data)
        self.tensor = Tensor(values.argument("x", shape, fixed=False), data)
        self.inputs = (self.tensor.value, *(each.value for each in self.weights.values()))
        self.batch = dynamic_batch(plan)

    def write(self) -> Program:
        for number, stage in enumerate(self.plan.stages):
            self.statements.append(Statement(stage=number))
            self.stage(stage)
            self.flush()
        self.arrange(tuple(self.atoms(label) for label in self.plan.op.outputs))
        return Program(self.plan, self.inputs, tuple(self.statements), self.tensor.value)

    def length(self, label: Coord) -> int:
        return label.size.evaluate(self.plan.sizes)

    def lengths(self, labels: Labels) -> int:
        return prod(self.length(label) for label in labels)

    def extent(self, labels: Labels) -> Extent:
        """Return the length of an axis, also as source text; the batch is read from x."""
        length = self.lengths(labels)
        if self.batch not in labels:
            return Extent(length, str(length))
        known = length // self.length(self.batch)
        return Extent(length, "n" if known == 1 else f"n * {known}")

    def atoms(self, label: Coord) -> Labels:
        """Return the labels that stand for `label` in memory: its parts where it is joined."""
        if label in self.tensor.labels:
            return (label,)
        parts = self.parts.get(label) or self.joins.get(label)
        if parts is None:
            return (label,)
        return tuple(atom for part in parts for atom in self.atoms(part))

    # The running tensor

    def set(self, value: Value, axes: Axes) -> None:
        self.tensor = Tensor(value, axes)

    def flush(self) -> None:
        """Make the running tensor a statement of its own."""
        self.statements.append(Statement(self.tensor.value))

    def arrange(self, axes: Axes) -> None:
        self.tensor = rearrange(self.tensor, axes, self.extent)

    def focus(self, label: Coord) -> int:
        """Give `label` an axis of its own and return its place."""
        atoms = self.atoms(label)
        self.arrange(gathered(self.tensor.axes, atoms))
        place = self.tensor.axes.index(atoms)
        axes = self.tensor.axes
        self.set(self.tensor.value, (*axes[:place], (label,), *axes[place + 1 :]))
        return place

    def relabel(self, place: int, labels: Labels, value: Value | None = None) -> None:
        axes = self.tensor.axes
        self.set(value or self.tensor.value, (*axes[:place], labels, *axes[place + 1 :]))

    # Stages

    def stage(self, stage: Stage) -> None:
        if stage.product:
            self.product(stage)
            return
        self.windows, self.virtual = {}, set()
        found: dict[int, Window] = {}
        if self.calls and (stage.factor is not None or stage.summed):
            labels = None if stage.factor is None else stage.factor.labels
            found = windows_of(stage.views, self.parts, labels, self.pieces(stage.summed))
        last = stage.views[-1] if stage.views and stage.factor is None else None
        if last is not None and last.op == "diagonal" and stage.summed == last.after[1:]:
            for view in stage.views[:-1]:
                self.view(view, {})
            self.sheared_sum(last)
            return
        for view in stage.views:
            self.view(view, found)
        summed = frozenset(atom for label in stage.summed for atom in self.atoms(label))
        if stage.factor is not None:
            self.contract(stage.factor, summed)
        elif summed:
            self.sum(summed)

    def pieces(self, labels: Labels) -> frozenset[Coord]:
        """Return labels, as a whole and in all parts that views cut them into."""
        parts = (self.pieces(self.joins.get(label, ())) for label in labels)
        return frozenset(labels).union(*parts)

    def view(self, view: View, found: dict[int, Window]) -> None:
        if view.op != "merge" and view.before and self.virtual.issuperset(view.before):
            self.virtual.update(view.after)
            return
        if view.op == "merge":
            self.parts[view.after[0]] = view.before
        elif view.op == "expand":
            value = values.repeat(self.tensor.value, self.length(view.after[0]))
            self.set(value, (*self.tensor.axes, view.after))
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
        """Write a roll, a slice, a window or a diagonal."""
        label = view.before[0]
        place = self.focus(label)
        value = self.tensor.value
        if view.op == "shift":
            assert isinstance(label.arg, int)
            self.relabel(place, view.after, values.roll(value, place, -label.arg))
        elif view.op == "stride":
            step = self.length(label) // self.length(view.after[0])
            self.relabel(place, view.after, values.cut(value, place, step=step))
        elif view.op == "diagonal":
            self.diagonal(view)
        else:
            self.open(place, view)
        self.flush()

    def open(self, place: int, view: View) -> None:
        """Put a window last, its base where the axis `place` was."""
        base, window = view.after
        value = values.window(self.tensor.value, place, self.length(window))
        self.relabel(place, (base,), value)
        self.set(value, (*self.tensor.axes, (window,)))

    def diagonal(self, view: View) -> None:
        """Move the axis of a window by the place that the tensor holds already."""
        place, places = self.sheared(view)
        self.relabel(place, view.after[:1], values.diagonal(self.tensor.value, place, places))

    def sheared(self, view: View) -> tuple[int, int]:
        """Return the axis that a shear moves, and that of the places it is moved by."""
        label, window = view.before
        self.focus(window)
        place = self.focus(label)
        return place, self.tensor.axes.index((window,))

    def sheared_sum(self, view: View) -> None:
        """Add the places of a shear as they are moved."""
        place, places = self.sheared(view)
        value = values.sheared_sum(self.tensor.value, place, places)
        self.relabel(place, view.after[:1])
        left = (*self.tensor.axes[:places], *self.tensor.axes[places + 1 :])
        self.set(values.reshape(value, [self.extent(axis) for axis in left]), left)

    def product(self, stage: Stage) -> None:
        assert stage.factor is not None
        one, two = (self.weight(part) for part in stage.factor.parts)
        result = tuple(label for axis in stage.factor.axes for label in axis)
        value = self.einsum([one, two], result)
        self.statements.append(Statement(value))
        self.weights[stage.factor.name] = Tensor(value, singles(result))

    def weight(self, factor: Factor) -> Tensor:
        """Return a weight, reduced to the diagonal where one label indexes two dimensions."""
        tensor = self.weights[factor.name]
        labels = tensor.labels
        if len(set(labels)) == len(labels):
            return tensor
        apart = [self.extent((label,)) for label in labels]
        once = tuple(dict.fromkeys(labels))
        names = {label: ascii_letters[number] for number, label in enumerate(once)}
        spec = f"{''.join(names[x] for x in labels)}->{''.join(names[x] for x in once)}"
        value = values.einsum(spec, values.reshape(tensor.value, apart))
        return Tensor(value, singles(once))

    def einsum(self, tensors: Sequence[Tensor], result: Labels) -> Value:
        """Return an einsum over all labels that `result` leaves out."""
        labels = dict.fromkeys(label for tensor in tensors for label in tensor.labels)
        names = {label: ascii_letters[number] for number, label in enumerate(labels)}
        apart = [rearrange(each, singles(each.labels), self.extent) for each in tensors]
        left = ",".join("".join(names[label] for label in each.labels) for each in apart)
        spec = f"{left}->{''.join(names[label] for label in result)}"
        return values.einsum(spec, *(each.value for each in apart))

    def contract(self, factor: Factor, summed: frozenset[Coord]) -> None:
        self.plain_sum((summed - factor.labels).intersection(self.tensor.labels))
        weight = self.weight(factor)
        places = {x for window in self.windows.values() for x in window.places}
        plain = tuple(label for label in weight.labels if label not in places)
        data = tuple(label for label in self.tensor.labels if label not in self.windows)
        roles = roles_of(data, plain, summed)
        if roles.weight_summed:
            kept = tuple(label for label in weight.labels if label not in roles.weight_summed)
            weight = Tensor(self.einsum([weight], kept), singles(kept))
        if not self.calls:
            self.call(None, roles, weight)
            return
        call = recognize(self.tensor.labels, self.windows, roles)
        self.choose([*self.ways(call, roles, weight), *self.unfolded(weight, summed)])

    def ways(self, call: Call, roles: Roles, weight: Tensor) -> list[Callable[[], None]]:
        """Return the ways in which `call` can be computed."""
        ways = [lambda: self.call(call, roles, weight)]
        if isinstance(call, Product):
            if self.lengths(call.grouped) <= _DENSE:
                ways.append(lambda: self.dense_product(call, weight))
            as_call = as_convolution(self.tensor.labels, {}, roles)
            if as_call is not None:
                ways.append(lambda: self.convolution(as_call, weight))
        elif isinstance(call, Convolution):
            if 1 < self.lengths(call.grouped) <= _DENSE:
                ways.append(lambda: self.convolution(call, weight, dense=True))
            if not self.windows and not call.grouped:
                columns = tuple(label for axis in call.spatial for label in axis)
                product = Product(call.batch, (), call.contracted, call.added, columns)
                ways.append(lambda: self.matmul(product, weight))
        return ways

    def unfolded(self, weight: Tensor, summed: frozenset[Coord]) -> list[Callable[[], None]]:
        """Return the way that opens all windows and then multiplies, if it can."""
        windows = dict(self.windows)
        if not windows or any(
            (each.strided and each.places) or each.dilated for each in windows.values()
        ):
            return []

        def way() -> None:
            for label, window in windows.items():
                if not window.places:
                    self.skip(self.focus(label), window)
                    continue
                self.open(self.focus(label), window.view)
                self.relabel(len(self.tensor.axes) - 1, window.places)
                place = self.tensor.axes.index(window.view.after[:1])
                self.relabel(place, window.base)
            self.windows = {}
            roles = roles_of(self.tensor.labels, weight.labels, summed)
            call = recognize(self.tensor.labels, {}, roles)
            self.choose(self.ways(call, roles, weight))

        return [way]

    def skip(self, place: int, window: Window) -> None:
        """Leave out what a stride steps over."""
        step = self.length(window.label) // self.lengths(window.base)
        value = values.cut(self.tensor.value, place, step=step)
        self.relabel(place, window.base, value)

    def choose(self, ways: Sequence[Callable[[], None]]) -> None:
        """Go the first way, unless another is predicted to be clearly faster."""
        if self.clock is None or len(ways) == 1:
            ways[0]()
            return
        tensor, windows, length = self.tensor, self.windows, len(self.statements)
        results: list[tuple[float, int, Tensor, list[Statement]]] = []
        for number, way in enumerate(ways):
            self.tensor, self.windows = tensor, dict(windows)
            way()
            seconds = self.seconds(self.tensor.value, tensor.value)
            added = self.statements[length:]
            del self.statements[length:]
            results.append((seconds, number, self.tensor, added))
        best = min(results, key=lambda each: each[:2])
        *_, self.tensor, added = best if best[0] < _CLEARLY * results[0][0] else results[0]
        self.statements += added
        self.windows = {}

    def seconds(self, value: Value, before: Value) -> float:
        """Return the predicted time of all that leads from `before` to `value`, weights aside."""
        assert self.clock is not None
        seen, waiting, found = {before}, [value], 0.0
        while waiting:
            each = waiting.pop()
            if each in seen or each.fixed:
                continue
            seen.add(each)
            waiting.extend(each.operands)
            found += self.clock(each)
        return found

    def call(self, call: Call, roles: Roles, weight: Tensor) -> None:
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
        parts = [run for axis in self.tensor.axes for run in by_kind(axis, call.grouped)]
        last = [place for place, axis in enumerate(parts) if set(axis) <= set(call.grouped)]
        place = last[-1] + 1 if last else int(self.batch in self.tensor.labels)
        axes = (*parts[:place], *([call.added] if call.added else []), *parts[place:])
        one, two = self.broadcast(self.tensor, axes), self.broadcast(weight, axes)
        self.set(values.multiply(one, two), axes)
        self.flush()

    def broadcast(self, tensor: Tensor, axes: Axes) -> Value:
        """Return `tensor` arranged along `axes`, with length 1 where it has no such labels."""
        own = tuple(axis for axis in axes if set(axis) <= set(tensor.labels))
        value = rearrange(tensor, own, self.extent).value
        shown = axes[axes.index(own[0]) :] if own else axes[-1:]
        one = Extent(1, "1")
        return values.reshape(value, [self.extent(axis) if axis in own else one for axis in shown])

    def matmul(self, call: Product, weight: Tensor) -> None:
        groups = (call.grouped,) if call.grouped else ()
        self.arrange((call.batch, *groups, call.contracted, call.columns))
        weight = rearrange(weight, (*groups, call.added, call.contracted), self.extent)
        value = values.matmul(weight.value, self.tensor.value)
        self.set(value, (call.batch, *groups, call.added, call.columns))

    def dense_product(self, call: Product, weight: Tensor) -> None:
        """Multiply by one matrix that is zero outside of the groups."""
        outer, inner = (*call.grouped, *call.added), (*call.grouped, *call.contracted)
        self.arrange((call.batch, inner, call.columns))
        weight = rearrange(weight, (outer, call.contracted), self.extent)
        matrix = values.densify(weight.value, self.lengths(call.grouped))
        value = values.matmul(matrix, self.tensor.value)
        self.set(value, (call.batch, outer, call.columns))

    def linear(self, call: Linear, weight: Tensor) -> None:
        kept = tuple(axis for axis in self.tensor.axes if axis and set(axis) <= set(call.kept))
        if tuple(label for axis in kept for label in axis) != call.kept:
            kept = singles(call.kept)
        self.arrange((*kept, call.contracted))
        matrix = rearrange(weight, (call.added, call.contracted), self.extent)
        self.set(values.linear(self.tensor.value, matrix.value), (*kept, call.added))

    def convolution(self, call: Convolution, weight: Tensor, *, dense: bool = False) -> None:
        self.arrange((call.batch, (*call.grouped, *call.contracted), *call.spatial))
        kernel: Axes = tuple(
            self.windows[axis[0]].places if axis[0] in self.windows else () for axis in call.spatial
        )
        outer = (*call.grouped, *call.added)
        matrix = rearrange(weight, (outer, call.contracted, *kernel), self.extent).value
        groups = self.lengths(call.grouped)
        if dense:
            matrix, groups = values.densify(matrix, groups), 1
        slides = [self.slide(axis) for axis in call.spatial]
        value = values.convolution(self.tensor.value, matrix, slides, groups)
        self.set(value, (call.batch, outer, *(self.base(axis) for axis in call.spatial)))
        self.windows = {}

    def base(self, axis: Labels) -> Labels:
        return self.windows[axis[0]].base if axis and axis[0] in self.windows else axis

    def slide(self, axis: Labels) -> Slide:
        window = self.windows.get(axis[0]) if axis else None
        if window is None:
            return Slide()
        whole = self.lengths(window.view.after[1:])
        size = self.lengths(window.places)
        step = self.length(window.label) // self.lengths(window.base)
        left, dilation = whole // 2, whole // size
        right = dilation * (size - 1) - left if step == 1 or left else 0
        return Slide(size, left, right, step, dilation)

    def sum(self, summed: frozenset[Coord]) -> None:
        """Sum labels: windows by adding their places, blocks by a pool, the rest by a sum."""
        for label in list(self.windows):
            self.window_sum(label)
        summed &= set(self.tensor.labels)
        blocks = self.blocks(summed) if self.calls else {}
        self.plain_sum(summed - set(blocks.values()))
        if blocks:
            self.pool(blocks)

    def plain_sum(self, labels: frozenset[Coord]) -> None:
        if labels:
            axes = gathered_many(self.tensor.axes, labels)
            self.arrange(axes)
            where = [number for number, axis in enumerate(axes) if set(axis) & labels]
            left = tuple(axis for axis in axes if not set(axis) & labels)
            self.set(values.total(self.tensor.value, where), left)

    def window_sum(self, label: Coord) -> None:
        """Add the places of a window: several times faster than a pool."""
        place = self.focus(label)
        slide = self.slide((label,))
        window = self.windows.pop(label)
        padded = values.padded(self.tensor.value, place, slide.left, slide.right)
        reach = (self.lengths(window.base) - 1) * slide.stride + 1
        starts = [number * slide.dilation for number in range(slide.size)]
        slices = [values.cut(padded, place, x, x + reach, slide.stride) for x in starts]
        self.relabel(place, window.base, values.add(slices))
        self.flush()

    def blocks(self, summed: frozenset[Coord]) -> dict[Labels, Coord]:
        """Return the axes (..., r) of which r alone is summed, if it is short: a pool."""
        return {
            axis: axis[-1]
            for axis in self.tensor.axes
            if len(axis) > 1
            and set(axis) & summed == {axis[-1]}
            and self.length(axis[-1]) <= _LONGEST_POOL
        }

    def pool(self, blocks: dict[Labels, Coord]) -> None:
        axes, value = self.tensor.axes, self.tensor.value
        for place, axis in enumerate(axes):
            if axis in blocks:
                size = self.length(blocks[axis])
                value = values.add([values.cut(value, place, n, step=size) for n in range(size)])
        self.set(value, tuple(axis[:-1] if axis in blocks else axis for axis in axes))
