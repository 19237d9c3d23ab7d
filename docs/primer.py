"""The idea of Syno from nothing: plain Python and NumPy, no import of syno.

Read it from top to bottom; run it with `python docs/primer.py`. It takes some seconds, prints what
it finds, and its claims are assertions.

We want a layer that turns 4 channels of a signal of length 7 into 6 channels of the same length.
The usual answer is a convolution. Ours: list what could stand there, and look.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations, permutations, product
from math import prod
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

C_IN, C_OUT, H, K = 4, 6, 7, 3

# 1. Coordinates ---------------------------------------------------------------------------------
# A loop variable such as `o` or `h` is a coordinate; so is whatever we compute from one. We keep
# how it was made (`op` on `args`, with a constant `arg`) and how many values it takes (`size`).


class Coord(NamedTuple):
    """One coordinate: a loop variable, or the result of a primitive on others."""

    op: str
    size: int
    args: tuple[Coord, ...] = ()
    arg: int = 0


CHANNEL, PLACE = Coord("output", C_OUT, arg=0), Coord("output", H, arg=1)  # o and h of y[o, h]


# 2. Eight primitives ----------------------------------------------------------------------------
# Each takes coordinates and gives coordinates. Five of them compute an index:


def split(i: Coord, j: Coord) -> Coord:
    """Take i:G and j:B for the high and the low digit of one coordinate of size G*B."""
    return Coord("split", i.size * j.size, (i, j))


def merge(i: Coord, block: int) -> tuple[Coord, Coord]:
    """Take i apart into the number of its block and the place in the block."""
    return Coord("//", i.size // block, (i,), block), Coord("%", block, (i,), block)


def shift(i: Coord, distance: int) -> Coord:
    """Read a neighbour, around the end."""
    return Coord("shift", i.size, (i,), distance)


def stride(i: Coord, step: int) -> Coord:
    """Read every step-th element."""
    return Coord("stride", i.size * step, (i,), step)


def unfold(i: Coord, j: Coord) -> Coord:
    """Read a window around i; j is the place in the window. Outside of the data we read 0."""
    return Coord("unfold", i.size, (i, j))


INDEX: dict[str, Any] = {
    "split": lambda i, j, c: i * c.args[1].size + j,
    "//": lambda i, _j, c: i // c.arg,
    "%": lambda i, _j, c: i % c.arg,
    "shift": lambda i, _j, c: (i + c.arg) % c.size,
    "stride": lambda i, _j, c: i * c.arg,
    "unfold": lambda i, j, c: i + j - c.args[1].size // 2,
}

# The other three compute nothing. `reduce` brings a new loop variable, which is summed over;
# `expand` drops a coordinate, so that the data is the same for all of its values; `share` shows a
# coordinate to a weight as well. Share a coordinate and drop it from the data, and only the weight
# depends on it: this is where output channels come from that the input does not have.


def reduce(number: int, size: int) -> Coord:
    """Return a loop variable that is summed over."""
    return Coord("reduce", size, arg=number)


# 3. An operator is an index formula -------------------------------------------------------------
# y[o, h] = sum over reductions of x[data] * w[weight]. There is nothing else to know of a layer.


class Operator(NamedTuple):
    """Which element of x and which weight belong to each term of the sum."""

    data: tuple[Coord, ...]
    weight: tuple[Coord, ...]


def leaves(*coords: Coord) -> set[Coord]:
    """Return the loop variables in coordinates."""
    return set().union(*(leaves(*coord.args) if coord.args else {coord} for coord in coords))


def loops(op: Operator) -> list[Coord]:
    """Return the loop variables of the operator: outputs, then reductions."""
    return [CHANNEL, PLACE, *sorted(leaves(*op.data, *op.weight) - {CHANNEL, PLACE})]


def show(coord: Coord) -> str:
    """Return the coordinate as text."""
    if not coord.args:
        return ("oh" if coord.op == "output" else "rs")[coord.arg]
    i, *rest = map(show, coord.args)
    low = coord.args[-1].size
    i = f"({i})" if coord.args[0].op in ("split", "unfold") else i
    return {
        "split": f"{i}*{low} + {''.join(rest)}",
        "shift": f"({i} + {coord.arg}) % {coord.size}",
        "stride": f"{coord.arg}*{i}",
        "unfold": f"{i} + {''.join(rest)} - {low // 2}",
    }.get(coord.op, f"({i} {coord.op} {coord.arg})")


def formula(op: Operator) -> str:
    """Return the operator as text."""
    sums = ", ".join(f"{show(coord)}:{coord.size}" for coord in loops(op)[2:])
    x, w = (", ".join(map(show, index)) for index in op)
    return f"y[o,h] = sum[{sums}] x[{x}]" + (f" * w[{w}]" if w else "")


def read(coord: Coord, at: dict[Coord, Any]) -> tuple[Any, Any]:
    """Return the index a coordinate reads, and whether it is inside, for given loop variables."""
    if not coord.args:
        return at[coord], True
    (i, inside), *rest = (read(each, at) for each in coord.args)
    j, also = rest[0] if rest else (0, True)
    index = INDEX[coord.op](i, j, coord)
    return index, inside & also & (index >= 0) & (index < coord.size)


def apply(op: Operator, x: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate the formula by loops, as it is written."""
    y = np.zeros((C_OUT, H))
    for values in product(*(range(coord.size) for coord in loops(op))):
        at = dict(zip(loops(op), values, strict=True))
        places = [read(coord, at) for coord in op.data]
        if all(inside for _, inside in places):
            weight = w[tuple(read(coord, at)[0] for coord in op.weight)]
            y[at[CHANNEL], at[PLACE]] += x[tuple(index for index, _ in places)] * weight
    return y


