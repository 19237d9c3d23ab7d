"""The verifier: named checks that a complete operator has to pass (design 2.2).

A check is a row of `CHECKS`; each returns the problems it sees. Limits of a spec (steps, weights,
FLOPs, ...) are checked in `syno.space`, what cannot be built at all in `syno.ir.steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syno.ir.coord import Coord
from syno.ir.cuts import Cuts
from syno.ir.errors import OperatorError, SizeError
from syno.ir.operator import Index, Operator, digits, follows
from syno.ir.semantics import evaluate
from syno.ir.size import Size
from syno.ir.steps import Step, steps
from syno.ir.text import format_coord, leaf_names

Bindings = tuple[Mapping[str, int], ...]
_LARGEST_IMAGE = 2_000_000


@dataclass(frozen=True)
class Problem:
    """One broken rule: the name of the check and a sentence for people."""

    check: str
    message: str


@dataclass(frozen=True)
class Check:
    """One row of the verifier."""

    name: str
    rule: str
    find: Callable[[Operator, Bindings], list[str]]


def verify(op: Operator, bindings: Iterable[Mapping[str, int]] = ()) -> tuple[Problem, ...]:
    """Return every problem of `op`, under every binding where a check needs numbers.

    An operator without symbols needs no binding. One with symbols is, without a binding, checked
    for what is wrong whatever the numbers are.
    """
    bound = tuple(bindings) if op.symbols else ({},)
    found: list[Problem] = []
    for check in CHECKS:
        found += [Problem(check.name, message) for message in check.find(op, bound)]
        if found and check.name == "sizes":
            break  # the other checks evaluate sizes
    return tuple(found)


def check(op: Operator, bindings: Iterable[Mapping[str, int]] = ()) -> None:
    """Raise OperatorError with the first problem of `op`, if it has one."""
    problems = verify(op, bindings)
    if problems:
        raise OperatorError(f"{problems[0].message}\n  in: {op}")


def _sizes(op: Operator, bindings: Bindings) -> list[str]:
    found: list[str] = []
    nodes = list(dict.fromkeys(n for top in op.coordinates for n in top.walk()))
    names = leaf_names(op)
    for sizes in bindings:
        try:
            op.input_shape(sizes), op.output_shape(sizes)
            for node in nodes:
                problem = _size_problem(node, sizes)
                if problem:
                    found.append(f"{format_coord(node, names)}: {problem}")
        except SizeError as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def _size_problem(node: Coord, sizes: Mapping[str, int]) -> str | None:
    """Return what is wrong with the sizes of one coordinate under one binding."""
    length = node.size.evaluate(sizes)
    arg = node.arg.evaluate(sizes) if isinstance(node.arg, Size) else node.arg
    if node.op == "reduce" and length == 1:
        return "a reduction of size 1 sums nothing."
    if node.op == "quotient" and not (arg != 1 and length > 1):
        return f"the block {node.arg} is {arg}: it has to lie between 1 and the size, exclusive."
    if node.op == "remainder":
        whole = node.args[0].size.evaluate(sizes)
        (node.args[0].size / node.size).evaluate(sizes)
        if not 1 < length < whole:
            return f"the block {node.arg} is {length}: it has to lie between 1 and {whole}."
    if node.op == "shift" and isinstance(node.arg, int) and node.arg % length == 0:
        return f"a shift by {arg} on a size of {length} moves nothing."
    if node.op == "stride" and arg == 1:
        return "a stride of 1 skips nothing."
    if node.op == "unfold":
        window = node.args[1].size.evaluate(sizes)
        if not 1 < window <= length:
            return f"the window has size {window}: it has to lie between 1 and {length}."
    return None


def _reductions(op: Operator, _bindings: Bindings) -> list[str]:
    """Every reduction, and every part of one, reaches the input or ties two weights."""
    names = leaf_names(op)
    cuts = Cuts(node for top in op.coordinates for node in top.walk())
    read, *seen = (_digits(index, cuts) for index in (op.data, *op.weights))
    idle = [
        part
        for leaf in op.reductions
        for part in cuts.pieces(leaf)
        if part not in read and sum(part in each for each in seen) < 2
    ]
    for step in steps(op):
        for coord in _dropped(step):
            weights = sum(follows(coord, index) for index in op.weights)
            if weights < 2 and all(leaf.op == "reduce" for leaf in coord.leaves()):
                idle.append(coord)
    return [
        f"The reduction {format_coord(coord, names)} reaches neither the input nor two weights: "
        "it merely scales the result. Read x with it, or remove it."
        for coord in dict.fromkeys(idle)
    ]


def _digits(index: Index, cuts: Cuts) -> set[Coord]:
    """Return the reductions, in the parts into which they are cut anywhere, that `index` reads."""
    found: set[Coord] = set()
    left = list(index)
    while left:
        coord = left.pop()
        if digits(coord)[0].op == "reduce":
            found.update(cuts.pieces(coord))
        else:
            left += coord.args
    return found


def _leaves(index: Index) -> set[Coord]:
    return {leaf for coord in index for leaf in coord.leaves()}


def _dropped(step: Step) -> Index:
    if step.primitive not in ("contract", "expand"):
        return ()
    return tuple(coord for coord in step.consumes if coord not in step.yields)


def _repetition(op: Operator, _bindings: Bindings) -> list[str]:
    """Every output coordinate matters."""
    names = leaf_names(op)
    return [
        f"Neither x nor a weight is read with {format_coord(coord, names)}: the output merely "
        "repeats along it. Use it, or shrink the output."
        for step in steps(op)
        if step.primitive == "expand"
        for coord in step.consumes
        if any(leaf.op == "output" for leaf in coord.leaves())
        and not any(follows(coord, index) for index in op.weights)
    ]


def _constant_coordinates(op: Operator, bindings: Bindings) -> list[str]:
    """No coordinate, nor a part of one, has the same value everywhere."""
    names = leaf_names(op)
    nodes = dict.fromkeys(node for top in op.coordinates for node in top.walk())
    return [
        f"{format_coord(node, names)} always has the same value: what it indexes is read at one "
        "place only. Leave it out."
        for node in nodes
        if node.op == "remainder" and any(_is_constant(node, sizes) for sizes in bindings)
    ]


def _is_constant(coord: Coord, sizes: Mapping[str, int]) -> bool:
    if not any(node.op == "stride" for node in coord.walk()):
        return False
    index, inside = _image(coord, sizes)
    return len(np.unique(index[inside])) == 1


def _absorbed(op: Operator, _bindings: Bindings) -> list[str]:
    """No weight is indexed by a function of another weight's index."""
    found = []
    for one, small in enumerate(op.weights):
        for two, large in enumerate(op.weights):
            same = set(small) == set(large)
            covered = all(follows(coord, large) for coord in small)
            if one != two and (not same or one > two) and covered:
                found.append(
                    f"w{two + 1} absorbs w{one + 1}: whatever indexes w{one + 1} also indexes "
                    f"w{two + 1}, so their product is one weight. Remove w{one + 1}."
                )
    return found


