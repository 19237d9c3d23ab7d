"""The loop nest of an operator: what it computes, written as plain loops that anyone can read."""

from __future__ import annotations

from collections.abc import Iterable

from syno.ir.coord import Coord
from syno.ir.operator import Operator
from syno.ir.size import Size
from syno.ir.text import Names, format_coord, leaf_names


def loop_nest(op: Operator) -> str:
    """Return pseudo-code of `op`; `/` divides sizes exactly, a window reads nothing outside of x.

    An index that may fall outside gets a line and a name of its own and is checked there: what is
    applied to it afterwards, such as a shift, sees it only where it is inside.
    """
    names = leaf_names(op)
    windows = _windows(op)
    stands_for = {
        window: Coord("reduce", (), len(op.reductions) + number, window.size)
        for number, window in enumerate(windows)
    }
    taken = {*names.values(), *op.symbols}
    free = (name for number in range(1, 1000) if (name := f"p{number}") not in taken)
    names |= dict(zip(stands_for.values(), free, strict=False))

    def show(coord: Coord) -> str:
        return format_coord(coord.replace(stands_for.get), names)

    lines: list[str] = []
    lines += _open(op.outputs, names, 0)
    depth = len(op.outputs)
    lines.append(_at(depth, "total = 0"))
    lines += _open(op.reductions, names, depth)
    inside = depth + len(op.reductions)
    for window, leaf in stands_for.items():
        base, offset = (each.replace(stands_for.get) for each in window.args)
        index = format_coord(Coord("unfold", (base, offset), None, window.size), names)
        lines.append(_at(inside, f"{names[leaf]} = {index}"))
    if windows:
        checks = (f"0 <= {names[leaf]} < {_bound(leaf.size)}" for leaf in stands_for.values())
        lines.append(_at(inside, f"if {' and '.join(checks)}:  # else the read gives 0"))
        inside += 1
    reads = [f"x[{', '.join(map(show, op.data))}]"]
    reads += [f"w{n}[{', '.join(map(show, index))}]" for n, index in enumerate(op.weights, 1)]
    lines.append(_at(inside, f"total += {' * '.join(reads)}"))
    lines.append(_at(depth, f"y[{', '.join(names[leaf] for leaf in op.outputs)}] = total"))
    return "\n".join(lines)


def _windows(op: Operator) -> list[Coord]:
    """Return every window once, those inside of others first."""
    found: dict[Coord, None] = {}
    for top in op.coordinates:
        for node in reversed(list(top.walk())):
            if node.op == "unfold":
                found.setdefault(node)
    return list(found)


def _open(leaves: Iterable[Coord], names: Names, depth: int) -> list[str]:
    return [
        _at(depth + number, f"for {names[leaf]} in range({leaf.size}):")
        for number, leaf in enumerate(leaves)
    ]


def _bound(size: Size) -> str:
    text = str(size)
    return f"({text})" if "*" in text or "/" in text else text


def _at(depth: int, text: str) -> str:
    return "  " * depth + text


__all__ = ["loop_nest"]