# 4. Building it from the output to the input ----------------------------------------------------
# Start with the coordinates of the output, {o:6, h:7}. Apply primitives until the sizes of what is
# left are those of the input, {4, 7}. A convolution takes four steps:

c, a = reduce(0, C_IN), reduce(1, K)  # {o:6, h:7, c:4, a:3}
window = unfold(PLACE, a)  # {o:6, c:4, h+a-1:7}
convolution = Operator((c, window), (CHANNEL, c, a))  # o goes to the weight alone: {c:4, h+a-1:7}
print("a convolution:        ", formula(convolution))

rng = np.random.default_rng(0)
x, w = rng.normal(size=(C_IN, H)), rng.normal(size=(C_OUT, C_IN, K))
known = [sum(np.correlate(x[i], w[o, i], "same") for i in range(C_IN)) for o in range(C_OUT)]
assert np.allclose(apply(convolution, x, w), known)

# Cut the output channel in two, and let each half read half of the input: a grouped convolution.
group, member = merge(CHANNEL, 3)
half = reduce(0, 2)
grouped = Operator((split(group, half), window), (CHANNEL, half, a))
print("a grouped convolution:", formula(grouped))


# 5. When are two spellings one operator? --------------------------------------------------------
# (o*2 + r) // 2 is o, whatever o and r are. Such facts are rules: if a step makes the left side, an
# operator with the right side is reached without it, and the step is not taken.


def is_redundant(coord: Coord, weight: tuple[Coord, ...]) -> bool:
    """Tell whether a coordinate just made has a simpler spelling."""
    i, j = (*coord.args, None)[:2]
    assert i is not None
    if coord.op in ("//", "%") and i.op == "split":
        low = i.args[1].size  # digits come off the part that holds them
        return low % coord.arg == 0 or coord.arg % low == 0
    if coord.op in ("//", "%", "shift") and i.op == "reduce":
        return True  # it renumbers the terms of a sum
    if coord.op != "split" or j is None:
        return False
    if i.op == j.op == "reduce":  # two sums that always travel together are one
        return (i in weight) == (j in weight)
    return i.op == "//" and j == merge(i.args[0], i.arg)[1]  # (o // 3)*3 + o % 3 is o


