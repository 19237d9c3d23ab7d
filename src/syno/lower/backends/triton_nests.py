"""Loop nests: what one generated kernel computes, found by following a value to what it reads.

An element of a value is a sum, over loops, of a product of elements in memory; views are arithmetic
on the indices, and what they read as zero is a condition. `Tracer` follows a value down to inputs,
results of library calls, and sums that have to be finished before they are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from syno.lower.backends.triton_index import (
    BATCH,
    Index,
    Var,
    cuts,
    iterator,
    joined,
    reshaped,
)
from syno.lower.program import Slide, Value

Indices = tuple[Index, ...]

_FUSED = 64  # additions up to which sums of sums are one loop nest


@dataclass(frozen=True)
class Condition:
    """`0 <= index < length`; with `same`, `index == same`."""

    index: Index
    length: int
    same: Index | None = None

    def indices(self) -> Indices:
        """All indices in it."""
        return (self.index,) if self.same is None else (self.index, self.same)


@dataclass(frozen=True)
class Load:
    """One element of `value`, or zero where a condition does not hold."""

    value: Value
    place: Index
    conditions: tuple[Condition, ...]

    def indices(self) -> Indices:
        """All indices in it."""
        return (self.place, *(index for each in self.conditions for index in each.indices()))

    def vars(self) -> frozenset[Var]:
        """All iterators in it."""
        return frozenset(var for index in self.indices() for var in index.vars())


@dataclass(frozen=True)
class Nest:
    """`y[place] = sum over loops of the product of loads`, for all of `outputs`."""

    outputs: tuple[Var, ...]
    loops: tuple[Var, ...]
    loads: tuple[Load, ...]
    place: Index


@dataclass(frozen=True)
class _State:
    """What holds on the way down: conditions, and which sums may still be entered."""

    conditions: tuple[Condition, ...] = ()
    products: bool = True  # any sum
    sums: bool = True  # short sums of sums

    def closed(self) -> _State:
        return replace(self, products=False, sums=False)


class Lengths:
    """The lengths of values, those that depend on the batch as multiples of `BATCH`."""

    def __init__(self, *, dynamic: bool) -> None:
        self.dynamic = dynamic
        self.known: dict[Value, tuple[int, ...]] = {}

    def of(self, value: Value) -> tuple[int, ...]:
        """Return the lengths of a value."""
        if value not in self.known:
            self.known[value] = self._found(value)
        return self.known[value]

    def _found(self, value: Value) -> tuple[int, ...]:
        if value.op == "reshape":
            return tuple(map(_length, value.options["extents"]))
        if value.op == "input":
            first = self.dynamic and not value.fixed
            return (BATCH, *value.shape[1:]) if first else value.shape
        wholes = self._carried(value)
        return tuple(
            whole if whole and whole % BATCH == 0 else length
            for whole, length in zip(wholes, value.shape, strict=True)
        )

    def _carried(self, value: Value) -> Sequence[int]:
        """Return the lengths of the axes of operands that pass as axes of `value`, 0 for others."""
        operands = [self.of(each) for each in value.operands]
        if value.op == "permute":
            return [operands[0][place] for place in value.options["order"]]
        if value.op == "sum":
            axes = value.options["axes"]
            return [length for place, length in enumerate(operands[0]) if place not in axes]
        if value.op == "einsum":
            left, _, right = value.options["spec"].partition("->")
            known: dict[str, int] = {}
            for names, lengths in zip(left.split(","), operands, strict=True):
                known |= dict(zip(names, lengths, strict=True))
            return [known[name] for name in right]
        if value.op in ("multiply", "matmul"):
            kept = len(value.shape) - (2 if value.op == "matmul" else 0)
            skipped = len(value.shape) - kept
            found = [0] * len(value.shape)
            for lengths in operands:
                for place in range(skipped + 1, len(lengths) + 1):
                    found[-place] = max(found[-place], lengths[-place])
            return found
        if value.op == "convolution":
            return [operands[0][0], *[0] * (len(value.shape) - 1)]
        if value.op in ("linear", "window", "repeat"):
            kept = len(value.shape) - 1
            return [*operands[0][:kept], 0]
        return operands[0]  # roll, slice, pad, diagonal, add, densify: axis by axis


def _length(text: str) -> int:
    head, _, factor = text.partition(" * ")
    return BATCH * int(factor or 1) if head == "n" else int(text)


class Tracer:
    """Follows one value; `ends` tells which values it has to find in memory."""

    def __init__(self, lengths: Lengths, ends: Callable[[Value], bool]) -> None:
        self.lengths, self.ends = lengths, ends
        self.loops: list[Var] = []
        self.loads: list[Load] = []

    def nest(self, value: Value) -> Nest:
        """Return the loop nest of a value."""
        lengths = self.lengths.of(value)
        outputs = tuple(Var(f"i{n}", length) for n, length in enumerate(lengths))
        index = tuple(map(iterator, outputs))
        self.follow(value, index, _State())
        place = joined(index, lengths)
        used = tuple(each for each in outputs if each.length > 1)
        return _cut(Nest(used, tuple(self.loops), tuple(self.loads), place))

    def follow(self, value: Value, index: Indices, state: _State) -> None:
        """Add the loads that make element `index` of a value."""
        if self.ends(value) or not self.enters(value, state):
            place = joined(index, self.lengths.of(value))
            self.loads.append(Load(value, place, state.conditions))
        else:
            getattr(self, value.op)(value, index, state)

    def enters(self, value: Value, state: _State) -> bool:
        """Tell whether a sum is computed where it is read; all else always is."""
        terms = additions(value)
        if terms == 0 or state.products:
            return True
        if value.op not in ("sum", "add") or not state.sums:
            return False
        return terms * prod(loop.length for loop in self.loops) <= _FUSED

    def loop(self, length: int) -> Index:
        """Return a new iterator that is summed over."""
        self.loops.append(Var(f"r{len(self.loops)}", length))
        return iterator(self.loops[-1])

    # Views

    def reshape(self, value: Value, index: Indices, state: _State) -> None:
        (source,) = value.operands
        old = reshaped(index, self.lengths.of(value), self.lengths.of(source))
        self.follow(source, old, state)

    def permute(self, value: Value, index: Indices, state: _State) -> None:
        order = value.options["order"]
        moved = tuple(index[order.index(place)] for place in range(len(order)))
        self.follow(value.operands[0], moved, state)

    def roll(self, value: Value, index: Indices, state: _State) -> None:
        axis = value.options["axis"]
        length = self.lengths.of(value)[axis]
        moved = (index[axis] + -value.options["distance"] % length) % length
        self.follow(value.operands[0], _with(index, axis, moved), state)

    def slice(self, value: Value, index: Indices, state: _State) -> None:
        for axis, (start, _, step) in value.options["cuts"].items():
            index = _with(index, axis, index[axis] * step + start)
        self.follow(value.operands[0], index, state)

    def pad(self, value: Value, index: Indices, state: _State) -> None:
        for axis, (left, right) in enumerate(value.options["widths"]):
            if left or right:
                index = _with(index, axis, index[axis] + -left)
                length = self.lengths.of(value.operands[0])[axis]
                state = _within(state, index[axis], length)
        self.follow(value.operands[0], index, state)

    def window(self, value: Value, index: Indices, state: _State) -> None:
        axis = value.options["axis"]
        moved = _with(index[:-1], axis, index[axis] + index[-1])
        self.follow(value.operands[0], moved, state.closed())

    def diagonal(self, value: Value, index: Indices, state: _State) -> None:
        axis, places = value.options["axis"], value.options["places"]
        self.follow(value.operands[0], _with(index, axis, index[axis] + index[places]), state)

    def repeat(self, value: Value, index: Indices, state: _State) -> None:
        self.follow(value.operands[0], index[:-1], state.closed())

    def densify(self, value: Value, index: Indices, state: _State) -> None:
        (source,) = value.operands
        outputs, inputs = source.shape[:2]
        group = index[0] // (outputs // value.options["groups"])
        here = Condition(index[1] // inputs, 0, group)
        state = replace(state, conditions=(*state.conditions, here))
        self.follow(source, _with(index, 1, index[1] % inputs), state)

    # Sums and products

    def multiply(self, value: Value, index: Indices, state: _State) -> None:
        for operand in value.operands:
            shape = self.lengths.of(operand)
            own = index[len(index) - len(shape) :]
            broadcast = tuple(
                Index() if n == 1 else each for each, n in zip(own, shape, strict=True)
            )
            self.follow(operand, broadcast, state.closed())

    def sum(self, value: Value, index: Indices, state: _State) -> None:
        (source,) = value.operands
        left = iter(index)
        full = tuple(
            self.loop(n) if axis in value.options["axes"] else next(left)
            for axis, n in enumerate(self.lengths.of(source))
        )
        self.follow(source, full, replace(state, products=False))

    def add(self, value: Value, index: Indices, state: _State) -> None:
        place = self.loop(len(value.operands))
        for axis, (start, move, step) in progression(value).items():
            index = _with(index, axis, index[axis] * step + place * move + start)
        (source,) = value.operands[0].operands
        self.follow(source, index, replace(state, products=False))

    def einsum(self, value: Value, index: Indices, state: _State) -> None:
        left, _, right = value.options["spec"].partition("->")
        known = dict(zip(right, index, strict=True))
        for names, operand in zip(left.split(","), value.operands, strict=True):
            for name, length in zip(names, self.lengths.of(operand), strict=True):
                if name not in known:
                    known[name] = self.loop(length)
        for names, operand in zip(left.split(","), value.operands, strict=True):
            self.follow(operand, tuple(known[name] for name in names), state.closed())

    def matmul(self, value: Value, index: Indices, state: _State) -> None:
        place = self.loop(self.lengths.of(value.operands[1])[-2])
        *batch, row, column = index
        for operand, last in zip(value.operands, ((row, place), (place, column)), strict=True):
            shape = self.lengths.of(operand)[:-2]
            own = batch[len(batch) - len(shape) :]
            outer = (Index() if n == 1 else each for each, n in zip(own, shape, strict=True))
            self.follow(operand, (*outer, *last), state.closed())

    def linear(self, value: Value, index: Indices, state: _State) -> None:
        data, matrix = value.operands
        place = self.loop(matrix.shape[1])
        self.follow(data, (*index[:-1], place), state.closed())
        self.follow(matrix, (index[-1], place), state.closed())

    def convolution(self, value: Value, index: Indices, state: _State) -> None:
        data, kernel = value.operands
        batch, out, *spatial = index
        channel = self.loop(kernel.shape[1])
        group = out // (kernel.shape[0] // value.options["groups"])
        places = [self.loop(length) for length in kernel.shape[2:]]
        slides: Sequence[Slide] = value.options["slides"]
        moved = [
            base * slide.stride + place * slide.dilation + -slide.left
            for base, place, slide in zip(spatial, places, slides, strict=True)
        ]
        inner = state.closed()
        for each, length in zip(moved, data.shape[2:], strict=True):
            inner = _within(inner, each, length)
        self.follow(data, (batch, group * kernel.shape[1] + channel, *moved), inner)
        self.follow(kernel, (out, channel, *places), state.closed())


def additions(value: Value) -> int:
    """Return how many terms one element of a sum has; 0 where nothing is summed."""
    if value.op == "add":
        return len(value.operands)
    if value.op == "sum":
        return prod(value.operands[0].shape[axis] for axis in value.options["axes"])
    if value.op == "convolution":
        return prod(value.operands[1].shape[1:])
    if value.op in ("linear", "matmul"):
        return value.operands[0].shape[-1]
    if value.op != "einsum":
        return 0
    left, _, right = value.options["spec"].partition("->")
    lengths: dict[str, int] = {}
    for names, operand in zip(left.split(","), value.operands, strict=True):
        lengths |= dict(zip(names, operand.shape, strict=True))
    summed = [length for name, length in lengths.items() if name not in right]
    return prod(summed) if summed else 0


def progression(value: Value) -> dict[int, tuple[int, int, int]]:
    """Return (start, move, step) for each axis along which the terms of a sum are slices.

    Term p is the slice from `start + p * move`; nothing where the terms are not of this kind.
    """
    first, second = value.operands[:2] if len(value.operands) > 1 else value.operands * 2
    if any(each.op != "slice" or each.operands != first.operands for each in value.operands):
        return {}
    found = {}
    for axis, (start, _, step) in first.options["cuts"].items():
        if axis not in second.options["cuts"]:
            return {}
        move = second.options["cuts"][axis][0] - start
        for place, each in enumerate(value.operands):
            if each.options["cuts"].get(axis, ())[::2] != (start + place * move, step):
                return {}
        found[axis] = start, move, step
    return found


def _with(index: Indices, axis: int, new: Index) -> Indices:
    return (*index[:axis], new, *index[axis + 1 :])


def _within(state: _State, index: Index, length: int) -> _State:
    low, high = index.bounds()
    if low >= 0 and high < length:
        return state
    return replace(state, conditions=(*state.conditions, Condition(index, length)))


def _cut(nest: Nest) -> Nest:
    """Return a nest whose iterators are cut where quotients and remainders cut them."""
    indices = [index for load in nest.loads for index in load.indices()]
    mapping: dict[Var, Index] = {}
    made: dict[Var, tuple[Var, ...]] = {}
    for var in (*nest.outputs, *nest.loops):
        lengths = cuts(var, indices)
        if len(lengths) > 1:
            made[var] = tuple(Var(f"{var.name}_{n}", each) for n, each in enumerate(lengths))
            mapping[var] = joined(map(iterator, made[var]), lengths)
    return Nest(
        tuple(new for var in nest.outputs for new in made.get(var, (var,))),
        tuple(new for var in nest.loops for new in made.get(var, (var,)) if new.length > 1),
        tuple(_replaced(load, mapping) for load in nest.loads),
        nest.place.replace(mapping),
    )


def _replaced(load: Load, mapping: dict[Var, Index]) -> Load:
    conditions = tuple(
        Condition(
            each.index.replace(mapping),
            each.length,
            None if each.same is None else each.same.replace(mapping),
        )
        for each in load.conditions
    )
    return Load(load.value, load.place.replace(mapping), conditions)
