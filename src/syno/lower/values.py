"""The operations of a program, one function each: what shape and strides their results have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syno.lower.program import Extent, Shape, Slide, Value, contiguous, viewed


def _filled(op: str, operands: Sequence[Value], shape: Sequence[int], **options: Any) -> Value:
    """Return a value with memory of its own."""
    return _view(op, operands, shape, contiguous(shape), **options)


def _view(
    op: str, operands: Sequence[Value], shape: Sequence[int], strides: Sequence[int], **options: Any
) -> Value:
    fixed = all(operand.fixed for operand in operands)
    return Value(op, tuple(operands), tuple(shape), tuple(strides), options, fixed)


def argument(name: str, shape: Shape, *, fixed: bool) -> Value:
    """Return x or a weight."""
    return Value("input", (), shape, contiguous(shape), {"name": name}, fixed)


def reshape(source: Value, extents: Sequence[Extent]) -> Value:
    """Return `source` with other lengths; of two reshapes in a row only the last is kept."""
    while source.op == "reshape":
        (source,) = source.operands
    shape = tuple(extent.length for extent in extents)
    if shape == source.shape:
        return source
    strides = viewed(source.shape, source.strides, shape)
    texts = tuple(extent.text for extent in extents)
    return _view("reshape", (source,), shape, strides or contiguous(shape), extents=texts)


def permute(source: Value, order: Sequence[int]) -> Value:
    """Return `source` with its axes in `order`."""
    shape = [source.shape[place] for place in order]
    strides = [source.strides[place] for place in order]
    return _view("permute", (source,), shape, strides, order=tuple(order))


def roll(source: Value, axis: int, distance: int) -> Value:
    """Return `source` moved along `axis` by `distance`, what leaves coming in at the other end."""
    return _filled("roll", (source,), source.shape, axis=axis, distance=distance)


def cut(source: Value, axis: int, start: int = 0, stop: int | None = None, step: int = 1) -> Value:
    """Return the elements start, start + step, ... below `stop` of one axis.

    A cut of a cut along another axis is one value.
    """
    end = source.shape[axis] if stop is None else stop
    shape, strides = list(source.shape), list(source.strides)
    shape[axis] = -(-(end - start) // step)
    strides[axis] *= step
    cuts = {axis: (start, stop, step)}
    if source.op == "slice" and axis not in source.options["cuts"]:
        cuts |= source.options["cuts"]
        (source,) = source.operands
    return _view("slice", (source,), shape, strides, cuts=cuts)


def pad(source: Value, widths: Sequence[tuple[int, int]]) -> Value:
    """Return `source` with so many zeros before and behind each axis."""
    if not any(map(sum, widths)):
        return source
    shape = [left + n + right for n, (left, right) in zip(source.shape, widths, strict=True)]
    return _filled("pad", (source,), shape, widths=tuple(widths))


def padded(source: Value, axis: int, left: int, right: int) -> Value:
    """Return `source` with zeros before and behind one axis."""
    widths = [(0, 0)] * len(source.shape)
    widths[axis] = left, right
    return pad(source, widths)


def window(source: Value, axis: int, size: int) -> Value:
    """Return the windows of `size` along an axis, zero outside; the places stand last."""
    source = padded(source, axis, size // 2, size - 1 - size // 2)
    shape = list(source.shape)
    shape[axis] -= size - 1
    strides = (*source.strides, source.strides[axis])
    return _view("window", (source,), (*shape, size), strides, axis=axis, size=size)


def diagonal(source: Value, axis: int, places: int) -> Value:
    """Return element i + p - size // 2 of `axis` where the axis `places` has p, zero outside."""
    size = source.shape[places]
    source = padded(source, axis, size // 2, size - 1 - size // 2)
    shape = list(source.shape)
    shape[axis] -= size - 1
    return _filled("diagonal", (source,), shape, axis=axis, places=places)


def sheared_sum(source: Value, axis: int, places: int) -> Value:
    """Return the sum of a diagonal over its places, which stay as an axis of length 1."""
    size, length = source.shape[places], source.shape[axis]
    source = padded(source, axis, size // 2, size - 1 - size // 2)
    terms = [cut(source, places, place, place + 1) for place in range(size)]
    return add([cut(term, axis, place, place + length) for place, term in enumerate(terms)])


def repeat(source: Value, size: int) -> Value:
    """Return `source` with one axis more, along which it repeats."""
    return _view("repeat", (source,), (*source.shape, size), (*source.strides, 0), size=size)


def total(source: Value, axes: Sequence[int]) -> Value:
    """Return the sum over some axes."""
    shape = [n for place, n in enumerate(source.shape) if place not in axes]
    return _filled("sum", (source,), shape, axes=tuple(axes))


def multiply(one: Value, two: Value) -> Value:
    """Return the product of elements, broadcast."""
    return _filled("multiply", (one, two), _broadcast(one.shape, two.shape))


def add(terms: Sequence[Value]) -> Value:
    """Return the sum of values of one shape."""
    return _filled("add", terms, terms[0].shape)


def einsum(spec: str, *operands: Value) -> Value:
    """Return the sum of products that `spec` says, as in torch and NumPy."""
    left, _, right = spec.partition("->")
    lengths: dict[str, int] = {}
    for names, operand in zip(left.split(","), operands, strict=True):
        lengths |= dict(zip(names, operand.shape, strict=True))
    return _filled("einsum", operands, [lengths[name] for name in right], spec=spec)


def convolution(data: Value, kernel: Value, slides: Sequence[Slide], groups: int) -> Value:
    """Return a convolution: data (batch, channels, ...), kernel (outputs, channels/groups, ...)."""
    lengths = [s.length(n) for s, n in zip(slides, data.shape[2:], strict=True)]
    shape = (data.shape[0], kernel.shape[0], *lengths)
    options = {"slides": tuple(slides), "groups": groups}
    return _filled("convolution", (data, kernel), shape, **options)


def linear(data: Value, matrix: Value) -> Value:
    """Return data (..., c) times the rows of a matrix (o, c): (..., o)."""
    return _filled("linear", (data, matrix), (*data.shape[:-1], matrix.shape[0]))


def matmul(left: Value, right: Value) -> Value:
    """Return the batched matrix product of (..., m, k) and (..., k, n)."""
    batch = _broadcast(left.shape[:-2], right.shape[:-2])
    return _filled("matmul", (left, right), (*batch, left.shape[-2], right.shape[-1]))


def densify(kernel: Value, groups: int) -> Value:
    """Return the kernel of a grouped convolution as one for all channels, else zero."""
    shape = (kernel.shape[0], kernel.shape[1] * groups, *kernel.shape[2:])
    return _filled("densify", (kernel,), shape, groups=groups)


def _broadcast(one: Shape, two: Shape) -> Shape:
    rank = max(len(one), len(two))
    first, second = (1,) * (rank - len(one)) + one, (1,) * (rank - len(two)) + two
    return tuple(max(pair) for pair in zip(first, second, strict=True))
