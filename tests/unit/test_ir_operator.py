"""Operators: one canonical object, shapes under a binding, and what cannot be built."""

from __future__ import annotations

import copy
import pickle
from itertools import permutations

import pytest

import syno
from syno.ir.coord import Coord, merge, output, reduce, shift, split, unfold
from syno.ir.errors import OperatorError, SizeError
from syno.ir.operator import Operator
from syno.ir.size import ONE, Size
from syno.zoo.named import NAMED, named

SIX, TWO = Size.integer(6), Size.integer(2)
O, R = output(0, SIX), reduce(5, TWO)  # noqa: E741 -- one letter each, as in formulas


def test_shapes_under_a_binding() -> None:
    op, sizes = NAMED["paper-operator-1"].operator, NAMED["paper-operator-1"].sizes
    assert op.input_shape(sizes) == (1, 8, 8, 6)
    assert op.output_shape(sizes) == (1, 16, 8, 6)
    assert op.weight_shapes(sizes) == {"w1": (16, 4, 3, 3, 2), "w2": (4, 2, 3, 2)}
    assert op.symbols == {"N", "C_in", "C_out", "H", "W", "G", "k", "R"}


def test_sizes_that_do_not_divide_are_refused() -> None:
    op = NAMED["grouped-convolution"].operator
    sizes = dict(NAMED["grouped-convolution"].sizes, C_in=10)
    with pytest.raises(SizeError, match="C_in/g is 5/2"):
        op.weight_shapes(sizes)


@pytest.mark.parametrize("name", NAMED)
def test_operators_travel(name: str) -> None:
    op = named(name)
    assert pickle.loads(pickle.dumps(op)) is op
    assert copy.copy(op) is copy.deepcopy(op) is op


def test_the_numbers_of_reductions_do_not_matter() -> None:
    one = Operator.build([TWO], [SIX], [R], [[O, R]])
    assert Operator.build([TWO], [SIX], [reduce(0, TWO)], [[reduce(0, TWO), O]]) is one
    assert one.reductions == (reduce(0, TWO),)


def test_rank_dimensions_of_one_size_are_interchangeable() -> None:
    text = (
        "[H] -> [H]\ny[h] = sum[r:R, q:R, p:R] "
        "x[h] * w1[h,{0}] * w2[{0},{1}] * w3[{1},{2},h] * w4[{2},h]"
    )
    found = {syno.parse(text.format(*names)) for names in permutations("rqp")}
    assert len(found) == 1


def test_rank_dimensions_of_other_sizes_are_not() -> None:
    text = "[H] -> [H]\ny[h] = sum[r:R, q:k] x[h] * w1[h,{}] * w2[r,q] * w3[q,h]"
    assert syno.parse(text.format("r")) is not syno.parse(text.format("q"))


def test_equal_weights_may_be_many() -> None:
    op = syno.parse("[H] -> [H]\ny[h] = x[h] * w1[h] * w2[h]")
    assert len(op.weights) == 2


def test_a_weight_sees_the_whole_where_it_sees_all_parts() -> None:
    whole = Operator.build([SIX], [SIX], [O], [[O]])
    assert Operator.build([SIX], [SIX], [O], [merge(O, TWO)]) is whole
    assert Operator.build([SIX], [SIX], [O], [[shift(O, 1), O]]) is whole
    assert Operator.build([SIX], [SIX], [O], [[split(*merge(O, TWO))]]) is whole


def test_dimensions_are_counted() -> None:
    with pytest.raises(OperatorError, match="has 2 dimensions and is read with 1"):
        Operator.build([SIX, TWO], [SIX], [O], [])


def test_dimensions_are_measured() -> None:
    with pytest.raises(OperatorError, match=r"Dimension 0 of x has size 2 .* size 6"):
        Operator.build([TWO], [SIX], [O], [])


@pytest.mark.parametrize("leaf", [output(0, TWO), output(1, SIX)])
@pytest.mark.parametrize("in_weight", [False, True])
def test_iterators_have_to_be_those_of_the_output(leaf: Coord, in_weight: bool) -> None:
    data, weights = ([O], [[leaf]]) if in_weight else ([leaf], [])
    with pytest.raises(OperatorError, match="is not a dimension of the output"):
        Operator.build([each.size for each in data], [SIX], data, weights)


@pytest.mark.parametrize("shape", [[SIX, ONE], [SIX]])
def test_size_one_is_left_out(shape: list[Size]) -> None:
    data = [O] if len(shape) == 2 else [O, reduce(0, ONE)]
    with pytest.raises(OperatorError, match="size 1 says nothing"):
        Operator.build([each.size for each in data], shape, data, [])


def test_too_many_reductions_between_weights_are_refused() -> None:
    ranks = [reduce(number, TWO) for number in range(6)]
    with pytest.raises(OperatorError, match="6 reductions touch only weights; at most 5"):
        Operator.build([SIX], [SIX], [O], [[O, *ranks], ranks])


@pytest.mark.parametrize("what", ["dimensions", "reductions", "weights", "steps"])
def test_what_could_not_be_written_is_refused(what: str) -> None:
    many = [reduce(number, TWO) for number in range(13)]
    long = O
    for _ in range(31):
        long = shift(long, 1)
    data, weights = {
        "dimensions": ([O, *many], []),
        "reductions": ([O, split(many[0], many[1]), split(many[2], many[3]), *many[4:]], []),
        "weights": ([O], [[O]] * 9),
        "steps": ([long], []),
    }[what]
    with pytest.raises(OperatorError, match=what):
        Operator.build([each.size for each in data], [SIX], data, weights)


def test_the_longest_sum_prints_and_parses_back() -> None:
    bits = [reduce(number, TWO) for number in range(12)]
    whole = bits[0]
    for bit in bits[1:]:
        whole = split(whole, bit)
    for coord in (whole, unfold(O, whole), unfold(shift(whole, 1), O)):
        op = Operator.build([coord.size], [SIX], [coord], [[O]])
        assert syno.parse(str(op)) is op


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(OperatorError, match=r"no operator called 'conv'; known are: .*convolution"):
        named("conv")
