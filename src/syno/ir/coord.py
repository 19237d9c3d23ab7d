"""Coordinates: interned nodes that tell which index one output element reads.

A coordinate is `Coord(op, args, arg, size)`; equal structure is the same object. Algorithms on
coordinates are functions elsewhere; here live only the constructors, which check sizes and keep
two spellings apart from none: nested splits lean to the right, strides of strides are one, and
every part of a merged coordinate is written `i // B`, `i % B` or `(i // B) % C`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from syno.ir.errors import SizeError
from syno.ir.size import Size

_Key = tuple[str, tuple["Coord", ...], "int | Size | None", Size]
_INTERNED: dict[_Key, Coord] = {}


class Coord:
    """One coordinate: `op` on `args` with the constant `arg`, running over `[0, size)`."""

    __slots__ = ("arg", "args", "key", "op", "size")

    op: str
    args: tuple[Coord, ...]
    arg: int | Size | None
    size: Size
    key: str

    def __new__(cls, op: str, args: tuple[Coord, ...], arg: int | Size | None, size: Size) -> Coord:
        interned = (op, args, arg, size)
        found = _INTERNED.get(interned)
        if found is None:
            found = super().__new__(cls)
            found.op, found.args, found.arg, found.size = interned
            inside = ",".join([*(each.key for each in args), "" if arg is None else str(arg)])
            found.key = f"{op}({inside}):{size}"
            _INTERNED[interned] = found
        return found

    def __repr__(self) -> str:
        return f"Coord({self.key})"

    def __reduce__(self) -> tuple[type[Coord], _Key]:
        return Coord, (self.op, self.args, self.arg, self.size)

    def leaves(self) -> tuple[Coord, ...]:
        """Return the iterators in it, in order of first appearance."""
        return tuple(dict.fromkeys(node for node in self.walk() if not node.args))

    def walk(self) -> Iterator[Coord]:
        """Yield it and all coordinates below it, each as often as it occurs, from the top."""
        yield self
        for each in self.args:
            yield from each.walk()

    def replace(self, mapping: Callable[[Coord], Coord | None]) -> Coord:
        """Return it with every node for which `mapping` gives a coordinate replaced by that."""
        found = mapping(self)
        if found is not None:
            return found
        if not self.args:
            return self
        return rebuild(self, tuple(each.replace(mapping) for each in self.args))


def output(index: int, size: Size) -> Coord:
    """Return the iterator of output dimension `index`."""
    return Coord("output", (), index, size)


def reduce(index: int, size: Size) -> Coord:
    """Return the summed iterator number `index`."""
    return Coord("reduce", (), index, size)


def split(high: Coord, low: Coord) -> Coord:
    """Return `high*|low| + low`; `split(split(i, j), k)` is `split(i, split(j, k))`."""
    if high.op == "split":
        return split(high.args[0], split(high.args[1], low))
    return Coord("split", (high, low), None, high.size * low.size)


def merge(coord: Coord, block: Size) -> tuple[Coord, Coord]:
    """Return `coord // block` and `coord % block`."""
    return quotient(coord, block), remainder(coord, block)


def quotient(coord: Coord, block: Size) -> Coord:
    """Return `coord // block`.

    `(i // B) // C` is `i // (B*C)`, `(i % D) // C` is `(i // C) % (D/C)`.
    """
    if coord.op == "quotient" and isinstance(coord.arg, Size):
        return quotient(coord.args[0], coord.arg * block)
    if coord.op == "remainder":
        return remainder(quotient(coord.args[0], block), coord.size / block)
    return Coord("quotient", (coord,), block, coord.size / block)


def remainder(coord: Coord, block: Size) -> Coord:
    """Return `coord % block`; `(i % B) % C` is `i % C`."""
    if coord.op == "remainder":
        return remainder(coord.args[0], block)
    return Coord("remainder", (coord,), block, block)


def shift(coord: Coord, distance: int) -> Coord:
    """Return `(coord + distance) % |coord|`."""
    return Coord("shift", (coord,), distance, coord.size)


def stride(coord: Coord, step: Size) -> Coord:
    """Return `step*coord`; `A*(B*i)` is `(A*B)*i`."""
    if coord.op == "stride" and isinstance(coord.arg, Size):
        return stride(coord.args[0], step * coord.arg)
    return Coord("stride", (coord,), step, step * coord.size)


def unfold(base: Coord, window: Coord) -> Coord:
    """Return `base + window - |window|//2`, a read of 0 outside `[0, |base|)`."""
    return Coord("unfold", (base, window), None, base.size)


def rebuild(coord: Coord, args: tuple[Coord, ...]) -> Coord:
    """Return the coordinate of the same kind as `coord` on other `args`, in normal form."""
    if coord.op in ("split", "unfold"):
        return (split if coord.op == "split" else unfold)(*args)
    if coord.op == "shift" and isinstance(coord.arg, int):
        return shift(args[0], coord.arg)
    if isinstance(coord.arg, Size):
        makers = {"quotient": quotient, "remainder": remainder, "stride": stride}
        return makers[coord.op](args[0], coord.arg)
    raise SizeError(f"{coord!r} is an iterator and has no arguments to replace.")
