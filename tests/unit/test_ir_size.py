"""Sizes: interned monomials, their text, their arithmetic and their limits."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import pytest

from syno.ir.errors import ParseError, SizeError
from syno.ir.size import LARGEST_LITERAL, ONE, Size, product

BINDING = {"C_in": 12, "g": 4, "k": 3, "s": 2}


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("C_in", "C_in"),
        ("k*k", "k*k"),
        ("k^2", "k*k"),
        ("k**2", "k*k"),
        ("C_in/g", "C_in/g"),
        ("C_in/(g*s)", "C_in/(g*s)"),
        ("C_in/g/s", "C_in/(g*s)"),
        ("s*C_in*2*3", "6*C_in*s"),
        ("768", "768"),
        ("2^10", "1024"),
        ("C_in*g/g", "C_in"),
        ("g/g", "1"),
        ("((C_in))", "C_in"),
        ("C_in*g^(-1)", "C_in/g"),
        ("6*C_in/4", "3*C_in/2"),
    ],
)
def test_text_is_read_and_printed(text: str, printed: str) -> None:
    assert str(Size.parse(text)) == printed
    assert Size.parse(printed) is Size.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "1/2",
        "3/2",
        "1/N",
        "k+1",
        "k-1",
        "k//2",
        "k%2",
        "k^65",
        "k^s",
        "(k^64)^64",
        "k k",
        "k)",
        "(k",
        "2.5",
        "16777217",
        "9" * 5_000,
        "π",
        "k" * 41,
        "*".join(["k"] * 300),
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        Size.parse(text)
    assert len(str(caught.value)) > 20


def test_equal_sizes_are_the_same_object() -> None:
    size = Size.parse("C_in/g")
    assert size is Size.symbol("C_in") / Size.symbol("g")
    assert size * Size.symbol("g") is Size.symbol("C_in")
    assert size / size is ONE
    assert Size.symbol("k") ** 3 is Size.parse("k*k*k")
    assert Size.symbol("k") ** -1 is ONE / Size.symbol("k")
    assert product([size, size]) is size**2
    assert product([]) is ONE


@pytest.mark.parametrize("text", ["C_in/(g*s)", "1024", "7*k"])
def test_sizes_travel(text: str) -> None:
    size = Size.parse(text)
    assert pickle.loads(pickle.dumps(size)) is size
    assert copy.deepcopy(size) is size


def test_values() -> None:
    assert Size.parse("C_in/g*k*k").evaluate(BINDING) == 27
    assert Size.parse("2*C_in/3").evaluate(BINDING) == 8
    assert Size.parse("C_in/(g*s)").fraction(BINDING) == Fraction(3, 2)
    assert ONE.evaluate({}) == 1


def test_a_value_that_is_no_whole_number_is_refused_with_its_numbers() -> None:
    with pytest.raises(SizeError, match=r"C_in/\(g\*s\) is 3/2 under C_in=12, g=4, s=2"):
        Size.parse("C_in/(g*s)").evaluate(BINDING)


def test_a_symbol_without_value_is_named_with_those_that_have_one() -> None:
    with pytest.raises(SizeError, match=r"symbol H .* given are: C_in, g, k, s"):
        Size.symbol("H").evaluate(BINDING)


@pytest.mark.parametrize("value", [0, -3])
def test_a_symbol_has_a_positive_value(value: int) -> None:
    with pytest.raises(SizeError, match="positive"):
        Size.symbol("H").evaluate({"H": value})


@pytest.mark.parametrize("name", ["", "2k", "a b", "a-b", "é"])
def test_a_symbol_is_a_plain_name(name: str) -> None:
    with pytest.raises(SizeError, match="is not a symbol"):
        Size.symbol(name)


@pytest.mark.parametrize("value", [0, -1, LARGEST_LITERAL + 1])
def test_a_literal_is_within_limits(value: int) -> None:
    with pytest.raises(SizeError, match="is not a size"):
        Size.integer(value)


def test_a_product_of_literals_beyond_the_limit_prints_and_parses_back() -> None:
    size = Size.integer(LARGEST_LITERAL) * Size.integer(3) ** 5 * Size.symbol("k")
    assert "*" in str(size)
    assert Size.parse(str(size)) is size
    assert size.evaluate({"k": 1}) == LARGEST_LITERAL * 3**5


def test_exponents_do_not_spill_into_the_next_symbol() -> None:
    top = Size.symbol("k") ** 255
    for grow in (lambda: top * top, lambda: top**2, lambda: ONE / top / top, lambda: top**3_000):
        with pytest.raises(SizeError, match="too large"):
            grow()
    assert top / top is ONE


@pytest.mark.parametrize(
    ("text", "always", "possible"),
    [("k*k", True, True), ("C_in/g", False, True), ("12", True, True), ("1", True, True)],
)
def test_whole_numbers_are_told_by_symbols(text: str, always: bool, possible: bool) -> None:
    size = Size.parse(text)
    assert (size.is_multiple, size.may_be_whole) == (always, possible)


@pytest.mark.parametrize("above", [ONE, Size.integer(3)])
def test_fractions_of_numbers_are_never_whole(above: Size) -> None:
    assert not (above / Size.integer(2)).may_be_whole


def test_sizes_sort_by_their_text() -> None:
    sizes = [Size.parse(text) for text in ("k", "C_in/g", "2")]
    assert [str(size) for size in sorted(sizes)] == ["2", "C_in/g", "k"]
    assert repr(sizes[0]) == "Size('k')"
    assert sizes[1].symbols == {"C_in", "g"}
    assert sizes[2].symbols == set()
