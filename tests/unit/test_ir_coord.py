"""Coordinates: one object for one structure, and the normal forms of the constructors."""

from __future__ import annotations

import copy
import pickle

import pytest

from syno.ir.coord import (
    Coord,
    merge,
    output,
    quotient,
    rebuild,
    reduce,
    remainder,
    shift,
    split,
    stride,
    unfold,
)
from syno.ir.cuts import Cuts
from syno.ir.errors import SizeError
from syno.ir.operator import digits, follows, normal_index
from syno.ir.size import Size

TWO, THREE, FOUR = (Size.integer(value) for value in (2, 3, 4))
I = output(0, Size.integer(24))  # noqa: E741 -- the name that formulas give it
J, K = output(1, TWO), output(2, THREE)


def test_equal_structure_is_the_same_object() -> None:
    assert split(J, K) is split(output(1, TWO), output(2, THREE))
    assert unfold(K, J) is not unfold(J, K)
    assert shift(I, 1) is not shift(I, 2)
    assert output(0, TWO) is not reduce(0, TWO)


@pytest.mark.parametrize(
    "coord", [I, split(J, K), shift(I, -1), stride(J, TWO), unfold(I, K), remainder(I, TWO)]
)
def test_coordinates_travel(coord: Coord) -> None:
    assert pickle.loads(pickle.dumps(coord)) is coord
    assert copy.deepcopy(coord) is coord


def test_sizes_of_what_is_made() -> None:
    assert split(J, K).size is Size.integer(6)
    assert [each.size for each in merge(I, FOUR)] == [Size.integer(6), FOUR]
    assert shift(I, 5).size is I.size
    assert stride(J, THREE).size is Size.integer(6)
    assert unfold(I, K).size is I.size


def test_splits_lean_to_the_right() -> None:
    assert split(split(J, K), I) is split(J, split(K, I))


def test_strides_of_strides_are_one() -> None:
    assert stride(stride(J, TWO), THREE) is stride(J, Size.integer(6))


def test_parts_have_one_spelling() -> None:
    assert quotient(quotient(I, TWO), THREE) is quotient(I, Size.integer(6))
    assert remainder(remainder(I, FOUR), TWO) is remainder(I, TWO)
    middle = remainder(quotient(I, TWO), TWO)
    assert quotient(remainder(I, FOUR), TWO) is middle
    assert digits(middle) == (I, TWO, TWO)


def test_iterators_and_nodes_are_listed_from_the_top() -> None:
    coord = unfold(split(J, K), reduce(0, TWO))
    assert coord.leaves() == (J, K, reduce(0, TWO))
    assert [each.op for each in coord.walk()] == ["unfold", "split", "output", "output", "reduce"]


def test_replacing_restores_the_normal_form() -> None:
    outer = quotient(I, TWO)
    found = outer.replace(lambda each: quotient(I, THREE) if each is I else None)
    assert found is quotient(I, Size.integer(6))
    every = [split(J, K), shift(J, 1), stride(J, TWO), unfold(J, K), *merge(I, TWO)]
    for coord in every:
        assert rebuild(coord, coord.args) is coord
        assert coord.replace(lambda _each: None) is coord


def test_an_iterator_has_nothing_to_replace() -> None:
    with pytest.raises(SizeError, match="iterator"):
        rebuild(I, ())


def test_the_key_tells_structure_and_size() -> None:
    assert split(J, K).key == "split(output(1):2,output(2):3,):6"
    assert repr(J) == "Coord(output(1):2)"


@pytest.mark.parametrize(
    "index",
    [
        ["i%4", "(i//2)%2", "i//4"],
        ["i//4", "i%4", "(i//2)%2"],
        ["i%4", "i//2"],
        ["i//12", "(i//4)%3", "i%4"],
        ["i", "i//2"],
        ["i//3", "i"],
        ["i"],
        ["shift"],
        ["stride"],
        ["i%4", "i//4", "shift"],
    ],
)
def test_a_weight_that_sees_all_digits_sees_the_whole(index: list[str]) -> None:
    known = {
        "i": I,
        "i%4": remainder(I, FOUR),
        "i//4": quotient(I, FOUR),
        "i//2": quotient(I, TWO),
        "i//3": quotient(I, THREE),
        "(i//2)%2": remainder(quotient(I, TWO), TWO),
        "i//12": quotient(I, Size.integer(12)),
        "(i//4)%3": remainder(quotient(I, FOUR), THREE),
        "shift": shift(I, 3),
        "stride": stride(I, TWO),
    }
    assert normal_index(known[name] for name in index) == (I,)


def test_digits_that_do_not_touch_stay_apart() -> None:
    apart = (remainder(I, TWO), quotient(I, FOUR))
    assert normal_index(apart) == apart


def test_a_weight_on_a_split_sees_both_parts() -> None:
    assert normal_index([split(J, shift(K, 1))]) == (J, K)
    assert normal_index([quotient(split(J, K), TWO), remainder(split(J, K), TWO)]) == (J, K)


def test_a_part_of_a_window_says_more_than_one_of_its_iterators() -> None:
    part = quotient(unfold(I, K), TWO)
    assert normal_index([part, I]) == (part, I)
    assert normal_index([part, unfold(I, K)]) == (unfold(I, K),)


def test_what_follows_from_what() -> None:
    assert follows(quotient(I, FOUR), [I])
    assert follows(remainder(quotient(I, TWO), TWO), [remainder(I, FOUR)])
    assert follows(unfold(I, K), [K, I])
    assert not follows(unfold(I, K), [I])
    assert not follows(I, [quotient(I, TWO)])
    assert not follows(remainder(I, FOUR), [remainder(I, TWO), quotient(I, FOUR)])


def test_a_coordinate_is_cut_at_every_boundary_in_use() -> None:
    cuts = Cuts([remainder(I, FOUR), quotient(I, TWO), quotient(I, Size.integer(12))])
    assert cuts.edges == {I: [TWO, FOUR, Size.integer(12)]}
    assert cuts.pieces(remainder(I, FOUR)) == (
        remainder(quotient(I, TWO), TWO),
        remainder(I, TWO),
    )
    assert len(cuts.pieces(I)) == 4
    assert cuts.pieces(J) == (J,)
