"""Canonical forms: one spelling for one function, whichever way it was reached."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest
from near_misses import NEAR

import syno
from syno.ir.operator import Operator
from syno.ir.size import Size, Values
from syno.rules import Canonical, canonical, same_operator
from syno.rules.simplest import Simplest
from syno.space.prunes import PRUNES, Taste
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.space.state import Move, State
from syno.zoo.named import NAMED

SIZES = {"C_in": 8, "C_out": 12, "C": 8, "H": 12, "W": 6, "T": 4, "R": 3, "g": 4, "k": 3, "s": 2}
OTHER = {**SIZES, "C_in": 24, "C_out": 16, "H": 24, "W": 12, "T": 10}
BOUND = (SIZES, OTHER)

_LINE = "[C_in, H] -> [C_out, H]\ny[o,h] = "
_ROW = "[H] -> [H]\ny[h] = "
_ROWS = "[T, C_in] -> [T, C_out]\ny[t,o] = "
_POOL = "[H] -> [H/s]\ny[h] = "
_PLANE = "[H, W] -> [H, W]\ny[h,w] = "
SAME = {
    "two sums that one weight sees are one": (
        _LINE + "sum[c:C_in/s, a:s] x[c*s + a, h] * w1[o,c,a]",
        _LINE + "sum[c:C_in] x[c, h] * w1[o,c]",
    ),
    "two sums that no weight sees are one": (
        _ROWS + "sum[c:C_in/s, a:s, g:T] x[g, c*s + a] * w1[t,o]",
        _ROWS + "sum[g:T, c:C_in] x[g, c] * w1[t,o]",
    ),
    "two ranks are one": (
        _ROWS + "sum[c:C_in, r:R, q:s] x[t,c] * w1[o,r,q] * w2[c,r,q]",
        _ROWS + "sum[c:C_in, r:R*s] x[t,c] * w1[o,r] * w2[c,r]",
    ),
    "a sum that x reads in digits is two": (
        "[C_in/s, s, H] -> [C_out, H]\ny[o,h] = sum[c:C_in] x[c//s, c%s, h] * w1[o,c]",
        "[C_in/s, s, H] -> [C_out, H]\ny[o,h] = sum[c:C_in/s, a:s] x[c, a, h] * w1[o,c,a]",
    ),
    "a sum of which a weight sees the high digit is two": (
        _ROWS + "sum[c:C_in] x[t, c] * w1[o,c // s] * w2[c]",
        _ROWS + "sum[c:C_in/s, a:s] x[t, c*s + a] * w1[o,c] * w2[c,a]",
    ),
    "a sum of which a weight sees the low digit is two": (
        _ROWS + "sum[c:C_in] x[t, c] * w1[o,c % s] * w2[c]",
        _ROWS + "sum[c:C_in/s, a:s] x[t, c*s + a] * w1[o,a] * w2[c,a]",
    ),
    "a sum that was shifted is renumbered": (
        _LINE + "sum[c:C_in] x[(c + 3) % C_in, h] * w1[o,c]",
        _LINE + "sum[c:C_in] x[c, h] * w1[o,c]",
    ),
    "a sum of digits in other blocks": (
        _ROWS + "sum[c:C_in, g:T] x[(c*T + g) // C_in, (c*T + g) % C_in] * w1[t,o]",
        _ROWS + "sum[g:T, c:C_in] x[g, c] * w1[t,o]",
    ),
    "a carry into a sum": (
        _POOL + "sum[a:s] x[(a*(H/s) + h + 1) % H]",
        _POOL + "sum[a:s] x[a*(H/s) + (h + 1) % (H/s)]",
    ),
    "a digit that was shifted with the whole": (
        _ROW + "x[(h + 1) % H] * w1[((h + 1) % H) % s]",
        _ROW + "x[(h + 1) % H] * w1[h % s]",
    ),
    "digits that were put together again": (
        "[H*W] -> [H, W]\ny[h,w] = x[(h // s)*(s*W) + (h % s)*W + w]",
        "[H*W] -> [H, W]\ny[h,w] = x[h*W + w]",
    ),
    "a window over blocks": (
        _PLANE + "sum[a:s] x[(h // k + a - s//2)*k + h % k, w]",
        _PLANE + "sum[a:s] x[h + k*a - (s*k)//2, w]",
    ),
    "low digit and window": (
        _POOL + "sum[a:s, b:s] x[h*s + b + a - s//2] * w1[b]",
        _POOL + "sum[a:s, b:s] x[h*s + a + b - s//2] * w1[b]",
    ),
    "ranks of one length": (
        _ROWS + "sum[c:C_in, r:s*s] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in, r:g] x[t,c] * w1[o,r] * w2[c,r]",
    ),
}


def form(op: Operator) -> Operator:
    found = Canonical(Values(BOUND), coefficients=("g", "k", "s"))
    return found.operator(op)


@pytest.mark.parametrize("name", SAME)
def test_two_spellings_have_one_form(name: str) -> None:
    one, two = (syno.parse(text) for text in SAME[name])
    assert same_operator(one, two, BOUND)
    assert form(one) is form(two)


@pytest.mark.parametrize("name", NAMED)
def test_named_operators_are_canonical(name: str) -> None:
    assert canonical(NAMED[name].operator) is NAMED[name].operator
    assert canonical(NAMED[name].operator, [NAMED[name].sizes]) is NAMED[name].operator


@pytest.mark.parametrize("name", NEAR)
def test_what_is_nearly_the_same_stays_apart(name: str) -> None:
    one, two = (canonical(syno.parse(text)) for text in NEAR[name])
    assert one is not two
    assert canonical(one) is one and canonical(two) is two


def test_without_bindings_only_what_holds_for_all_sizes_is_done() -> None:
    numbers = syno.parse(_ROW + "x[(((h // s) + 1) % (H/s))*s + h % s]")
    assert canonical(numbers) is numbers
    assert canonical(numbers, BOUND) is syno.parse(_ROW + "x[(h + 2) % H]")
    ranks = syno.parse(SAME["ranks of one length"][0])
    assert canonical(ranks) is canonical(ranks, BOUND) is ranks


def test_a_range_is_not_forgotten_where_nothing_else_remembers_it() -> None:
    alone = syno.parse("[2] -> [4]\ny[h] = sum[a:2] x[(h + 2*a - 4//2) % 2]")
    assert canonical(alone) is alone
    beside = syno.parse(
        "[2, 2] -> [4]\ny[h] = sum[a:2] x[(h + 2*a - 4//2) // 2, (h + 2*a - 4//2) % 2]"
    )
    form = canonical(beside)
    assert str(form).endswith("x[o // 2 + a - 2//2, o % 2]")
    assert same_operator(beside, form, [{}])


def test_sizes_of_one_value_have_one_name() -> None:
    simplest = Simplest(Values(BOUND), ("g", "k", "s"))
    texts = {"s*s": "g", "g/s": "s", "C_in*s/g": "C_in/s", "C_in/(s*s)": "C_in/g", "k*s": "k*s"}
    assert {text: str(simplest(Size.parse(text))) for text in texts} == texts
    assert Simplest(Values(BOUND))(Size.parse("s*s")) is Size.parse("s*s")


# -------------------------------------------------------------------------- any order of the steps


def space(name: str) -> SynthesisSpace:
    spec = named_spec(name)
    spec = replace(spec, limits=replace(spec.limits, steps=8, merges=2, splits=2))
    return SynthesisSpace(spec, Taste.without(prune.name for prune in PRUNES), guided=False)


def swapped(one: SynthesisSpace, state: State, first: Move, second: Move) -> tuple[State, State]:
    """Return the states after two independent moves in either order."""
    found = []
    for moves in ((first, second), (second, first)):
        now, names = one.follow(state, moves[0])
        operands = tuple(names[coord] for coord in moves[1].operands)
        if moves[1].primitive == "contract":
            operands = tuple(sorted(operands, key=lambda coord: coord.key))
        inner = {names.get(coord) for coord in moves[1].inner}
        kept = tuple(coord for coord in operands if coord in inner) or moves[1].inner
        found.append(one.apply(now, replace(moves[1], operands=operands, inner=kept)))
    return found[0], found[1]


@pytest.mark.parametrize("name", ["pool1d", "image", "linear", "conv1d"])
@pytest.mark.parametrize("seed", range(5))
def test_two_independent_steps_commute(name: str, seed: int) -> None:
    one, rng, compared = space(name), Random(seed), 0
    while compared < 40:
        state = one.root()
        for _ in range(rng.randrange(5)):
            moves = one.moves(state)
            if not moves:
                break
            state = one.apply(state, rng.choice(moves))
        moves = [move for move in one.moves(state) if move.primitive != "finish"]
        if state.operator is not None or len(moves) < 2:
            continue
        first, second = rng.sample(moves, 2)
        apart = not set(first.operands) & set(second.operands)
        if apart and {first.primitive, second.primitive} != {"reduce"}:
            left, right = swapped(one, state, first, second)
            assert left == right, f"{first}\n{second}"
            compared += 1


def test_two_reductions_of_one_size_commute() -> None:
    one = space("linear")
    state = one.root()
    for _ in range(2):
        move = next(m for m in one.moves(state) if m.primitive == "reduce" and str(m.arg) == "s")
        state = one.apply(state, move)
    leaves = [coord for coord in state.coords if coord.op == "reduce"]
    ends = {one.apply(state, Move("contract", (leaf,), None, (leaf,))) for leaf in leaves}
    assert len(leaves) == 2 and len(ends) == 1


CODE = """
import syno
from syno.rules import canonical
texts = {texts!r}
for text in texts if {forward} else reversed(texts):
    canonical(syno.parse(text), {bound!r})
for text in texts:
    print(canonical(syno.parse(text), {bound!r}))
"""


def test_every_process_finds_the_same_form() -> None:
    texts = [text for pair in SAME.values() for text in pair]
    found = set()
    for seed, forward in (("0", True), ("1", False), ("77", True)):
        code = CODE.format(texts=texts, bound=BOUND, forward=forward)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert found.pop().splitlines()[:2] == str(canonical(syno.parse(texts[0]), BOUND)).splitlines()