def undone(weight: tuple[Coord, ...]) -> tuple[Coord, ...]:
    """Return the index of a weight without what only gives its entries other names."""
    found = set(weight)
    for coord in found:
        if coord.op in ("split", "shift"):
            return undone((*found - {coord}, *coord.args))
        if coord.op == "//" and (low := merge(coord.args[0], coord.arg)[1]) in found:
            return undone((*found - {coord, low}, coord.args[0]))
    return tuple(sorted(found))


# Are these rules right, and are they enough? We measure them against something that knows nothing
# of them. Put a random v for x and weigh the output with a random u. What is left is a sum of
# weights, each with a coefficient, and giving the weights other names does not change the sorted
# coefficients: they are the fingerprint of the operator.


def table(op: Operator) -> tuple[Any, Any, Any, Any]:
    """Return for all terms at once: place in y, place in x, place in w, and whether inside."""
    grid = np.indices([coord.size for coord in loops(op)]).reshape(len(loops(op)), -1)
    at = dict(zip(loops(op), grid, strict=True))
    flat: list[Any] = []
    inside: Any = np.ones(grid.shape[1], bool)
    for coords in ((CHANNEL, PLACE), op.data, op.weight):
        place = np.zeros(grid.shape[1], int)
        for coord in coords:
            index, valid = read(coord, at)
            inside = inside & valid
            place = place * coord.size + np.where(valid, index, 0)
        flat.append(place)
    return flat[0], flat[1], flat[2], inside


u, v = (np.random.default_rng(1).integers(1, 10**6, n) for n in (C_OUT * H, C_IN * H))


def fingerprint(op: Operator) -> tuple[int, ...]:
    """Return the sorted coefficients of the weights for fixed random u and v."""
    out, into, place, inside = table(op)
    found = np.zeros(prod(coord.size for coord in op.weight), int)
    np.add.at(found, place, np.where(inside, u[out] * v[into], 0))
    return tuple(np.sort(found))


spelled = Operator((split(*merge(c, 2)), window), (group, member, c, a))
print("the same, spelled out:", formula(spelled))
assert fingerprint(spelled) == fingerprint(convolution) != fingerprint(grouped)


# 6. The space -----------------------------------------------------------------------------------
# A state is what has been built so far. The toy does without stride and expand, has two sums and
# one weight at most, and some taste, which is no rule and could be otherwise: windows and shifts go
# along the place h, and a weight takes all coordinates that are not made from h.


class State(NamedTuple):
    """Current coordinates, those of the weight (none yet: empty), and the sizes of the sums."""

    coords: frozenset[Coord] = frozenset({CHANNEL, PLACE})
    weight: tuple[Coord, ...] = ()
    sums: tuple[int, ...] = ()


@cache
def moves(state: State, rules: bool = True) -> list[State]:
    """Return the states one step further."""
    coords, weight, sums = state
    here = sorted(coords)
    made: list[tuple[tuple[Coord, ...], tuple[Coord, ...]]] = []  # what a step takes, what it gives
    for i in here:
        made += [((i,), merge(i, b)) for b in (2, 3) if i.size % b == 0 and i.size > b]
        made += [((i,), (shift(i, 1),))] if PLACE in leaves(i) and i.op != "shift" else []
    for i, j in permutations(here, 2):
        made += [((i, j), (split(i, j),))]
        made += [((i, j), (unfold(i, j),))] if PLACE in leaves(i) and j.size == K else []
    # Small sums first, since their order means nothing; and what only a weight is to see must come
    # from the output alone, or a sum would be for nothing.
    sizes = [n for n in (2, 3, 4) if len(sums) < 2 and n >= max(sums, default=0)]
    seen = tuple(i for i in here if PLACE not in leaves(i)) if not weight else ()
    free = [i for i in seen if leaves(i) == {CHANNEL}]
    index = undone(seen) if rules else seen
    return [
        *(
            State(coords - set(gone) | set(new), weight, sums)
            for gone, new in made
            if not (rules and any(is_redundant(coord, weight) for coord in new))
        ),
        *(State(coords | {reduce(len(sums), n)}, weight, (*sums, n)) for n in sizes),
        *(State(coords - set(g), index, sums) for n in (1, 2) for g in combinations(free, n)),
    ]


