"""Kernels from loop nests: one program computes a block of outputs and loops over what is summed.

Outputs that the data does not depend on (the output channels of a product, as a rule) are the rows
of a block: what was loaded of the data serves all of them. The others are its columns, those that
lie side by side in memory last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from syno.lower.backends.triton_index import BATCH, Var, number
from syno.lower.backends.triton_nests import Condition, Load, Nest
from syno.lower.program import Value

_BLOCK = 512  # outputs of one program
_MOST_COLUMNS, _MOST_ROWS = 256, 16


@dataclass(frozen=True)
class Kernel:
    """The source of a kernel and the function `name` that launches it.

    `operands` are its parameters in order; `batch` tells that the length of the batch is one more.
    """

    name: str
    text: str
    operands: tuple[Value, ...]
    batch: bool


@dataclass(frozen=True)
class _Side:
    """One side of a block: the outputs along it, how many places it has, and its axis."""

    name: str
    outputs: tuple[Var, ...]
    size: int
    axis: int
    turn: str

    @property
    def count(self) -> int:
        """All places along it."""
        return prod(var.length for var in self.outputs)

    def lines(self) -> list[str]:
        """Cut a running number into iterators; what lies beyond the end wraps round."""
        first = f"tl.program_id({self.axis}) * {self.size} + tl.arange(0, {self.size})"
        found, step = [f"{self.name} = {first}{self.turn}"], 1
        for var in reversed(self.outputs):
            over = f" // {_factor(step)}" if step != 1 else ""
            found.append(f"{var.name} = {self.name}{over} % {_factor(var.length)}")
            step *= var.length
        return found

    def within(self) -> str:
        """Return the condition that a place is none beyond the end."""
        return f"{self.name} < {number(self.count)}"


def kernel(nest: Nest, name: str, lengths: Sequence[int], remark: str) -> Kernel:
    """Return a kernel for a result of `lengths`; `remark` says what it does."""
    operands = tuple(dict.fromkeys(load.value for load in nest.loads))
    names = {each: _name(each, place) for place, each in enumerate(operands)}
    sides = _sides(nest)
    batch = ["n"] if any(length % BATCH == 0 for length in lengths) else []
    parameters = ", ".join([*names.values(), "y", *batch, "TOTAL: tl.constexpr"])
    lines = ["@triton.jit", f"def {name}_kernel({parameters}):"]
    lines += [f"    {line}" for line in (f"# {remark}", *_body(nest, names, sides))]
    lines += ["", "", f"def {name}({', '.join([*names.values(), *batch])}):"]
    lines += [f"    {line}" for line in _launch(name, tuple(names.values()), lengths, sides, batch)]
    return Kernel(name, "\n".join(lines), operands, bool(batch))


def _name(value: Value, place: int) -> str:
    return str(value.options["name"]) if value.op == "input" else f"t{place}"


def _sides(nest: Nest) -> tuple[_Side, ...]:
    """Return the columns and, where there are any, the rows of a block."""
    moving = [load.vars() for load in nest.loads if not load.value.fixed]
    rows = tuple(var for var in nest.outputs if not any(var in each for each in moving))
    if not rows or not moving or rows == nest.outputs:
        return (_Side("column", nest.outputs, _MOST_COLUMNS, 0, ""),)
    columns = tuple(var for var in nest.outputs if var not in rows)
    height = min(_MOST_ROWS, 1 << (prod(var.length for var in rows) - 1).bit_length())
    width = min(_MOST_COLUMNS, _BLOCK // height)
    return (
        _Side("column", columns, width, 0, "[None, :]"),
        _Side("row", rows, height, 1, "[:, None]"),
    )


# -------------------------------------------------------------------------------------- the kernel


def _body(nest: Nest, names: dict[Value, str], sides: Sequence[_Side]) -> list[str]:
    lines = [line for side in sides for line in side.lines()]
    shape = ", ".join(str(side.size) for side in reversed(sides))
    lines.append(f"total = tl.zeros(({shape}{',' if len(sides) == 1 else ''}), TOTAL)")
    depth = ""
    for var in nest.loops:
        lines.append(f"{depth}for {var.name} in range({number(var.length)}):")
        depth += "    "
    for place, load in enumerate(nest.loads):
        lines += [depth + line for line in _load(load, f"v{place}", names[load.value], sides)]
    product = " * ".join(f"v{place}" for place in range(len(nest.loads)))
    lines.append(f"{depth}total += {product}")
    inside = _both([side.within() for side in sides])
    where = nest.place if nest.outputs else "column"  # a single element: that of column 0
    return [*lines, f"tl.store(y + {where}, total, mask={inside})"]


def _load(load: Load, name: str, source: str, sides: Sequence[_Side]) -> list[str]:
    where, used = f"{source} + {load.place}", set(load.place.vars())
    for side in sides:
        if load.vars() & set(side.outputs) - used and not used & set(side.outputs):
            where += f" + 0 * {side.name}"  # a pointer has the shape of its condition
    if not load.conditions:
        return [f"{name} = tl.load({where}).to(TOTAL)"]
    return [
        f"inside = {_both([text for each in load.conditions for text in _texts(each)])}",
        f"{name} = tl.load({where}, mask=inside, other=0).to(TOTAL)",
    ]


def _texts(condition: Condition) -> list[str]:
    if condition.same is not None:
        return [f"{condition.index} == {condition.same}"]
    low, high = condition.index.bounds()  # one of both is outside, else it were no condition
    least = [f"{condition.index} >= 0"] if low < 0 else []
    most = [f"{condition.index} < {condition.length}"] if high >= condition.length else []
    return [*least, *most]


def _both(texts: Sequence[str]) -> str:
    """Return the condition that all of `texts` hold."""
    return texts[0] if len(texts) == 1 else " & ".join(f"({text})" for text in texts)


def _factor(value: int) -> str:
    text = number(value)
    return f"({text})" if " " in text else text


# --------------------------------------------------------------------------------------- its launch


def _launch(
    name: str,
    operands: Sequence[str],
    lengths: Sequence[int],
    sides: Sequence[_Side],
    batch: Sequence[str],
) -> list[str]:
    shape = "".join(f"{number(length)}, " for length in lengths).rstrip(" ")
    grid = "".join(f"triton.cdiv({number(side.count)}, {side.size}), " for side in sides)
    given = [f"{each}.contiguous()" for each in operands]
    given += ["y", *batch, f"total_of({operands[0]})"]
    return [
        f"y = {operands[0]}.new_empty(({shape.removesuffix(',') if len(lengths) > 1 else shape}))",
        f"{name}_kernel[({grid.rstrip(' ') if len(sides) == 1 else grid.removesuffix(', ')})](",
        *(f"    {each}," for each in given),
        ")",
        "return y",
    ]
