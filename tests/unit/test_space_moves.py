"""What each primitive offers, before distance, rules and taste."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from exhaustive import explore, limited

from syno.ir.coord import output, reduce, remainder
from syno.ir.size import Size
from syno.space.enumerate import enumerate_operators
from syno.space.moves import GENERATORS, after, candidates, is_candidate, made, next_reduction
from syno.space.prunes import PRUNES, Taste
from syno.space.space import SynthesisSpace
from syno.space.spec import Limits, Spec
from syno.space.state import COUNTED, Move, State

BOUND = {"C_in": 8, "C_out": 12, "H": 10, "k": 3, "s": 2}
SPEC = Spec(
    "all",
    ("C_in", "H"),
    ("C_out", "H"),
    {"k": 1, "s": 1},
    (BOUND,),
    shifts=(1, 10),
    reductions=("C_in", "k"),
    blocks=("s", "C_out"),
    limits=Limits(shifts=1, strides=1, expands=1, outer=1, weights=2),
)
C_IN, C_OUT, HEIGHT, K, S = (Size.symbol(name) for name in BOUND)
OUT, ROW = output(0, C_OUT), output(1, HEIGHT)


def state(*coords: object, weights: tuple[object, ...] = (), **counts: int) -> State:
    numbers = tuple(counts.get(name, 0) for name in COUNTED)
    return State(frozenset(coords), frozenset(weights), numbers)  # type: ignore[arg-type]


def offered(primitive: str, where: State) -> list[Move]:
    return [move for move in candidates(SPEC, where) if move.primitive == primitive]


def test_reductions_of_one_size_are_numbered_as_they_come() -> None:
    first, tap = offered("reduce", state(OUT, ROW))
    assert [first.arg, tap.arg] == [C_IN, K]
    second = offered("reduce", state(OUT, ROW, *first.inner))[0]
    assert second.inner[0].size is C_IN and second.inner != first.inner
    kept_by_weights = state(ROW, weights=((OUT, *first.inner),))
    assert offered("reduce", kept_by_weights)[0].inner == second.inner


def test_the_next_reduction_is_that_of_the_generator() -> None:
    assert next_reduction(SPEC, state(OUT), K) == offered("reduce", state(OUT))[1]
    assert next_reduction(SPEC, state(OUT), S) is None


def test_windows_are_small_and_slide_over_what_is_not() -> None:
    tap, step = reduce(0, K), reduce(1, S)
    found = {move.operands for move in offered("unfold", state(ROW, tap, step))}
    assert found == {(ROW, tap), (ROW, step)}


def test_splits_make_legal_sizes_in_both_orders() -> None:
    tap, other = reduce(0, K), reduce(1, K)
    assert {m.operands for m in offered("split", state(OUT, tap))} == {(OUT, tap), (tap, OUT)}
    assert offered("split", state(tap, other)) == []  # k may stand once


def test_merges_cut_what_divides() -> None:
    assert [move.arg for move in offered("merge", state(OUT))] == [S]
    assert offered("merge", state(reduce(0, K))) == []


def test_shifts_by_a_whole_turn_are_not_offered() -> None:
    assert [move.arg for move in offered("shift", state(ROW))] == [1]
    assert [move.arg for move in offered("shift", state(OUT))] == [1, 10]


def test_strides_are_products_of_coefficients() -> None:
    assert {move.arg for move in offered("stride", state(reduce(0, K)))} == {S}
    assert {move.arg for move in offered("stride", state(ROW))} == {K, S, K * S}


def test_only_what_comes_from_the_output_is_expanded() -> None:
    tap = reduce(0, K)
    found = offered("expand", state(OUT, remainder(OUT, S), tap))
    assert {move.operands[0] for move in found} == {OUT, remainder(OUT, S)}


def contractions(*coords: object, weights: tuple[object, ...] = ()) -> set[tuple[int, int]]:
    """Return (coordinates, kept) of every contraction."""
    moves = offered("contract", state(*coords, weights=weights))
    return {(len(move.operands), len(move.inner)) for move in moves}


def test_a_weight_keeps_or_drops_up_to_the_limit() -> None:
    assert contractions(OUT, ROW) == {(1, 1), (1, 0), (2, 2), (2, 1)}


def test_a_sum_is_dropped_only_when_another_weight_has_seen_it() -> None:
    tap = reduce(0, K)
    assert all(tap in move.inner for move in offered("contract", state(tap)))
    seen = offered("contract", state(OUT, tap, weights=((tap, ROW),)))
    assert Move("contract", (OUT, tap), None, (OUT,)) in seen


def test_a_weight_that_says_nothing_new_is_not_offered() -> None:
    tap = reduce(0, K)
    moves = offered("contract", state(OUT, ROW, tap, weights=((OUT, tap),)))
    chosen = {frozenset(move.operands) for move in moves}
    assert chosen == {frozenset(each) for each in ([ROW], [OUT, ROW], [ROW, tap])}


def test_a_weight_has_enough_entries() -> None:
    spec = limited(SPEC, weight_parameters=13)
    moves = [move for move in candidates(spec, state(OUT, ROW)) if move.primitive == "contract"]
    assert {move.operands for move in moves} == {(OUT, ROW)}


def test_only_what_may_be_weighed_is_weighed() -> None:
    moves = candidates(SPEC, state(OUT, ROW), frozenset({OUT}))
    assert {m.operands for m in moves if m.primitive == "contract"} == {(OUT,)}


@pytest.mark.parametrize("primitive", GENERATORS)
def test_what_is_used_up_is_not_offered(primitive: str) -> None:
    limits = dict.fromkeys(GENERATORS, 1)
    names: Mapping[str, str] = {"reduce": "reductions", "contract": "weights"}
    spec = limited(SPEC, **{names.get(each, f"{each}s"): limits[each] for each in limits})
    coords = (OUT, ROW, reduce(0, K))
    fresh = {move.primitive for move in candidates(spec, state(*coords))}
    used = {move.primitive for move in candidates(spec, state(*coords, **{primitive: 1}))}
    assert fresh - used == {primitive}


@pytest.mark.parametrize("primitive", GENERATORS)
def test_a_move_leads_to_what_it_makes(primitive: str) -> None:
    where = state(OUT, ROW, reduce(0, K))
    for move in offered(primitive, where):
        child = after(where, move)
        assert set(made(move)) <= child.coords
        assert child.coords == (where.coords - set(move.operands)) | set(made(move))
        assert child.steps == 1 and child.count(primitive) == 1
        assert len(child.weights) == (primitive == "contract")
        assert str(move).startswith(f"{primitive}(")


def test_one_move_is_judged_as_all_moves_are() -> None:
    space = SynthesisSpace(
        limited(SPEC, steps=2), Taste.without(p.name for p in PRUNES), guided=False
    )
    states = [each for layer in explore(space).layers for each in layer]
    sample = Random(0).sample(states, 40)
    offers = {each: set(candidates(SPEC, each)) for each in sample}
    pool = Random(1).sample(sorted({m for found in offers.values() for m in found}, key=str), 300)
    for each, found in offers.items():
        assert all(is_candidate(SPEC, each, move) for move in found)
        assert {move for move in pool if is_candidate(SPEC, each, move)} == found & set(pool)


def test_orders_of_independent_steps_meet_in_one_state() -> None:
    root = state(OUT, ROW)
    tap, moved = offered("reduce", root)[1], Move("shift", (ROW,), 1)
    assert after(after(root, tap), moved) == after(after(root, moved), tap)


def test_enumeration_yields_every_operator_once_and_short_ones_first() -> None:
    spec = limited("linear", steps=4)
    found = list(enumerate_operators(SynthesisSpace(spec)))
    assert len(found) == len(set(found))
    assert set(found) == set(explore(SynthesisSpace(spec)).operators)
    assert found[0] in set(enumerate_operators(SynthesisSpace(limited(spec, steps=2))))