def finished(state: State) -> Operator | None:
    """Return the operator of a state whose sizes are those of the input, if it reads everything."""
    data = tuple(sorted(state.coords, key=lambda coord: coord.size))
    sums = {reduce(number, size) for number, size in enumerate(state.sums)}
    reads_all = sums <= leaves(*data) and CHANNEL in leaves(*data, *state.weight)
    fits = [coord.size for coord in data] == [C_IN, H]
    return Operator(data, state.weight) if fits and reads_all else None


def enumerate_operators(steps: int, rules: bool) -> tuple[int, set[Operator]]:
    """Return the number of states, and all operators of at most so many steps."""
    level, states, found = {State()}, 1, set()
    for _ in range(steps):
        level = {after for state in level for after in moves(state, rules)}
        states += len(level)
        found |= {op for state in level if (op := finished(state))}
    return states, found


states, spellings = enumerate_operators(5, rules=False)
fewer, operators = enumerate_operators(5, rules=True)
classes = {fingerprint(op) for op in spellings}
print(f"\n5 steps without rules: {states} states, {len(spellings)} spellings", end=" ")
print(
    f"of {len(classes)} operators\n5 steps with rules: {fewer} states, {len(operators)} operators"
)

# The certificate: the rules lose no operator (else one of them is wrong), and find none twice (else
# one is missing).
assert {fingerprint(op) for op in operators} == classes
assert len(operators) == len(classes) < len(spellings)


# 7. How far is it? ------------------------------------------------------------------------------
# Most states lead nowhere: {o:6, h:7, r:2} will not be {4, 7} in one step. To see it, forget all
# but the sizes, and play the same game with them. What sizes cannot reach in n steps, no operator
# can; and there are so few of them that every question is answered once. (A size is a multiple of 7
# just where h is in the coordinate, so that even our taste can be told from sizes.)


