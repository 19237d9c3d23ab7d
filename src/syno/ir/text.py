"""Printing operators as index formulas; `syno.ir.parser` reads them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from syno.ir.coord import Coord
from syno.ir.size import Size

if TYPE_CHECKING:
    from syno.ir.operator import Operator

Names = Mapping[Coord, str]

OUTPUT_NAMES: Mapping[str, str] = {
    "N": "n",
    "C_out": "o",
    "C_in": "c",
    "C": "c",
    "H": "h",
    "W": "w",
    "T": "t",
    "D": "d",
}
_SPARE_OUTPUT = "o h w t u v p q i j l m z".split()
_WINDOW, _CHANNEL, _RANK, _OTHER = "a b d e f".split(), ["c"], "r q".split(), "g i j l m p".split()
_SPARE = [f"r{number}" for number in range(1, 100)]
_SUM, _PRODUCT, _ATOM = 0, 1, 2


def format_operator(op: Operator) -> str:
    """Return the two lines of text that are the key of `op` everywhere."""
    names = leaf_names(op)
    head = f"{_shape(op.input)} -> {_shape(op.output)}"
    left = ",".join(names[leaf] for leaf in op.outputs)
    binders = ", ".join(f"{names[leaf]}:{leaf.size}" for leaf in op.reductions)
    total = f"sum[{binders}] " if binders else ""
    factors = [f"x[{', '.join(format_coord(coord, names) for coord in op.data)}]"]
    for number, index in enumerate(op.weights, start=1):
        factors.append(f"w{number}[{','.join(format_coord(coord, names) for coord in index)}]")
    return f"{head}\ny[{left}] = {total}{' * '.join(factors)}"


def leaf_names(op: Operator) -> dict[Coord, str]:
    """Return the printed name of every iterator of `op`: fixed by its structure alone."""
    taken = set(op.symbols) | {"x", "y", "sum"}
    names: dict[Coord, str] = {}
    for leaf in op.outputs:
        names[leaf] = _first_free(_output_candidates(leaf.size), taken)
    windows = _window_leaves(op.data)
    seen = {leaf for coord in op.data for leaf in coord.leaves()}
    for leaf in op.reductions:
        if leaf not in seen:
            pool = _RANK
        elif leaf in windows or _is_small(leaf.size):
            pool = _WINDOW
        else:
            pool = _CHANNEL if {"C_in", "C"} & leaf.size.symbols else _OTHER
        names[leaf] = _first_free([*pool, *_OTHER], taken)
    return names


def format_coord(coord: Coord, names: Names) -> str:
    """Return the index expression of `coord`, for example `(h + a - k//2 + 1) % H`."""
    return _format(coord, names)[0]


def _format(coord: Coord, names: Names) -> tuple[str, int]:
    if not coord.args:
        return names[coord], _ATOM
    if coord.op == "split":
        high, low = coord.args
        left = f"{_inside(high, names, _ATOM)}*{_factor(low.size)}"
        right = _format(low, names)[0] if low.op == "split" else _inside(low, names, _PRODUCT)
        return f"{left} + {right}", _SUM
    if coord.op == "unfold":
        base, window = coord.args
        half = f"{_factor(window.size)}//2"
        return f"{_format(base, names)[0]} + {_inside(window, names, _PRODUCT)} - {half}", _SUM
    if coord.op == "shift":
        assert isinstance(coord.arg, int)
        sign = "+" if coord.arg >= 0 else "-"
        inner = _format(coord.args[0], names)[0]
        return f"({inner} {sign} {abs(coord.arg)}) % {_factor(coord.size)}", _PRODUCT
    assert isinstance(coord.arg, Size)
    if coord.op == "stride":
        return f"{_factor(coord.arg)}*{_inside(coord.args[0], names, _ATOM)}", _PRODUCT
    sign = "//" if coord.op == "quotient" else "%"
    return f"{_inside(coord.args[0], names, _ATOM)} {sign} {_factor(coord.arg)}", _PRODUCT


def _inside(coord: Coord, names: Names, needed: int) -> str:
    text, level = _format(coord, names)
    return text if level >= needed else f"({text})"


def _factor(size: Size) -> str:
    text = str(size)
    return f"({text})" if "*" in text or "/" in text else text


def _shape(sizes: Iterable[Size]) -> str:
    return f"[{', '.join(str(size) for size in sizes)}]"


def _output_candidates(size: Size) -> list[str]:
    symbols = sorted(size.symbols, key=lambda name: (name.islower(), name))
    known = [OUTPUT_NAMES[name] for name in symbols if name in OUTPUT_NAMES]
    return [*known, *(name[0].lower() for name in symbols[:1]), *_SPARE_OUTPUT]


def _first_free(candidates: Iterable[str], taken: set[str]) -> str:
    for name in [*candidates, *_SPARE]:
        if name not in taken:
            taken.add(name)
            return name
    raise AssertionError("an operator has fewer iterators than there are names")


def _is_small(size: Size) -> bool:
    """Tell whether `size` is made of coefficients alone, which by custom are lower case."""
    return bool(size.symbols) and all(name[0].islower() for name in size.symbols)


def _window_leaves(data: Iterable[Coord]) -> set[Coord]:
    nodes = [node for coord in data for node in coord.walk() if node.op == "unfold"]
    return {leaf for node in nodes for leaf in node.args[1].leaves()}
