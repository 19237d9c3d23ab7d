"""A schedule for every loop nest, without a search: what TVM runs where nothing was tuned.

A sum becomes blocks of outputs held in registers: `rows` of the second last long dimension times
`lanes` of the last, all products of one block done before the next. Steps without a sum run over
their last dimension in vectors. `bench/tvm_tuning.py` measures what that gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import tvm
from tvm.s_tir import Schedule, ScheduleError
from tvm.target import codegen

VECTOR = 16  # float32 numbers in a vector of 512 bits: two or four of those of other processors
ORDERS = ("lanes first", "rows first")
_LONGEST = 64  # numbers of the last dimension in one block
_DRAWN = 12  # tiles that a search draws from
_SPATIAL, _SUMMED = 0, 2  # TVM's kinds of iterators

Sch = Any  # tvm.s_tir.Schedule: TVM has no types for a checker
Block = Any
Loop = Any
Factors = Any  # numbers of iterations from the outer loop in, or what a search draws
Tiling = Callable[[Sch, Loop | None, Loop], tuple[Factors, Factors]]


@dataclass(frozen=True)
class Tile:
    """How many places of the last two long dimensions one block of outputs takes."""

    rows: int
    lanes: int


def scheduled(module: Any) -> Any:
    """Give the functions of an IRModule that have no schedule the one of this file; return it."""
    for name, function in list(module.functions_items()):
        if isinstance(function, tvm.tirx.PrimFunc) and not _is_scheduled(function):
            module[name] = schedule_function(function)
    return module


def schedule_function(function: Any) -> Any:
    """Return a PrimFunc scheduled by `apply`, or as it was where TVM refuses a step."""
    try:
        sch = Schedule(tvm.IRModule({"main": function}))
        apply(sch)
    except ScheduleError:
        return function
    return sch.mod["main"].with_attr("tirx.is_scheduled", True)


def apply(sch: Sch, order: str = "lanes first", tiling: Tiling | None = None) -> None:
    """Schedule the function `main` of `sch` in place; ScheduleError where TVM refuses a step.

    `order` says which blocks of a sum come first, `tiling` splits the loops of its blocks.
    """
    _inline(sch)
    blocks = _blocks(sch)
    sums = [block for block in blocks if not _is_injective(sch, block)]
    last = _epilogue(sch, sums)
    for block in blocks:
        if _is_injective(sch, block) and not (last is not None and _same(sch, block, last)):
            _vectorize_step(sch, block)
    for block in sums:
        _block_sum(sch, block, last, order, tiling or _best)


def space(sch: Sch) -> list[Sch]:
    """Return the schedules of `apply` with their tiles left open, for a search to draw."""
    made = []
    for order in ORDERS:
        copy = sch.copy()
        try:
            apply(copy, order, _drawn)
        except ScheduleError:
            continue
        made.append(copy)
    return made


def has_sum(function: Any) -> bool:
    """Tell whether a PrimFunc sums: what does not has nothing to tune."""
    sch = Schedule(tvm.IRModule({"main": function}))
    return not all(_is_injective(sch, block) for block in _blocks(sch))


def best_tiles(rows: int, lanes: int) -> list[Tile]:
    """Return all tiles of two lengths, those first that do most multiply-adds for what they load.

    A block of r x v vectors loads v of the weights and broadcasts r numbers of the data for r * v
    multiply-adds; few accumulators leave the pipeline of the multipliers empty.
    """

    def worth(tile: Tile) -> float:
        vectors = -(-tile.lanes // VECTOR)
        filled = tile.lanes / (vectors * VECTOR)
        count = tile.rows * vectors
        return filled * count / (count + 4) / (1 + 0.5 / tile.rows + 0.5 / vectors)

    tiles = [
        Tile(row, lane)
        for lane in vectors_of(lanes)
        for row in divisors(rows, max(1, accumulators() // -(-lane // VECTOR)))
    ]
    return sorted(tiles, key=worth, reverse=True)


@cache
def accumulators() -> int:
    """Return how many vectors of outputs this processor keeps in registers beside the operands.

    With AVX-512 these are 24 of 32; 16 registers of 256 bits, or 32 of 128, are 8 of ours.
    """
    here = tvm.target.Target({"kind": "llvm", "mcpu": str(codegen.llvm_get_system_cpu())})
    return 24 if codegen.llvm_cpu_has_features("avx512f", here) else 6


def vectors_of(length: int) -> list[int]:
    """Return into which vectors a dimension divides: LLVM makes poor code of 48 numbers at once."""
    return [each for each in divisors(length, _LONGEST) if each < VECTOR or each.bit_count() == 1]


def divisors(number: int, limit: int) -> list[int]:
    """Return the divisors of `number` up to `limit`."""
    return [each for each in range(1, min(number, limit) + 1) if number % each == 0]


def _inline(sch: Sch) -> None:
    """Write steps without a sum into those that read them, if these have no sum either."""
    for block in _blocks(sch):
        readers = sch.get_consumers(block)
        inlined = readers and _is_injective(sch, block)
        if inlined and all(_is_injective(sch, reader) for reader in readers):
            sch.compute_inline(block)


def _epilogue(sch: Sch, sums: list[Block]) -> Block | None:
    """Return the last step, where it follows the only sum and can be done with each block."""
    if len(sums) != 1:
        return None
    readers = sch.get_consumers(sums[0])
    return readers[0] if len(readers) == 1 and not sch.get_consumers(readers[0]) else None


def _vectorize_step(sch: Sch, block: Block) -> None:
    """Run a step without a sum in vectors over its last dimension, in parallel over the others."""
    loops = list(sch.get_loops(block))
    if not loops:
        return
    lanes = max(vectors_of(_length(sch, loops[-1])))
    *outer, last = loops
    rest, inner = sch.split(last, [None, lanes])
    along = _across_memory(sch, block, outer)
    across = [loop for loop in outer if loop not in along] + [rest]
    sch.reorder(*across, *along, inner)
    if lanes > 1:
        sch.vectorize(inner)
    sch.parallel(sch.fuse(*across))


def _across_memory(sch: Sch, block: Block, outer: list[Loop]) -> list[Loop]:
    """Return the outer loops along which a step reads memory that its last loop jumps through.

    A transposition reads one number of each line: the other numbers have to come next, while the
    line is near.
    """
    stmt = sch.get(block)
    variables = [each.var for each in stmt.iter_vars]
    for load in _walk(stmt.body):
        if isinstance(load, tvm.ir.TensorLoad):
            inside = [node for node in _walk(load.indices[-1]) if isinstance(node, tvm.tirx.Var)]
            held = [any(node.same_as(each) for node in inside) for each in variables]
            if any(held) and not held[-1]:
                return [loop for loop, yes in zip(outer, held, strict=False) if yes]
    return []


def _block_sum(sch: Sch, block: Block, last: Block | None, order: str, tiling: Tiling) -> None:
    """Block a sum, keep the block of outputs in registers, and do the last step with it."""
    iterators = list(sch.get(block).iter_vars)
    loops = list(zip(sch.get_loops(block), iterators, strict=True))
    summed = [loop for loop, each in loops if int(each.iter_type) == _SUMMED]
    places = [loop for loop, each in loops if int(each.iter_type) == _SPATIAL]
    long = [at for at, loop in enumerate(places) if _length(sch, loop) > 1][-2:]
    outer, tiled = _tiled(sch, places, long, _group(sch, block, long), tiling)
    if order == ORDERS[0]:
        outer.insert(0, outer.pop())
    sch.reorder(*outer, *summed, *tiled)
    across = sch.fuse(*outer)
    written = sch.cache_write(block, 0, "local")
    if last is not None:
        sch.compute_inline(written)
    after = written if last is None else last
    sch.reverse_compute_at(after, across, preserve_unit_loops=True)
    sch.parallel(across)
    dimensions = sch.get_loops(after)[1:]
    _spread(sch, [dimensions[at] for at in long if at < len(dimensions)])
    _spread(sch, tiled)
    _spread(sch, sch.get_loops(sch.decompose_reduction(block, summed[0]))[1:])


def _tiled(
    sch: Sch, places: list[Loop], long: list[int], group: int, tiling: Tiling
) -> tuple[list[Loop], list[Loop]]:
    """Split the last two long loops; return the loops across blocks, lanes last, and those inside.

    Outputs of different groups read different inputs: no block spans two.
    """
    if not long:
        return [*places[:-1], places[-1]], []
    lanes = places[long[-1]]
    across = [loop for at, loop in enumerate(places) if at != long[-1]]
    if group:
        groups, lanes = sch.split(lanes, [None, group])
        across.insert(0, groups)
    rows = places[long[0]] if len(long) > 1 else None
    for_rows, for_lanes = tiling(sch, rows, lanes)
    outer_lanes, inner_lanes = sch.split(lanes, for_lanes)
    if rows is None:
        return [*across, outer_lanes], [inner_lanes]
    outer_rows, inner_rows = sch.split(rows, for_rows)
    across = [outer_rows if loop is rows else loop for loop in across]
    return [*across, outer_lanes], [inner_rows, inner_lanes]


def _best(sch: Sch, rows: Loop | None, lanes: Loop) -> tuple[Factors, Factors]:
    """Return the factors of the best tile."""
    tile = best_tiles(1 if rows is None else _length(sch, rows), _length(sch, lanes))[0]
    return [None, tile.rows], [None, tile.lanes]


def _drawn(sch: Sch, rows: Loop | None, lanes: Loop) -> tuple[Factors, Factors]:
    """Return factors that a search draws, from the lengths in the best tiles."""
    tiles = best_tiles(1 if rows is None else _length(sch, rows), _length(sch, lanes))[:_DRAWN]
    drawn = []
    for lengths in ({each.rows for each in tiles}, {each.lanes for each in tiles}):
        even = [1 / len(lengths)] * len(lengths)
        drawn.append([None, sch.sample_categorical(sorted(lengths), even)])
    return drawn[0], drawn[1]


def _group(sch: Sch, block: Block, long: list[int]) -> int:
    """Return how many consecutive places of the last long dimension read the same inputs, or 0.

    A grouped convolution reads the channels of group `o // length` of its output channel o.
    """
    if not long:
        return 0
    stmt = sch.get(block)
    spatial = [each.var for each in stmt.iter_vars if int(each.iter_type) == _SPATIAL]
    divided = [
        int(node.b)
        for node in _walk(stmt.body)
        if isinstance(node, tvm.tirx.FloorDiv) and node.a.same_as(spatial[long[-1]])
    ]
    return min(divided, default=0)


def _walk(node: Any) -> Iterator[Any]:
    """Yield an expression or a store and all that is in it."""
    yield node
    for name in ("a", "b", "value", "indices", "args"):
        found = getattr(node, name, ())
        for child in found if isinstance(found, Sequence) else (found,):
            if isinstance(child, tvm.runtime.Object):
                yield from _walk(child)


def _spread(sch: Sch, loops: Sequence[Loop]) -> None:
    """Make the last loop a vector and unroll the one before it."""
    if loops:
        sch.vectorize(loops[-1])
    if len(loops) > 1:
        sch.unroll(loops[-2])


def _blocks(sch: Sch) -> list[Block]:
    return list(sch.get_child_blocks(sch.get_sblock("root")))


def _is_injective(sch: Sch, block: Block) -> bool:
    return all(int(each.iter_type) == _SPATIAL for each in sch.get(block).iter_vars)


def _same(sch: Sch, one: Block, two: Block) -> bool:
    return bool(sch.get(one).same_as(sch.get(two)))


def _length(sch: Sch, loop: Loop) -> int:
    return int(sch.get(loop).extent)


def _is_scheduled(function: Any) -> bool:
    return bool(function.attrs and function.attrs.get("tirx.is_scheduled"))