@cache
def within(steps: int, sizes: tuple[int, ...], may_weigh: bool, sums: int) -> bool:
    """Tell whether the sizes of the input may be reached in so many steps, or fewer."""
    if sizes == (C_IN, H) or steps == 0:
        return sizes == (C_IN, H)

    def then(gone: tuple[int, ...], *new: int, weighs: bool = False) -> bool:
        rest = tuple(sorted((Counter(sizes) - Counter(gone) + Counter(new)).elements()))
        return within(steps - 1, rest, may_weigh and not weighs, sums + (not gone))

    channels = [size for size in sizes if size % H]
    drops = [*combinations(channels, 1), *combinations(channels, 2)] if may_weigh else []
    return (
        any(then((), size) for size in (2, 3, 4) if sums < 2)
        or any(then((i,), i // b, b) for i in sizes for b in (2, 3) if i % b == 0 < i - b)
        or any(then(pair, prod(pair)) for pair in combinations(sizes, 2))
        or (K in channels and then((K,)))
        or any(then(gone, weighs=True) for gone in drops)
    )


def may_arrive(state: State, steps: int) -> bool:
    """Tell from the sizes whether `state` may become an operator in so many steps, or fewer."""
    sizes = tuple(sorted(coord.size for coord in state.coords))
    return within(steps, sizes, not state.weight, len(state.sums))


@cache
def arrives(state: State, steps: int) -> bool:
    """Tell the truth about it, by trying everything."""
    after = moves(state) if steps else []
    return finished(state) is not None or any(arrives(each, steps - 1) for each in after)


print()
level = {State()}
for steps in (5, 4, 3, 2, 1):
    assert all(may_arrive(state, steps) for state in level if arrives(state, steps))  # none is lost
    kept, true = (sum(tell(state, steps) for state in level) for tell in (may_arrive, arrives))
    print(f"{steps} steps left: {len(level):5} states, {kept:4} by their sizes, {true:4} in truth")
    level = {after for state in level for after in moves(state)}


# 8. Guidance ------------------------------------------------------------------------------------
# A rollout takes random steps. Without a guide few arrive; with one, each step is drawn among those
# from which the sizes of the input can still be reached.

STEPS = 6


def roll_out(rng: Random, guided: bool) -> Operator | None:
    """Return the operator that random steps end in, if they do."""
    state = State()
    for left in reversed(range(STEPS)):
        after = [each for each in moves(state) if not guided or may_arrive(each, left)]
        if not after:
            return None
        state = rng.choice(after)
        if op := finished(state):
            return op
    return None


dice = Random(0)
blind, led = (sum(roll_out(dice, g) is not None for _ in range(500)) for g in (False, True))
print(f"\nof 500 rollouts, {blind} end in an operator without guidance, {led} with it")
assert led > 3 * blind


# 9. A search ------------------------------------------------------------------------------------
# What is an operator worth? We measure it: how well does it imitate a layer that is there already,
# and how many multiplications does it take? Our layer is a convolution whose channels mix strongly
# within each half and weakly across. (An operator with one weight is linear in it: its best weight
# is a least-squares problem.)

numbers = np.random.default_rng(2)
layer = numbers.normal(size=(C_OUT, C_IN, K))
same_half = np.arange(C_OUT)[:, None] // 3 == np.arange(C_IN) // 2
layer *= np.where(same_half, 1, 0.15)[:, :, None]
signals = numbers.normal(size=(12, C_IN, H))
goal = np.array([apply(convolution, signal, layer) for signal in signals]).ravel()


def misfit(op: Operator) -> float:
    """Return the share of the layer's output that the operator cannot imitate, 0 to 1."""
    out, into, place, inside = table(op)
    terms = np.where(inside, signals.reshape(len(signals), -1)[:, into], 0)
    matrix = np.zeros((len(signals), C_OUT * H, prod(coord.size for coord in op.weight)))
    np.add.at(matrix, (slice(None), out, place), terms)
    matrix = matrix.reshape(len(goal), -1)
    best = np.linalg.lstsq(matrix, goal)[0]
    return float(np.sum((matrix @ best - goal) ** 2) / np.sum(goal**2))


def search(rollouts: int, seed: int) -> list[tuple[int, float, Operator]]:
    """Return (multiplications, misfit, operator) where no other operator is better in both."""
    rng = Random(seed)
    tried: dict[Operator, tuple[int, float]] = {}
    for _ in range(rollouts):
        op = roll_out(rng, guided=True)
        if op is not None and op not in tried:
            tried[op] = prod(coord.size for coord in loops(op)), misfit(op)
    front: list[tuple[int, float, Operator]] = []
    for op, (cost, miss) in sorted(tried.items(), key=lambda item: item[1]):
        if not front or miss < front[-1][1] - 1e-9:
            front.append((cost, miss, op))
    return front


print("\nmultiplications, what it misses of the layer, operator")
front = search(rollouts=4000, seed=0)
for cost, miss, op in front:
    print(f"{cost:6} {100 * miss:6.1f} %  {formula(op)}")

# Nobody told it what a convolution is; and on this layer, half of one does nearly the same.
(half_cost, half_miss, found), (full_cost, full_miss, best) = front[-2:]
assert fingerprint(best) == fingerprint(convolution) and full_miss < 1e-9
assert fingerprint(found) == fingerprint(grouped) and half_cost * 2 == full_cost
assert half_miss < 0.01

# What Syno adds: sizes with names, so that one operator fits every place in a network; several
# weights; many more rules and prunes; tree search in place of plain rollouts; generated code; and
# training and timing in place of our two numbers. docs/architecture.md says where each of them is.
