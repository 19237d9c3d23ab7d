"""What a value costs on one machine: a roofline for each kind of kernel, bent by what was measured.

The predicted time of a kernel is a sum of terms (a call, multiply-adds, the same rounded up to full
vectors, elements moved) with coefficients that `syno calibrate` fits to measured kernels, times a
correction: small decision trees that learned how far measured kernels lay from that sum. The idea
of time as work over attainable rates: Williams, Waterman, Patterson, "Roofline", 2009.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from math import exp, log2, prod
from operator import mul
from pathlib import Path
from typing import Any

from syno.lower.program import Program, Value

_VECTOR = 16
_REMEMBERED = 50_000
_MOST_SHIPPED = 2  # threads
_LEAST = 0.01  # microseconds

_FUSED = ("copy", "pad", "roll", "add", "multiply", "stack", "sum")
_FUSION = 0.5  # of their time alone, about, in networks compiled by Inductor

Terms = tuple[float, ...]


def kind_of(value: Value) -> str:
    """Return which kernel a value is: "view" costs a call alone."""
    if value.op == "reshape":
        return "copy" if value.copies else "view"
    return _KINDS[value.op]


_KINDS: Mapping[str, str] = {
    "input": "none",
    "permute": "view",
    "slice": "view",
    "window": "view",
    "repeat": "view",
    "roll": "roll",
    "pad": "pad",
    "diagonal": "stack",
    "sum": "sum",
    "multiply": "multiply",
    "add": "add",
    "einsum": "einsum",
    "convolution": "convolution",
    "linear": "linear",
    "matmul": "matmul",
    "densify": "none",  # made of weights alone: prepared
}


def sizes_of(value: Value) -> Terms:
    """Return the sizes that decide how fast a kernel is, all positive; equal sizes, equal time."""
    kind = kind_of(value)
    if kind == "convolution":
        data, kernel = value.operands
        groups = value.options["groups"]
        window = tuple(kernel.shape[2:])
        tall = window[0] if len(window) > 1 else 1
        rows = value.shape[2] if len(window) > 1 else 1
        slides = value.options["slides"]
        step = prod(slide.stride * slide.dilation for slide in slides)
        return (
            groups,
            kernel.shape[1],
            value.shape[1] // groups,
            value.shape[0] * rows,
            value.shape[-1],
            tall,
            window[-1],
            step,
            _disorder(data),
        )
    if kind in ("matmul", "linear", "einsum"):
        return _product_sizes(value)
    (source, *_) = value.operands
    if kind == "sum":
        inner = prod(source.shape[max(value.options["axes"]) + 1 :])
        return (value.elements, source.elements // max(1, value.elements), inner, _disorder(source))
    if kind == "add":
        last = value.operands[0].strides[-1] if value.shape else 1
        return (value.elements, len(value.operands), max(1, value.shape[-1:][0]), 1 + last)
    if kind == "stack":
        return (value.elements, value.shape[-1], value.shape[value.options["places"]])
    last = source.strides[-1] if source.strides else 1
    return (value.elements, _run(source), 1 + last, source.shape[-1] if source.shape else 1)


def _product_sizes(value: Value) -> Terms:
    """Return batch, rows, summed, columns of a matrix product, and elements copied before it."""
    left, right = value.operands if len(value.operands) == 2 else (value.operands[0],) * 2
    if value.op == "linear":
        summed, columns = left.shape[-1], right.shape[0]
        copied = 0 if left.contiguous else left.elements
        return (1, left.elements // summed, summed, columns, 1 + copied)
    if value.op == "matmul":
        batch = prod(value.shape[:-2])
        copied = sum(each.elements for each in (left, right) if not _matrix(each))
        return (batch, value.shape[-2], left.shape[-1], value.shape[-1], 1 + copied)
    return _einsum_sizes(value)


def _einsum_sizes(value: Value) -> Terms:
    names, _, result = value.options["spec"].partition("->")
    parts = names.split(",")
    if len(parts) == 1:
        (source,) = value.operands
        return (1, 1, max(1, source.elements // max(1, value.elements)), value.elements, 1)
    length = {
        name: n
        for part, operand in zip(parts, value.operands, strict=True)
        for name, n in zip(part, operand.shape, strict=True)
    }
    one, two, kept = set(parts[0]), set(parts[1]), set(result)

    def size(labels: set[str]) -> int:
        return prod(length[label] for label in labels)

    copied = 0
    for part, operand in zip(parts, value.operands, strict=True):
        order = sorted(part, key=lambda label: (label not in one & two & kept, label in kept))
        in_order = [label for label in part if length[label] > 1]
        if [label for label in order if length[label] > 1] != in_order or not operand.contiguous:
            copied += operand.elements
    return (
        size(one & two & kept),
        size((one - two) & kept),
        size((one & two) - kept),
        size((two - one) & kept),
        1 + copied,
    )


def _matrix(value: Value) -> bool:
    """Tell whether the last two axes lie as a matrix product takes them."""
    *_, rows, columns = value.shape
    *_, down, across = value.strides
    straight = (across == 1 or columns == 1) and (down >= columns or rows == 1)
    turned = (down == 1 or rows == 1) and (across >= rows or columns == 1)
    return straight or turned


def _run(value: Value) -> float:
    """Return how many elements lie side by side at the end of the indices."""
    run = 1
    for length, stride in zip(reversed(value.shape), reversed(value.strides), strict=True):
        if length > 1 and stride != run:
            break
        run *= length
    return run


def _disorder(value: Value) -> float:
    return 1.0 if value.contiguous else 2.0


def terms_of(kind: str, sizes: Terms) -> Terms:
    """Return what a kernel does: 1 for its call, then work and traffic, in units of a million."""
    if kind in ("convolution", "packed"):
        groups, inside, outside, rows, columns, tall, wide, _, turned = sizes
        places, window = rows * columns, tall * wide
        work = groups * outside * places * window * inside
        full = groups * _full(outside) * _full(inside) * places * window
        lines = groups * _full(outside) * inside * window * rows * _full(columns)
        data = groups * inside * places
        return _terms(
            work,
            full,
            lines,
            data * turned + groups * outside * places,
            data * window,
            groups * outside * inside * window,
            groups * 1e3,
        )
    if kind in ("matmul", "linear", "einsum"):
        batch, rows, summed, columns, copied = sizes
        work = batch * rows * summed * columns
        full = batch * _full(rows) * _full(columns) * summed
        traffic = batch * (rows * summed + summed * columns)
        return _terms(work, full, traffic, batch * rows * columns, copied - 1, batch * 1e3)
    if kind == "sum":
        results, summed, inner, turned = sizes
        elements = results * summed
        return _terms(elements, results, elements / min(inner, _VECTOR), elements * (turned - 1))
    if kind == "add":
        elements, operands, run, last = sizes
        slow = elements * operands * (last > 2)
        return _terms(elements, elements * operands, elements / run, slow)
    if kind == "stack":
        elements, run, places = sizes
        return _terms(elements, elements / run, places * 1e3)
    elements, run, last, _ = sizes
    return _terms(elements, elements / min(run, 64), elements * (last > 2))


def _terms(*work: float) -> Terms:
    return (1.0, *(each / 1e6 for each in work))


def _full(length: float) -> float:
    """Return a length rounded up to whole vectors."""
    return -(-length // _VECTOR) * _VECTOR


@dataclass(frozen=True, eq=False)
class Kernel:
    """One kind of kernel: microseconds for each term, and trees that correct their sum.

    `trees` is an array (trees, nodes, 5) of feature, threshold, left, right, value; a leaf has
    itself to the left and right. The sum of the leaves is the logarithm of measured over fitted.
    """

    coefficients: Terms
    trees: Any = None

    def seconds(self, kind: str, sizes: Terms) -> float:
        """Return the predicted time."""
        terms = terms_of(kind, sizes)
        base: float = max(sum(map(mul, self.coefficients, terms)), _LEAST)
        if self.trees is None:
            return base * 1e-6
        bent: float = base * exp(self._correction(features(sizes, terms, base)))
        return bent * 1e-6

    def _correction(self, point: Terms) -> float:
        import numpy as np

        feature, threshold, left, right, value = self._columns
        at = np.asarray(point)
        place = self._roots
        for _ in range(DEPTH):
            place = np.where(at[feature[place]] <= threshold[place], left[place], right[place])
        return float(value[place].sum())

    @cached_property
    def _columns(self) -> tuple[Any, ...]:
        """Return the columns of all trees in a row, children counted from the first tree."""
        import numpy as np

        trees = np.asarray(self.trees, dtype=float)
        shift = np.arange(len(trees))[:, None] * trees.shape[1]
        feature = trees[:, :, 0].astype(int).ravel()
        left, right = ((trees[:, :, n].astype(int) + shift).ravel() for n in (2, 3))
        return feature, trees[:, :, 1].ravel(), left, right, trees[:, :, 4].ravel()

    @cached_property
    def _roots(self) -> Any:
        import numpy as np

        return np.arange(len(self.trees)) * self.trees.shape[1]


DEPTH = 5
"""How deep the trees of a kernel are."""


def features(sizes: Terms, terms: Terms, base: float) -> Terms:
    """Return what the trees of a kernel ask: logarithms of its sizes, its terms and their sum."""
    return tuple(log2(each + 1e-6) for each in (*sizes, *terms[1:], base))


@dataclass(frozen=True, eq=False)
class Machine:
    """Kernels of one machine and one number of threads, as `syno calibrate` measured them."""

    kernels: Mapping[str, Kernel]
    about: Mapping[str, Any]
    _memory: dict[tuple[str, Terms], float] = field(default_factory=dict, init=False, repr=False)

    def seconds(self, value: Value) -> float:
        """Return the predicted time of one value, its operands being there."""
        kind = kind_of(value)
        if kind == "none":
            return 0.0
        if kind == "view":
            return self.kernels["view"].coefficients[0] * 1e-6
        return self._known(kind, sizes_of(value))

    def _known(self, kind: str, sizes: Terms) -> float:
        key = (kind, sizes)
        if key not in self._memory:
            if len(self._memory) > _REMEMBERED:
                self._memory.clear()
            self._memory[key] = self.kernels[kind].seconds(kind, sizes)
        return self._memory[key]

    def total(self, program: Program, *, weights: bool = False) -> float:
        """Return the predicted time of a program; without `weights`, these are prepared."""
        return sum(self.seconds(value) for value in program.values() if weights or not value.fixed)

    @cached_property
    def compiled(self) -> Machine:
        """The same machine under a compiler: what torch's Inductor makes of the same kernels.

        Convolutions have their weights packed and channels last; to hand such data to a matrix
        product and back is a copy each; what works on single elements is fused with its neighbours.
        """
        packed = self.kernels["packed"]
        kernels = {**self.kernels, "convolution": packed}
        copy = self.kernels["copy"].coefficients[1]
        for kind in ("matmul", "einsum"):
            call, work, full, read, written, *rest = self.kernels[kind].coefficients
            terms = (call, work, full, read + copy, written + copy, *rest)
            kernels[kind] = Kernel(terms, self.kernels[kind].trees)
        for kind in _FUSED:
            terms = tuple(_FUSION * each for each in self.kernels[kind].coefficients)
            kernels[kind] = Kernel(terms, self.kernels[kind].trees)
        return Machine(kernels, self.about)


def save(machine: Machine, path: Path) -> None:
    """Write a machine to a file of arrays."""
    import numpy as np

    arrays: dict[str, Any] = {"about": np.array(json.dumps(dict(machine.about)))}
    for kind, kernel in machine.kernels.items():
        arrays[f"{kind}.coefficients"] = np.asarray(kernel.coefficients)
        if kernel.trees is not None:
            arrays[f"{kind}.trees"] = np.asarray(kernel.trees, dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def load(path: Path) -> Machine:
    """Return the machine of a file; nothing in the file is executed."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        kernels = {
            name.partition(".")[0]: Kernel(
                tuple(map(float, arrays[name])),
                arrays.get(name.replace("coefficients", "trees")),
            )
            for name in arrays
            if name.endswith(".coefficients")
        }
        return Machine(kernels, json.loads(str(arrays["about"])))


def calibrated_file(threads: int = 1) -> Path:
    """Return where `syno calibrate` keeps what it measured."""
    from platformdirs import user_cache_path

    return user_cache_path("syno") / f"machine-{threads}.npz"


@lru_cache(maxsize=8)
def this_machine(threads: int = 1) -> Machine:
    """Return this machine as calibrated for so many threads, else one that comes with Syno."""
    path = calibrated_file(threads)
    if path.exists():
        return load(path)
    name = f"machine-{min(threads, _MOST_SHIPPED)}.npz"
    with as_file(files("syno.lower").joinpath(name)) as shipped:
        return load(shipped)


@dataclass(frozen=True)
class Target:
    """What a program will run on: eager torch or a compiler, with so many threads."""

    compiled: bool = False
    threads: int = 1

    @property
    def machine(self) -> Machine:
        """The times that decide between plans."""
        found = this_machine(self.threads)
        return found.compiled if self.compiled else found


EAGER = Target()
"""Eager torch on one thread."""
