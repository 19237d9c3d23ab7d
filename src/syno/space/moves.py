"""Candidate moves of a state, before distance and taste: one generator for each primitive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, permutations

from syno.ir.coord import Coord, merge, reduce, shift, split, stride, unfold
from syno.ir.operator import Index, digits, follows, normal_index
from syno.ir.size import Size, product
from syno.rules import Canonical
from syno.space.spec import Spec
from syno.space.state import Move, State

_FRESH = 1000  # numbers of new reductions: canonical states count theirs from 0


def candidates(
    spec: Spec, state: State, weighable: frozenset[Coord] | None = None
) -> Iterator[Move]:
    """Yield every move that the sizes and the budgets of the primitives allow.

    Weights are indexed by coordinates in `weighable` alone; by any, if it is not given.
    """
    coords = sorted(state.coords, key=lambda coord: coord.key)
    for primitive, generate in GENERATORS.items():
        if _affordable(spec, state, primitive):
            chosen = coords
            if primitive == "contract" and weighable is not None:
                chosen = [coord for coord in coords if coord in weighable]
            yield from generate(spec, state, chosen)


def is_candidate(spec: Spec, state: State, move: Move) -> bool:
    """Tell whether `move` is one of the candidates, without making the 2^n contractions."""
    if move.primitive not in GENERATORS or not _affordable(spec, state, move.primitive):
        return False
    coords = sorted(state.coords, key=lambda coord: coord.key)
    if move.primitive != "contract":
        return move in GENERATORS[move.primitive](spec, state, coords)
    chosen = tuple(coord for coord in coords if coord in move.operands)
    outer = tuple(coord for coord in chosen if coord not in move.inner)
    inner = tuple(coord for coord in chosen if coord in move.inner)
    return (
        move == Move("contract", chosen, None, inner)
        and bool(chosen)
        and len(outer) <= spec.limits.outer
        and _may_contract(spec, state, chosen)
        and _may_drop(spec, state, outer)
    )


def next_reduction(spec: Spec, state: State, size: Size) -> Move | None:
    """Return the move that adds a reduction of `size`; None where the spec has none."""
    moves = _reduces(spec, state, [])
    return next((move for move in moves if move.arg is size), None)


def _affordable(spec: Spec, state: State, primitive: str) -> bool:
    limits = spec.limits
    budgets = {
        "reduce": limits.reductions,
        "contract": limits.weights,
        "unfold": limits.unfolds,
        "split": limits.splits,
        "merge": limits.merges,
        "shift": limits.shifts,
        "stride": limits.strides,
        "expand": limits.expands,
    }
    return state.count(primitive) < budgets[primitive]


def after(state: State, move: Move) -> State:
    """Return the state that `move` leads to; `finish` is the business of the space."""
    left = state.coords - set(move.operands)
    weights = state.weights
    if move.primitive == "contract":
        weights = weights | {_index(move.operands)}
    return State(frozenset(left | set(made(move))), weights, state.counting(move.primitive), None)


def made(move: Move) -> Index:
    """Return the coordinates that `move` yields."""
    operands, arg = move.operands, move.arg
    match move.primitive:
        case "reduce" | "contract":
            return move.inner
        case "expand":
            return ()
        case "split":
            return (split(*operands),)
        case "unfold":
            return (unfold(*operands),)
    if move.primitive == "shift" and isinstance(arg, int):
        return (shift(operands[0], arg),)
    assert arg is not None and not isinstance(arg, int)
    if move.primitive == "stride":
        return (stride(operands[0], arg),)
    return merge(operands[0], arg)


def is_wasted(spec: Spec, canonical: Canonical, state: State, move: Move) -> bool:
    """Tell whether the state after `move` is reached with fewer steps, or holds a constant."""
    if move.primitive in ("reduce", "contract", "expand", "unfold"):
        return False
    normal = [canonical.coord(coord) for coord in made(move)]
    if any(map(canonical.is_constant, normal)):
        return True
    match move.primitive:
        case "merge":
            inside = list(move.operands[0].walk())
            return all(coord in inside for coord in normal)
        case "shift":
            return _is_wasted_shift(spec, move, normal[0])
        case "split":
            return _is_wasted_split(state, move, normal[0])
    return False


def _is_wasted_shift(spec: Spec, move: Move, normal: Coord) -> bool:
    """A reduction is not shifted; two shifts that are one are not two."""
    (coord,) = move.operands
    if coord.op == "reduce" or (coord.op == "shift" and normal is coord.args[0]):
        return True
    same = normal.op == "shift" and coord.op == "shift" and normal.args[0] is coord.args[0]
    return same and normal.arg in spec.shifts


def _is_wasted_split(state: State, move: Move, normal: Coord) -> bool:
    """Tell whether digits that no weight has seen were cut to be joined."""
    if not any(normal is node for each in move.operands for node in each.walk()):
        return False
    whole = digits(normal)[0]
    seen = (node for index in state.weights for coord in index for node in coord.walk())
    return not any(node is not whole and digits(node)[0] is whole for node in seen)


@cache
def _windows_of(coord: Coord) -> frozenset[Size]:
    """Return the sizes of the dimensions that `coord` reads through a window."""
    return frozenset(node.size for node in coord.walk() if node.op == "unfold")


def lacks_window(spec: Spec, coord: Coord) -> bool:
    """Tell whether `coord` has the size of a dimension that needs a window, and reads none."""
    return coord.size in spec.windowed_sizes and coord.size not in _windows_of(coord)


def _index(operands: Index) -> Index:
    return tuple(sorted(normal_index(operands), key=lambda coord: coord.key))


def _reduces(spec: Spec, state: State, _coords: list[Coord]) -> Iterator[Move]:
    """Reductions of one size are numbered in the order they appear: they are interchangeable."""
    used = [leaf for leaf in leaves_of(state) if leaf.op == "reduce"]
    terms = product([leaf.size for leaf in used])
    for place, size in enumerate(spec.reduction_sizes):
        if not spec.fits_domain(terms * size):
            continue
        same = sum(leaf.size is size for leaf in used)
        leaf = reduce(_FRESH + place * 16 + same, size)
        yield Move("reduce", (), size, (leaf,))


def leaves_of(state: State) -> set[Coord]:
    """Return the iterators in the coordinates and weights of `state`."""
    tops = [*state.coords, *(coord for index in state.weights for coord in index)]
    return {leaf for top in tops for leaf in top.leaves()}


def _contracts(spec: Spec, state: State, coords: list[Coord]) -> Iterator[Move]:
    for count in range(1, len(coords) + 1):
        for chosen in combinations(coords, count):
            if not _may_contract(spec, state, chosen):
                continue
            for dropped in range(min(spec.limits.outer, count) + 1):
                for outer in combinations(chosen, dropped):
                    if _may_drop(spec, state, outer):
                        inner = tuple(coord for coord in chosen if coord not in outer)
                        yield Move("contract", chosen, None, inner)


def _may_contract(spec: Spec, state: State, chosen: Index) -> bool:
    return not _says_nothing_new(state, chosen) and _is_large(spec, chosen)


def _is_large(spec: Spec, chosen: Index) -> bool:
    """Tell whether a weight indexed by `chosen` has enough entries under every binding."""
    values = spec.values(product([coord.size for coord in chosen]))
    return values is not None and min(values) >= spec.limits.weight_parameters


def _says_nothing_new(state: State, chosen: Index) -> bool:
    """Tell whether one of two weights would absorb the other."""
    new = set(_index(chosen))
    return any(new <= set(index) or new >= set(index) for index in state.weights)


def _may_drop(spec: Spec, state: State, outer: Index) -> bool:
    """A reduction that leaves the data has to stay in another weight, or it was for nothing."""
    return all(
        spec.is_rank(coord.size) and any(follows(coord, index) for index in state.weights)
        for coord in normal_index(outer)
        if all(leaf.op == "reduce" for leaf in coord.leaves())
    )


def _unfolds(spec: Spec, _state: State, coords: list[Coord]) -> Iterator[Move]:
    for base, window in permutations(coords, 2):
        if spec.is_small(window.size) and not spec.is_small(base.size):
            yield Move("unfold", (base, window))


def _splits(spec: Spec, _state: State, coords: list[Coord]) -> Iterator[Move]:
    for high, low in permutations(coords, 2):
        if spec.is_legal(high.size * low.size):
            yield Move("split", (high, low))


def _merges(spec: Spec, _state: State, coords: list[Coord]) -> Iterator[Move]:
    for coord in coords:
        for block in spec.block_sizes:
            if block is not coord.size and spec.is_legal(coord.size / block):
                yield Move("merge", (coord,), block)


def _shifts(spec: Spec, _state: State, coords: list[Coord]) -> Iterator[Move]:
    for coord in coords:
        values = spec.values(coord.size) or (1,)
        for distance in spec.shifts:
            if all(distance % value for value in values):
                yield Move("shift", (coord,), distance)


def _strides(spec: Spec, _state: State, coords: list[Coord]) -> Iterator[Move]:
    for coord in coords:
        for step in spec.stride_sizes:
            if spec.is_legal(step * coord.size):
                yield Move("stride", (coord,), step)


def _expands(_spec: Spec, _state: State, coords: list[Coord]) -> Iterator[Move]:
    """A reduction that nothing reads would only scale the result: it is not expanded."""
    for coord in coords:
        if all(leaf.op == "output" for leaf in coord.leaves()):
            yield Move("expand", (coord,))


GENERATORS: dict[str, Callable[[Spec, State, list[Coord]], Iterator[Move]]] = {
    "reduce": _reduces,
    "contract": _contracts,
    "unfold": _unfolds,
    "split": _splits,
    "merge": _merges,
    "shift": _shifts,
    "stride": _strides,
    "expand": _expands,
}