def _influence(op: Operator, bindings: Bindings) -> list[str]:
    """Every input element can influence some output element."""
    names = leaf_names(op)
    return [
        f"x is read with {format_coord(coord, names)}, which skips elements: a stride needs a "
        "window above it, at least as wide as the stride."
        for coord in op.data
        if not _onto(coord, bindings)
    ]


def _onto(coord: Coord, bindings: Bindings) -> bool:
    """Tell whether `coord` takes every value of [0, size): only a stride may leave some out."""
    if not any(node.op == "stride" for node in coord.walk()):
        return True
    return all(_image_is_full(coord, sizes) for sizes in bindings)


def _image_is_full(coord: Coord, sizes: Mapping[str, int]) -> bool:
    index, inside = _image(coord, sizes)
    return len(np.unique(index[inside])) == coord.size.evaluate(sizes)


def _image(coord: Coord, sizes: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the values of `coord` for all values of its iterators, and which lie inside."""
    leaves = coord.leaves()
    lengths = [leaf.size.evaluate(sizes) for leaf in leaves]
    if np.prod(lengths, dtype=np.float64) > _LARGEST_IMAGE:
        raise SizeError(
            f"Checking which elements {coord.key} reads would take more than {_LARGEST_IMAGE} "
            "values; verify it under smaller sizes."
        )
    grid = np.meshgrid(*(np.arange(n) for n in lengths), indexing="ij")
    index, inside = evaluate(coord, dict(zip(leaves, grid, strict=True)), sizes)
    return index, np.broadcast_to(inside, index.shape)


def _constant_weights(op: Operator, _bindings: Bindings) -> list[str]:
    """Every weight is tied to x or to the output, directly or through other weights."""
    reached = {*op.outputs, *_leaves(op.data)}
    loose = dict(enumerate(op.weights, start=1))
    while tied := [number for number, index in loose.items() if _leaves(index) & reached]:
        for number in tied:
            reached |= _leaves(loose.pop(number))
    return [
        f"w{number} is tied to neither x nor the output: it is one number, or a part of one, that "
        "scales everything. Remove it."
        for number in loose
    ]


CHECKS: tuple[Check, ...] = (
    Check("sizes", "every size is a positive integer and fits its primitive", _sizes),
    Check("reductions", "every reduction reaches the input or ties two weights", _reductions),
    Check("repetition", "every output coordinate matters", _repetition),
    Check("weights", "every weight is tied to x or to the output", _constant_weights),
    Check("constant", "no coordinate always has the same value", _constant_coordinates),
    Check("absorbed", "no weight is a function of another weight's index", _absorbed),
    Check("influence", "every input element can influence the output", _influence),
)

__all__ = ["CHECKS", "Check", "Problem", "check", "verify"]
