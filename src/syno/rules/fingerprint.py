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
from itertools import combinations
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from syno.ir.coord import Coord
from syno.ir.errors import SizeError
from syno.ir.semantics import Integers, evaluate
from syno.ir.size import Size

Words = NDArray[np.uint64]

_LARGEST = 20_000_000
_PROBES = 2
_ROUNDS = 2


class Formula(Protocol):
    """What a fingerprint is taken of: an operator, or a formula that no operator spells."""

    @property
    def input(self) -> tuple[Size, ...]:
        """Shape of x."""

    @property
    def output(self) -> tuple[Size, ...]:
        """Shape of y."""

    @property
    def data(self) -> tuple[Coord, ...]:
        """Where x is read."""

    @property
    def weights(self) -> tuple[tuple[Coord, ...], ...]:
        """Where each weight is read."""

    @property
    def outputs(self) -> tuple[Coord, ...]:
        """Iterators over y."""

    @property
    def reductions(self) -> tuple[Coord, ...]:
        """Iterators that are summed over."""


def fingerprint(op: Formula, sizes: Mapping[str, int]) -> str:
    """Return 32 hexadecimal digits, the same for operators that are equal under `sizes`.

    Dimensions of x and y are known by the names of their sizes, so that the order in which they are
    written is not seen; where two have one name, the first is the first. Raises SizeError where the
    operator has too many terms: choose smaller sizes.
    """
    lengths = _lengths(op, sizes)
    if prod(lengths) > _LARGEST:
        raise SizeError(
            f"A fingerprint under these sizes sums {prod(lengths)} terms; the limit is {_LARGEST}. "
            "Sizes of 2 to 6 are enough to tell operators apart."
        )
    dims_in, dims_out = _dimensions(op.input), _dimensions(op.output)
    head = sorted(dims_in), sorted(dims_out), len(op.weights)
    digest = hashlib.sha256(repr(head).encode())
    domain = _Domain(op, sizes, lengths)
    inside = domain.inside
    out = _words(dims_out, domain.outputs(), lengths)[inside]
    read = _words(dims_in, domain.data, lengths)[inside]
    places = [place[inside] for place in domain.places]
    for probe in range(_PROBES):
        u, v = mix(out + np.uint64(2 * probe + 2 << 40)), mix(read + np.uint64(2 * probe + 1 << 40))
        digest.update(_form(u * v, places))
    return digest.hexdigest()[:32]


def same_operator(one: Formula, two: Formula, bindings: Iterable[Mapping[str, int]]) -> bool:
    """Tell whether two operators are the same under every binding."""
    return all(fingerprint(one, sizes) == fingerprint(two, sizes) for sizes in bindings)


