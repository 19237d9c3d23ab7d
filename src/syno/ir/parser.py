"""Reading operators: an index formula in any spelling to the one operator it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from syno.ir.coord import Coord, output, quotient, reduce, remainder
from syno.ir.errors import OperatorError, SynoError
from syno.ir.grammar import Reader, size_of
from syno.ir.index import Scope, read_index
from syno.ir.limits import MAX_WEIGHTS
from syno.ir.operator import Operator
from syno.ir.size import ONE, Size, product
from syno.ir.steps import steps
from syno.ir.text import OUTPUT_NAMES

T = TypeVar("T")

_SIZE_OF_NAME: Mapping[str, str] = {
    name: symbol for symbol, name in OUTPUT_NAMES.items() if symbol != "C_in"
}
_KNOWN: dict[str, Operator] = {}

Shape = list[tuple[Size, ...]]


@dataclass
class _Left:
    """One entry of `y[...]`: an iterator, a tuple of them, or the rest (`..`)."""

    names: list[tuple[str, Size | None, int]]
    rest: bool = False


@dataclass
class _Draft:
    """What has been read of a formula so far."""

    shape_in: Shape | None = None
    shape_out: Shape | None = None
    scope: Scope = field(default_factory=Scope)
    rest: tuple[Coord, ...] = ()
    summed: dict[str, int] = field(default_factory=dict)  # where each reduction is named


def parse(text: str) -> Operator:
    """Read an operator from its index formula (design 2.3).

    The header `[input] -> [output]` may be left out when every output iterator carries its size
    (`y[n:N, o:C_out]`) or one of the usual names (n N, o C_out, c C, h H, w W, t T, d D). The
    weights of the result stand in canonical order: ask `weight_shapes` for theirs. Raises
    ParseError with the position, or OperatorError when no order of primitives builds it.
    """
    found = _KNOWN.get(text)
    if found is None:
        found = _KNOWN[text] = _parse(text)
    return found


def _parse(text: str) -> Operator:
    reader = Reader(text)
    draft = _Draft()
    _read_header(reader, draft)
    left = _read_left(reader)
    shape_out = _bind_outputs(reader, draft, left)
    reader.expect("=", "after the left side")
    _read_binders(reader, draft)
    data, weights, position = _read_factors(reader, draft)
    shape_in = _input_shape(reader, draft, data, position)
    _check_used(reader, draft, data, weights)
    try:
        op = Operator.build(shape_in, shape_out, data, weights)
        steps(op)
    except SynoError as error:
        raise OperatorError(f"{error}\n  in: {text.strip()}") from None
    return op


def _read_header(reader: Reader, draft: _Draft) -> None:
    if reader.now.text != "[":
        return
    draft.shape_in = _read_shape(reader)
    reader.expect("->", "between the input shape and the output shape")
    draft.shape_out = _read_shape(reader)


def _read_shape(reader: Reader) -> Shape:
    return [_read_dimension(reader) for _ in reader.entries("to open a shape", "a dimension")]


def _read_dimension(reader: Reader) -> tuple[Size, ...]:
    start = reader.index
    if reader.take("("):
        parts = [_read_size(reader)]
        while reader.take(","):
            parts.append(_read_size(reader))
        if len(parts) > 1:
            reader.expect(")", "to close the tuple")
            return tuple(parts)
        reader.index = start
    return (_read_size(reader),)


def _read_size(reader: Reader) -> Size:
    """Read the size of a dimension or iterator: 1 is none, since its index could only be 0."""
    position = reader.now.position
    size = size_of(reader.sum(), reader.text)
    if size is ONE:
        raise reader.error(
            "A dimension or iterator of size 1 says nothing: leave it out.", position
        )
    return size


def _read_left(reader: Reader) -> list[_Left]:
    reader.name("a left side such as y[n,o,h,w] = ...")
    entries: list[_Left] = []
    for _ in reader.entries("after the name of the output", "an output iterator"):
        if reader.take("..") or reader.take("..."):
            entries.append(_Left([], rest=True))
        elif reader.take("("):
            names = [_read_iterator(reader)]
            while reader.take(","):
                names.append(_read_iterator(reader))
            reader.expect(")", "to close the tuple")
            entries.append(_Left(names))
        else:
            entries.append(_Left([_read_iterator(reader)]))
    return entries


def _read_iterator(reader: Reader) -> tuple[str, Size | None, int]:
    token = reader.name("an output iterator")
    size = _read_size(reader) if reader.take(":") else None
    return token.text, size, token.position


def _bind_outputs(reader: Reader, draft: _Draft, left: list[_Left]) -> list[Size]:
    """Give each output iterator its coordinate; return the output shape."""
    shapes = _match_dimensions(reader, draft, left)
    rest: list[Coord] = []
    flat: list[Size] = []
    for entry, parts in shapes:
        whole = output(len(flat), product(list(parts)))
        flat.append(whole.size)
        if entry.rest:
            rest.append(whole)
            continue
        for (name, _, position), coord in zip(entry.names, _digits(whole, parts), strict=True):
            _bind(reader, draft, name, coord, position)
    draft.rest = tuple(rest)
    return flat


def _match_dimensions(
    reader: Reader, draft: _Draft, left: list[_Left]
) -> list[tuple[_Left, tuple[Size, ...]]]:
    header = draft.shape_out
    rests = [entry for entry in left if entry.rest]
    if rests and (header is None or len(rests) > 1):
        raise reader.error("'..' stands for the leading dimensions once, and needs the header.")
    if header is None:
        return [(entry, _sizes_of(reader, entry)) for entry in left]
    missing = len(header) - (len(left) - len(rests))
    if missing < 0 or (missing and not rests):
        raise reader.error(
            f"The header has {len(header)} output dimensions, the left side {len(left)}."
        )
    spread = [e for entry in left for e in ([entry] * missing if entry.rest else [entry])]
    return [(e, _agree(reader, e, parts)) for e, parts in zip(spread, header, strict=True)]


def _agree(reader: Reader, entry: _Left, parts: tuple[Size, ...]) -> tuple[Size, ...]:
    """Check the sizes written at the iterators of one dimension against the header."""
    if entry.rest:
        return (product(list(parts)),)
    written = [size for _, size, _ in entry.names]
    if len(entry.names) == 1:
        parts = (product(list(parts)),)
    elif len(parts) != len(entry.names):
        if any(size is None for size in written):
            raise reader.error(
                "A tuple of output iterators needs the size of each: (a:72, b:2, c:16), or "
                "(72, 2, 16) in the header.",
                entry.names[0][2],
            )
        found = tuple(size for size in written if size is not None)
        if product(found) is not product(parts):
            raise reader.error("The sizes of the tuple do not multiply to the dimension.")
        return found
    for (name, size, position), part in zip(entry.names, parts, strict=True):
        if size is not None and size is not part:
            raise reader.error(f"{name} has size {size}, but the header says {part}.", position)
    return parts


def _sizes_of(reader: Reader, entry: _Left) -> tuple[Size, ...]:
    sizes = []
    for name, size, position in entry.names:
        if size is None and name not in _SIZE_OF_NAME:
            raise reader.error(
                f"The size of {name} is unknown: write {name}:SIZE here, or start with a header "
                "such as [N, C_in, H, W] -> [N, C_out, H, W].",
                position,
            )
        sizes.append(size if size is not None else Size.symbol(_SIZE_OF_NAME[name]))
    return tuple(sizes)


def _digits(whole: Coord, parts: tuple[Size, ...]) -> list[Coord]:
    """Return the coordinates (a, b, c) of sizes `parts` with `whole = (a*|b| + b)*|c| + c`."""
    found, rest = [], whole
    for part in reversed(parts[1:]):
        found.append(remainder(rest, part))
        rest = quotient(rest, part)
    return [rest, *reversed(found)]


def _bind(reader: Reader, draft: _Draft, name: str, coord: Coord, position: int) -> None:
    if name in draft.scope.iterators:
        raise reader.error(f"The iterator {name} is named twice.", position)
    draft.scope.iterators[name] = coord


def _read_binders(reader: Reader, draft: _Draft) -> None:
    if not reader.take("sum"):
        return
    for number in reader.entries("after sum, as in sum[c:C_in, a:k]", "a reduction"):
        token = reader.name("a summed iterator")
        reader.expect(":", f"and the size of {token.text}, as in sum[{token.text}:C_in]")
        _bind(reader, draft, token.text, reduce(number, _read_size(reader)), token.position)
        draft.summed[token.text] = token.position


def _read_factors(reader: Reader, draft: _Draft) -> tuple[list[Coord], list[list[Coord]], int]:
    data: list[Coord] | None = None
    position = reader.now.position
    weights: list[list[Coord]] = []
    names: set[str] = set()
    while True:
        token = reader.name("x[...] or a weight such as w1[...]")
        if token.text in names:
            raise reader.error(f"{token.text} stands twice in the product.", token.position)
        names.add(token.text)
        index = _read_index_list(reader, draft, token.text == "x")
        if token.text == "x":
            data, position = index, token.position
        elif token.text[0] in "wW":
            weights.append(index)
        else:
            raise reader.error(
                f"{token.text} is neither the data x nor a weight w1, w2, ....", token.position
            )
        if not reader.take("*"):
            break
        if len(weights) == MAX_WEIGHTS:
            raise reader.error(f"Too many weights: a formula has at most {MAX_WEIGHTS}.")
    if reader.now.kind != "end":
        raise reader.error(f"Unexpected {reader.now.text!r} after the product.")
    if data is None:
        raise reader.error("The formula never reads the data x[...].")
    return data, weights, position


def _read_index_list(reader: Reader, draft: _Draft, is_data: bool) -> list[Coord]:
    index: list[Coord] = []
    for _ in reader.entries("to open the index", "a coordinate"):
        if is_data and (reader.take("..") or reader.take("...")):
            index.extend(draft.rest)
            continue
        node = reader.sum()
        index.append(read_index(node, draft.scope, reader.text))
    return index


def _input_shape(reader: Reader, draft: _Draft, data: list[Coord], position: int) -> list[Size]:
    if draft.shape_in is None:
        return [coord.size for coord in data]
    shape = [product(list(parts)) for parts in draft.shape_in]
    if len(shape) != len(data):
        raise reader.error(
            f"The header gives x {len(shape)} dimensions, the formula reads {len(data)}.", position
        )
    for number, (size, coord) in enumerate(zip(shape, data, strict=True)):
        if size is not coord.size:
            raise reader.error(
                f"Dimension {number} of x has size {size}, but its index runs over {coord.size}: "
                "a formula reads each dimension exactly, never outside of it.",
                position,
            )
    return shape


def _check_used(
    reader: Reader, draft: _Draft, data: list[Coord], weights: list[list[Coord]]
) -> None:
    used = {node for coord in _all(data, weights) for node in coord.walk()}
    for name, position in draft.summed.items():
        if draft.scope.iterators[name] not in used:
            raise reader.error(
                f"The reduction {name} is summed but read nowhere: it would merely scale the "
                "result. Remove it, or use it in x or in two weights.",
                position,
            )


def _all(data: list[Coord], weights: list[list[Coord]]) -> Iterator[Coord]:
    yield from data
    for index in weights:
        yield from index


__all__ = ["parse"]
