"""The fingerprint: when are two operators the same? (design 2.5)

For fixed integer probes u (output) and v (input), u . f_W(v) is a multilinear form in the weights.
Its coefficient tensor does not change, up to the order of its axes and of the entries along them,
when weights are relabelled. It is computed exactly, modulo 2^64, and hashed in a way that does not
see that order: entries are refined by the sums over their slices, as colours are in the
Weisfeiler-Lehman test. Equal operators have equal fingerprints always; different ones have
different fingerprints up to chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from syno.ir.errors import SizeError
from syno.ir.operator import Operator
from syno.ir.semantics import evaluate

Words = NDArray[np.uint64]

_LARGEST = 20_000_000
_PROBES = 2
_ROUNDS = 2


def fingerprint(op: Operator, sizes: Mapping[str, int]) -> str:
    """Return 32 hexadecimal digits, the same for operators that are equal under `sizes`.

    Raises SizeError where the operator has too many terms: choose smaller sizes.
    """
    shape_in, shape_out = op.input_shape(sizes), op.output_shape(sizes)
    lengths = [*shape_out, *(leaf.size.evaluate(sizes) for leaf in op.reductions)]
    if prod(lengths) > _LARGEST:
        raise SizeError(
            f"A fingerprint under these sizes sums {prod(lengths)} terms; the limit is {_LARGEST}. "
            "Sizes of 2 to 6 are enough to tell operators apart."
        )
    digest = hashlib.sha256(f"{shape_in}{shape_out}{len(op.weights)}".encode())
    inside, read, places = _domain(op, sizes, lengths)
    for probe in range(_PROBES):
        v = _mix(read + np.uint64(2 * probe + 1 << 40))
        u = _mix(np.arange(prod(shape_out), dtype=np.uint64) + np.uint64(2 * probe + 2 << 40))
        terms = prod(lengths) // max(prod(shape_out), 1)
        digest.update(_form(np.repeat(u, terms)[inside] * v[inside], [p[inside] for p in places]))
    return digest.hexdigest()[:32]


def same_operator(one: Operator, two: Operator, bindings: Iterable[Mapping[str, int]]) -> bool:
    """Tell whether two operators are the same under every binding."""
    return all(fingerprint(one, sizes) == fingerprint(two, sizes) for sizes in bindings)


def _domain(
    op: Operator, sizes: Mapping[str, int], lengths: list[int]
) -> tuple[NDArray[np.bool_], Words, list[Words]]:
    """Return, flat over all terms: inside, place in x, place in each weight."""
    grid = np.indices(lengths, sparse=True) if lengths else ()
    leaves = (*op.outputs, *op.reductions)
    values = {leaf: grid[axis] for axis, leaf in enumerate(leaves)}
    inside = np.ones(lengths, dtype=bool)
    flat: list[Words] = []
    for index in (op.data, *op.weights):
        place = np.zeros(lengths, dtype=np.uint64)
        for coord in index:
            value, valid = evaluate(coord, values, sizes)
            inside &= valid
            length = np.uint64(coord.size.evaluate(sizes))
            place = place * length + value.astype(np.uint64)
        flat.append(place.ravel())
    return inside.ravel(), flat[0], flat[1:]


def _form(products: Words, places: list[Words]) -> bytes:
    """Hash the multilinear form with coefficient `products` at `places`, blind to order."""
    if not places:
        return np.sum(products, dtype=np.uint64).tobytes()
    axes = [np.unique(place, return_inverse=True)[1].ravel() for place in places]
    shape = tuple(int(axis.max(initial=-1)) + 1 for axis in axes)
    keys = np.zeros(len(products), dtype=np.int64)
    for axis, length in zip(axes, shape, strict=True):
        keys = keys * length + axis
    cells, inverse = np.unique(keys, return_inverse=True)
    values = np.zeros(len(cells), dtype=np.uint64)
    np.add.at(values, inverse.ravel(), products)
    cells, values = cells[values != 0], values[values != 0]
    spots = np.unravel_index(cells, shape)
    return _refined(values, [np.asarray(spot) for spot in spots], shape)


def _refined(values: Words, spots: list[NDArray[np.intp]], shape: tuple[int, ...]) -> bytes:
    colour = _mix(values)
    for _ in range(_ROUNDS):
        around = np.zeros_like(colour)
        for spot, length in zip(spots, shape, strict=True):
            sums = np.zeros(length, dtype=np.uint64)
            np.add.at(sums, spot, _mix(colour))
            around += _mix(sums)[spot]
        colour = _mix(colour ^ around)
    slices = []
    for spot, length in zip(spots, shape, strict=True):
        sums = np.zeros(length, dtype=np.uint64)
        np.add.at(sums, spot, colour)
        slices.append(np.sort(sums[sums != 0]).tobytes())
    return np.sort(colour).tobytes() + b"|".join(sorted(slices))


def _mix(words: Words) -> Words:
    """Return the SplitMix64 finalizer of each word (Steele, Lea, Flood 2014)."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


__all__ = ["fingerprint", "same_operator"]