def terms(
    op: Formula, sizes: Mapping[str, int]
) -> tuple[NDArray[np.bool_], Words, Words, list[Words]]:
    """Return, flat over all terms: inside, place in y, place in x, place in each weight."""
    lengths = _lengths(op, sizes)
    shape = lengths[: len(op.outputs)]
    domain = _Domain(op, sizes, lengths)
    out = np.repeat(np.arange(prod(shape), dtype=np.uint64), prod(lengths) // prod(shape))
    read = _flat(op.data, domain.data, sizes, lengths)
    return domain.inside, out, read, domain.places


def _lengths(op: Formula, sizes: Mapping[str, int]) -> list[int]:
    return [leaf.size.evaluate(sizes) for leaf in (*op.outputs, *op.reductions)]


def _dimensions(sizes: tuple[Size, ...]) -> list[str]:
    """Return a name for each dimension, whatever the order they are written in."""
    return [f"{size}#{sizes[:place].count(size)}" for place, size in enumerate(sizes)]


def _words(names: list[str], values: list[Integers], lengths: list[int]) -> Words:
    """Return, flat, one word for each term that depends on the named dimensions' values."""
    total = np.zeros(lengths, dtype=np.uint64)
    for name, value in zip(names, values, strict=True):
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
        total += mix(value.astype(np.uint64) + np.uint64(seed))
    return total.ravel()


class _Domain:
    """All terms of a formula: the values of its coordinates over the grid of its iterators."""

    def __init__(self, op: Formula, sizes: Mapping[str, int], lengths: list[int]) -> None:
        grid = np.indices(lengths, sparse=True) if lengths else ()
        leaves = (*op.outputs, *op.reductions)
        self._values = {leaf: grid[axis] for axis, leaf in enumerate(leaves)}
        self._op, self._sizes = op, sizes
        self._inside = np.ones(lengths, dtype=bool)
        self.data = [self._evaluated(coord) for coord in op.data]
        seen = [[self._evaluated(coord) for coord in index] for index in op.weights]
        pairs = zip(op.weights, seen, strict=True)
        self.places = [_flat(index, values, sizes, lengths) for index, values in pairs]
        self.inside = self._inside.ravel()

    def outputs(self) -> list[Integers]:
        """Return the values of the output iterators."""
        return [self._values[leaf] for leaf in self._op.outputs]

    def _evaluated(self, coord: Coord) -> Integers:
        value, valid = evaluate(coord, self._values, self._sizes)
        if valid.ndim:
            self._inside &= valid
        return value


def _flat(
    index: tuple[Coord, ...],
    values: list[Integers],
    sizes: Mapping[str, int],
    lengths: list[int],
) -> Words:
    """Return the flat place in a tensor that the coordinates `index` read, for each term."""
    place = np.zeros(lengths, dtype=np.uint64)
    for coord, value in zip(index, values, strict=True):
        place = place * np.uint64(coord.size.evaluate(sizes)) + value.astype(np.uint64)
    return place.ravel()


def _form(products: Words, places: list[Words]) -> bytes:
    """Hash the multilinear form with coefficient `products` at `places`, blind to order."""
    if not places:
        return np.sum(products, dtype=np.uint64).tobytes()
    axes = [np.unique(place, return_inverse=True)[1].ravel() for place in places]
    shape = tuple(int(axis.max(initial=-1)) + 1 for axis in axes)
    keys = _joint(range(len(axes)), axes, shape)
    cells, inverse = np.unique(keys, return_inverse=True)
    values = summed(inverse.ravel(), products)
    cells, values = cells[values != 0], values[values != 0]
    spots = np.unravel_index(cells, shape)
    return _refined(values, [np.asarray(spot) for spot in spots], shape)


def _refined(values: Words, spots: list[NDArray[np.intp]], shape: tuple[int, ...]) -> bytes:
    """Hash the cells with what stands beside them in the slices that fix some of their weights.

    Slices of single weights are not enough: with four weights, a ring of ranks and two pairs of
    ranks differ only in slices that fix two.
    """
    colour = mix(values)
    slices = [
        (size, np.unique(_joint(chosen, spots, shape), return_inverse=True)[1].ravel())
        for size in range(1, len(spots))
        for chosen in combinations(range(len(spots)), size)
    ]
    for _ in range(_ROUNDS):
        around = np.zeros_like(colour)
        for size, place in slices:
            around += mix(summed(place, mix(colour)) + np.uint64(size))[place]
        colour = mix(colour ^ around)
    ends = []
    for spot in spots:
        sums = summed(spot, colour)
        ends.append(np.sort(sums[sums != 0]).tobytes())
    return np.sort(colour).tobytes() + b"|".join(sorted(ends))


def _joint(
    chosen: Iterable[int], spots: list[NDArray[np.intp]], shape: tuple[int, ...]
) -> NDArray[np.intp]:
    """Return one number for each cell that tells its entries in the chosen weights."""
    keys = np.zeros(len(spots[0]), dtype=np.intp)
    for place in chosen:
        keys = keys * shape[place] + spots[place]
    return keys


def summed(places: NDArray[np.intp], words: Words) -> Words:
    """Return the sum of the words at each place, which does not depend on their order."""
    sums = np.zeros(int(places.max(initial=-1)) + 1, dtype=np.uint64)
    np.add.at(sums, places, words)
    return sums


def mix(words: Words) -> Words:
    """Return the SplitMix64 finalizer of each word (Steele, Lea, Flood 2014)."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


__all__ = ["Formula", "Words", "fingerprint", "mix", "same_operator", "summed", "terms"]
