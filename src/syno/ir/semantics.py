"""The oracle: a direct, slow evaluation of the index formula in float64, with no cleverness.

Everything else is tested against this module. One Python loop runs over all values of the
reductions; inside, the sum is written down as the formula says, for all outputs at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from syno.ir.coord import Coord
from syno.ir.errors import SizeError
from syno.ir.operator import Operator
from syno.ir.primitives import FORMS
from syno.ir.size import Size

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Values = dict[Coord, Integers]


def reference(
    op: Operator,
    sizes: Mapping[str, int],
    x: NDArray[np.generic],
    weights: Mapping[str, NDArray[np.generic]],
) -> Floats:
    """Return y of shape `op.output_shape(sizes)` for `x` of shape `op.input_shape(sizes)`.

    `weights` is keyed `w1`, `w2`, ... with the shapes of `op.weight_shapes(sizes)`. Raises
    SizeError where a shape does not fit.
    """
    data, arrays = _checked(op, sizes, x, weights)
    y = np.zeros(op.output_shape(sizes))
    for inside, read, places in _terms(op, sizes):
        term = data[read] * inside
        for array, place in zip(arrays, places, strict=True):
            term = term * array[place]
        y += term
    return y


def reference_gradients(
    op: Operator,
    sizes: Mapping[str, int],
    x: NDArray[np.generic],
    weights: Mapping[str, NDArray[np.generic]],
    grad: NDArray[np.generic],
) -> tuple[Floats, dict[str, Floats]]:
    """Return the gradients of `sum(grad * reference(...))` for x and for every weight."""
    data, arrays = _checked(op, sizes, x, weights)
    grad_x = np.zeros_like(data)
    grad_weights = [np.zeros_like(array) for array in arrays]
    for inside, read, places in _terms(op, sizes):
        base: Floats = np.broadcast_to(
            inside * np.asarray(grad, np.float64), op.output_shape(sizes)
        )
        factors = [array[place] for array, place in zip(arrays, places, strict=True)]
        np.add.at(grad_x, read, _times(base, factors))
        for number, place in enumerate(places):
            others = [data[read], *factors[:number], *factors[number + 1 :]]
            np.add.at(grad_weights[number], place, _times(base, others))
    return grad_x, {f"w{i}": each for i, each in enumerate(grad_weights, start=1)}


def evaluate(
    coord: Coord, values: Mapping[Coord, Integers], sizes: Mapping[str, int]
) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the index that `coord` reads and whether it lies inside, for given iterator values.

    Where it lies outside the index is 0: the caller multiplies the term by `inside`.
    """
    if not coord.args:
        return values[coord], np.asarray(True)
    parts = [evaluate(each, values, sizes) for each in coord.args]
    inside = np.asarray(True)
    for _, each in parts:
        inside = inside & each
    lengths = tuple(each.size.evaluate(sizes) for each in coord.args)
    arg = coord.arg.evaluate(sizes) if isinstance(coord.arg, Size) else int(coord.arg or 0)
    form, length = FORMS[coord.op], coord.size.evaluate(sizes)
    index = form.value(tuple(value for value, _ in parts), lengths, arg, length)
    if form.partial:
        inside = inside & (index >= 0) & (index < length)
    return np.where(inside, index, 0), inside


def _terms(
    op: Operator, sizes: Mapping[str, int]
) -> Iterator[tuple[NDArray[np.bool_], tuple[Integers, ...], list[tuple[Integers, ...]]]]:
    """Yield (inside, index into x, index into each weight) for every value of the reductions."""
    shape = op.output_shape(sizes)
    grid = np.indices(shape, sparse=True)
    outputs: Values = {leaf: grid[axis] for axis, leaf in enumerate(op.outputs)}
    ranges = [range(leaf.size.evaluate(sizes)) for leaf in op.reductions]
    for point in product(*ranges):
        values = dict(outputs)
        values.update({r: np.asarray(v) for r, v in zip(op.reductions, point, strict=True)})
        inside = np.asarray(True)
        indices: list[tuple[Integers, ...]] = []
        for index in (op.data, *op.weights):
            found = [evaluate(coord, values, sizes) for coord in index]
            for _, each in found:
                inside = inside & each
            indices.append(tuple(np.broadcast_to(value, shape) for value, _ in found))
        yield inside, indices[0], indices[1:]


def _times(base: Floats, factors: list[Floats]) -> Floats:
    for factor in factors:
        base = base * factor
    return base


def _checked(
    op: Operator,
    sizes: Mapping[str, int],
    x: NDArray[np.generic],
    weights: Mapping[str, NDArray[np.generic]],
) -> tuple[Floats, list[Floats]]:
    """Return x and the weights in float64, in order, after checking names and shapes."""
    data = np.asarray(x, np.float64)
    _same_shape("x", data.shape, op.input_shape(sizes))
    shapes = op.weight_shapes(sizes)
    if set(weights) != set(shapes):
        raise SizeError(
            f"The operator has the weights {', '.join(shapes) or 'none'}; given are "
            f"{', '.join(sorted(weights)) or 'none'}."
        )
    arrays = [np.asarray(weights[name], np.float64) for name in shapes]
    for name, array in zip(shapes, arrays, strict=True):
        _same_shape(name, array.shape, shapes[name])
    return data, arrays


def _same_shape(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise SizeError(
            f"{name} has shape {found}; the operator reads one of shape {wanted}. Weights stand in "
            "canonical order: ask Operator.weight_shapes for their shapes."
        )
