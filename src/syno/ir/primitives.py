"""The language in one table: eight primitives, what each consumes, yields and requires.

The direction of building is from the output to the input: a primitive consumes current
coordinates and yields the coordinates below them. Every index form carries its formula and the
function that evaluates it; printer, parser, semantics and backends are checked against this table.
Source: Zhuo, Su, Zhao, Gao, "Syno", ASPLOS 2025, section 4, for the names of the primitives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Array = Any  # an int or a NumPy integer array: both work, and NumPy is no import of this module


@dataclass(frozen=True)
class IndexForm:
    """How a coordinate of kind `op` is computed from its arguments.

    `value(args, sizes, arg, size)` takes the argument values, the argument sizes, the evaluated
    constant and the size of the result, and returns the index, which may lie outside `[0, size)`
    only where `partial` is set: such a read gives 0.
    """

    op: str
    formula: str
    size: str
    value: Callable[[tuple[Array, ...], tuple[int, ...], int, int], Array]
    partial: bool = False


@dataclass(frozen=True)
class Primitive:
    """One row of the language."""

    name: str
    consumes: tuple[str, ...]
    yields: tuple[str, ...]
    forms: tuple[IndexForm, ...]
    condition: str
    summary: str


PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "split",
        ("i:G", "j:B"),
        ("i*B + j : G*B",),
        (IndexForm("split", "i*B + j", "G*B", lambda a, n, _arg, _size: a[0] * n[1] + a[1]),),
        "G*B is a legal size",
        "two coordinates become the high and the low part of one",
    ),
    Primitive(
        "merge",
        ("i:N",),
        ("i // B : N/B", "i % B : B"),
        (
            IndexForm("quotient", "i // B", "N/B", lambda a, _n, arg, _size: a[0] // arg),
            IndexForm("remainder", "i % B", "B", lambda a, _n, arg, _size: a[0] % arg),
        ),
        "B divides N, and 1 < B < N, under every binding",
        "one coordinate becomes a block number and a place inside the block",
    ),
    Primitive(
        "shift",
        ("i:N",),
        ("(i + d) % N : N",),
        (IndexForm("shift", "(i + d) % N", "N", lambda a, _n, arg, size: (a[0] + arg) % size),),
        "d is not a multiple of N",
        "reads a neighbour, wrapping around",
    ),
    Primitive(
        "stride",
        ("i:N",),
        ("S*i : S*N",),
        (IndexForm("stride", "S*i", "S*N", lambda a, _n, arg, _size: a[0] * arg),),
        "S > 1; an unfold above must read what the stride leaves out",
        "reads every S-th element",
    ),
    Primitive(
        "unfold",
        ("i:N", "j:K"),
        ("i + j - K//2 : N",),
        (
            IndexForm(
                "unfold",
                "i + j - K//2",
                "N",
                lambda a, n, _arg, _size: a[0] + a[1] - n[1] // 2,
                partial=True,
            ),
        ),
        "1 < K <= N; a read outside of [0, N) gives 0",
        "reads a window around i",
    ),
    Primitive(
        "expand",
        ("i:N",),
        (),
        (),
        "the input does not depend on i; a weight does, unless the spec allows repetition",
        "drops a coordinate: the same input serves every i",
    ),
    Primitive(
        "reduce",
        (),
        ("r : R",),
        (),
        "R > 1; r reaches the input or ties two weights",
        "sums over a new coordinate",
    ),
    Primitive(
        "share",
        ("i:N",),
        ("i:N on the data", "i:N on a weight"),
        (),
        "all coordinates of one weight are taken in one step, the contraction",
        "multiplies by a weight indexed by i",
    ),
)

FORMS: dict[str, IndexForm] = {form.op: form for row in PRIMITIVES for form in row.forms}
LEAVES: tuple[str, ...] = ("output", "reduce")
