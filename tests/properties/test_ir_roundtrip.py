"""Text and back, pickles and copies: always the same object."""

from __future__ import annotations

import copy
import pickle
import random

from hypothesis import given, settings
from hypothesis import strategies as st

import syno
from syno.ir.errors import SizeError
from syno.ir.operator import Operator, normal_index
from syno.ir.primitives import FORMS, LEAVES
from syno.ir.size import ONE, Size
from syno.ir.steps import steps
from syno.ir.verify import verify
from syno.testing.strategies import Case, bindings, cases, sizes, valid_cases

SYMBOLS = ("C_in", "C_out", "H", "g", "k", "s")


@settings(max_examples=400)
@given(cases())
def test_an_operator_prints_and_parses_back(case: Case) -> None:
    assert syno.parse(str(case.op)) is case.op


@given(cases())
def test_operators_travel(case: Case) -> None:
    assert pickle.loads(pickle.dumps(case.op)) is case.op
    assert copy.deepcopy(case.op) is case.op


@given(cases())
def test_building_is_idempotent(case: Case) -> None:
    op = case.op
    assert Operator.build(op.input, op.output, op.data, op.weights) is op
    assert all(normal_index(index) == index for index in op.weights)


@given(cases(), st.randoms(use_true_random=False))
def test_neither_order_of_weights_nor_of_their_dimensions_matters(
    case: Case, rng: random.Random
) -> None:
    op = case.op
    weights = [list(index) for index in op.weights]
    rng.shuffle(weights)
    for index in weights:
        rng.shuffle(index)
    assert Operator.build(op.input, op.output, op.data, weights) is op


@given(cases())
def test_steps_build_the_operator_from_its_outputs(case: Case) -> None:
    current = set(case.op.outputs)
    contracted = []
    for step in steps(case.op):
        assert set(step.consumes) <= current
        current = (current - set(step.consumes)) | set(step.yields)
        if step.primitive == "contract":
            contracted.append(case.op.weights[step.weight or 0])
            assert set(normal_index(step.consumes)) == set(contracted[-1])
        if step.primitive in FORMS:
            assert all(each.op == step.primitive for each in step.yields)
    assert current == set(case.op.data)
    assert len(contracted) == len(case.op.weights)


@given(valid_cases())
def test_valid_operators_stay_valid_when_read_again(case: Case) -> None:
    assert verify(syno.parse(str(case.op)), [case.sizes]) == ()


@given(cases())
def test_only_known_kinds_of_coordinates_are_made(case: Case) -> None:
    kinds = {node.op for coord in case.op.coordinates for node in coord.walk()}
    assert kinds <= {*FORMS, *LEAVES}


@given(sizes())
def test_a_size_prints_and_parses_back(size: Size) -> None:
    if size.may_be_whole and size is not ONE:
        assert Size.parse(str(size)) is size
    assert pickle.loads(pickle.dumps(size * Size.symbol("H") ** 9)) is size * Size.symbol("H") ** 9


@given(sizes(), sizes(), bindings(SYMBOLS))
def test_arithmetic_of_sizes_is_that_of_numbers(
    one: Size, two: Size, numbers: dict[str, int]
) -> None:
    values = one.fraction(numbers), two.fraction(numbers)
    assert (one * two).fraction(numbers) == values[0] * values[1]
    assert (one / two).fraction(numbers) == values[0] / values[1]
    assert one * two / two is one
    if (two / one).is_multiple:
        assert (values[1] / values[0]).denominator == 1


@given(sizes(), bindings(SYMBOLS))
def test_a_size_is_a_whole_number_or_an_error(size: Size, numbers: dict[str, int]) -> None:
    value = size.fraction(numbers)
    try:
        assert size.evaluate(numbers) == value
    except SizeError:
        assert value.denominator > 1
