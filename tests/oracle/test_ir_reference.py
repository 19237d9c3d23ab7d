"""The reference against an interpreter that knows nothing but the text: loops over Python ints.

The interpreter shares no code with syno.ir. It reads the printed formula with a grammar of its own
and runs it one element at a time: what `i + j - K//2` puts outside of i's range reads 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import syno
from syno.ir import primitives
from syno.ir.operator import Operator
from syno.ir.semantics import reference
from syno.testing.strategies import Case, valid_cases
from syno.zoo.named import NAMED

Sizes = Mapping[str, int]
Values = dict[str, tuple[int, int]]  # name of an iterator: its value and its size
Floats = NDArray[np.float64]


class Number:
    """A value that runs over [0, size), and whether every window on the way to it was inside."""

    def __init__(self, value: int, size: Fraction, inside: bool = True) -> None:
        self.value, self.size, self.inside = value, size, inside


class Text:
    """A reader of one index expression or size; every call of `index` runs it anew."""

    def __init__(self, text: str, sizes: Sizes, values: Values) -> None:
        self.tokens = re.findall(r"\w+|//|[-+*/%()]", text)
        self.sizes, self.values = sizes, values
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else ""

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def index(self) -> Number:
        total, before = self.product(), None
        while self.peek() in ("+", "-"):
            sign = self.next()
            half = self.half() if sign == "-" else None
            if half is not None:
                assert before is not None
                value = total.value - half
                inside = total.inside and 0 <= value < before
                total, before = Number(value, before, inside), None
            elif self.peek().isdigit() and self.peek(1) in ("", "+", "-", ")"):
                distance = int(self.next())
                value = total.value + (distance if sign == "+" else -distance)
                total = Number(value, total.size, total.inside)
            else:
                assert sign == "+"
                term, before = self.product(), total.size
                total = Number(total.value + term.value, before, total.inside and term.inside)
        return total

    def half(self) -> int | None:
        """Return K//2 where that stands here, else None."""
        start = self.at
        size = self.size_factor()
        if size is not None and self.peek() == "//" and self.peek(1) == "2":
            self.at += 2
            return int(size) // 2
        self.at = start
        return None

    def product(self) -> Number:
        size = self.size_factor()
        if size is not None:  # a stride: S*i
            assert self.next() == "*"
            inner = self.atom()
            return Number(inner.value * whole(size), inner.size * size, inner.inside)
        number = self.atom()
        while self.peek() in ("*", "//", "%"):
            sign, factor = self.next(), self.size_factor()
            assert factor is not None
            value, by = number.value, whole(factor)
            if sign == "*":
                number = Number(value * by, number.size * by, number.inside)
            elif sign == "//":
                number = Number(value // by, number.size / by, number.inside)
            else:
                number = Number(value % by, factor, number.inside)
        return number

    def atom(self) -> Number:
        if self.peek() == "(":
            self.next()
            number = self.index()
            assert self.next() == ")"
            return number
        value, size = self.values[self.next()]
        return Number(value, Fraction(size))

    def size_factor(self) -> Fraction | None:
        """Return the size that stands here, in parentheses or alone; None where there is none."""
        start = self.at
        if self.peek() == "(":
            self.next()
            found = self.size()
            if found is not None and self.peek() == ")":
                self.next()
                return found
        elif self.plain_size():
            name = self.next()
            return Fraction(int(name) if name.isdigit() else self.sizes[name])
        self.at = start
        return None

    def size(self) -> Fraction | None:
        found = self.size_factor()
        while found is not None and self.peek() in ("*", "/"):
            sign, other = self.next(), self.size_factor()
            if other is None:
                return None
            found = found * other if sign == "*" else found / other
        return found

    def plain_size(self) -> bool:
        name = self.peek()
        return name not in self.values and (name.isdigit() or name in self.sizes)


def whole(size: Fraction) -> int:
    assert size.denominator == 1, size
    return int(size)


def size_of(text: str, sizes: Sizes) -> int:
    found = Text(text, sizes, {}).size()
    assert found is not None, text
    return whole(found)


def parts(text: str) -> list[str]:
    """Split at the commas of the outermost level."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            found.append(text[start:place])
            start = place + 1
    return [each for each in [*found, text[start:]] if each.strip()]


def run(text: str, sizes: Sizes, x: Floats, weights: Mapping[str, Floats]) -> Floats:
    """Return what the printed formula `text` computes, one element after another."""
    header, formula = text.split("\n")
    shape = [size_of(each, sizes) for each in parts(header.split(" -> ")[1][1:-1])]
    left, right = formula.split(" = ")
    outputs = parts(left[2:-1])
    summed = re.match(r"sum\[(.*?)\] ", right)
    binders = [each.split(":") for each in parts(summed[1])] if summed else []
    factors = re.findall(r"(\w+)\[([^\[\]]*)\]", right[summed.end() if summed else 0 :])
    ranges = [size_of(size, sizes) for _, size in binders]
    names = [*outputs, *(name.strip() for name, _ in binders)]
    y = np.zeros(shape)
    for point in product(*map(range, [*shape, *ranges])):
        values = dict(zip(names, zip(point, [*shape, *ranges], strict=True), strict=True))
        term = 1.0
        for name, index in factors:
            numbers = [Text(each, sizes, values).index() for each in parts(index)]
            if not all(number.inside for number in numbers):
                term = 0.0
                break
            array = x if name == "x" else weights[name]
            term *= float(array[tuple(number.value for number in numbers)])
        y[point[: len(shape)]] += term
    return y


def arrays(op: Operator, sizes: Sizes) -> tuple[Floats, dict[str, Floats]]:
    drawn = np.random.default_rng(1)
    x = drawn.standard_normal(op.input_shape(sizes))
    return x, {k: drawn.standard_normal(v) for k, v in op.weight_shapes(sizes).items()}


def compare(op: Operator, sizes: Sizes) -> None:
    x, weights = arrays(op, sizes)
    expected = run(str(op), sizes, x, weights)
    np.testing.assert_allclose(reference(op, sizes, x, weights), expected, atol=1e-10)


# Small enough for loops over ints, and with a dimension of each size that differs from the others.
_SMALL = {
    "N": 1,
    "C_in": 4,
    "C_out": 6,
    "C": 3,
    "H": 4,
    "W": 6,
    "k": 3,
    "s": 2,
    "g": 2,
    "G": 2,
    "R": 2,
    "T": 2,
}


LONG = {"gpt2-projection"}  # 2.7 million terms; a small one stands among the mixtures
MARKED = [pytest.param(name, marks=[pytest.mark.nightly] if name in LONG else []) for name in NAMED]


@pytest.mark.parametrize("name", MARKED)
def test_named_operators(name: str) -> None:
    compare(NAMED[name].operator, _SMALL | ({"k": 2} if "dilated" in name else {}))


@pytest.mark.parametrize(
    "text",
    [
        "[8] -> [8]\ny[o] = sum[a:3, b:2] x[((o + a - 3//2 + 1) % 8) + b - 2//2] * w1[a,b]",
        "[8] -> [8]\ny[o] = sum[a:3, b:3] x[o + (a + b - 3//2) - 3//2] * w1[a,b]",
        "[8] -> [4]\ny[o] = sum[a:3] x[(2*o + a - 3//2 - 3) % 8] * w1[a]",
        "[2, 12] -> [2, 12]\ny[t,o] = sum[r:6] x[t, ((o // 2) % 2)*6 + r] * w1[o // 4,o % 2,r]",
        "[2, 4] -> [8]\ny[o] = sum[a:3] x[(o + a - 3//2) // 4, (o + a - 3//2) % 4]",
        "[8] -> [8]\ny[o] = sum[a:4] x[o + a - 4//2] * w1[o + a - 4//2]",
        "[4, 6] -> [12, 2]\ny[o,h] = x[(o // 6)*2 + h, ((o % 6) + 5) % 6] * w1[o,h]",
    ],
)
def test_mixtures(text: str) -> None:
    compare(syno.parse(text), {})


@settings(max_examples=150)
@given(valid_cases())
def test_random_operators(case: Case) -> None:
    compare(case.op, case.sizes)


@pytest.mark.nightly
@settings(max_examples=3_000)
@given(valid_cases())
def test_many_random_operators(case: Case) -> None:
    compare(case.op, case.sizes)


@pytest.mark.parametrize("op", primitives.FORMS)
def test_a_wrong_formula_in_the_table_is_caught(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "split": "average-pooling",
        "quotient": "grouped-convolution",
        "remainder": "pixel-shuffle",
        "shift": "shifted-convolution-1d",
        "stride": "dilated-convolution",
        "unfold": "convolution",
    }
    right = primitives.FORMS[op]

    def wrong(args: tuple[object, ...], lengths: tuple[int, ...], arg: int, size: int) -> object:
        value = right.value(args, lengths, arg, size)
        return value + 1 if right.partial else (size - 1) - value

    operator, sizes = NAMED[names[op]].operator, _SMALL | ({"k": 2} if op == "stride" else {})
    compare(operator, sizes)
    monkeypatch.setitem(primitives.FORMS, op, replace(right, value=wrong))
    with pytest.raises(AssertionError):
        compare(operator, sizes)


def test_the_interpreter_itself() -> None:
    """A few numbers worked out by hand: three of them in a row, summed with weights 1, 10, 100."""
    text = "[4] -> [4]\ny[o] = sum[a:3] x[o + a - 3//2] * w1[a]"
    found = run(text, {}, np.array([1.0, 2.0, 3.0, 4.0]), {"w1": np.array([1.0, 10.0, 100.0])})
    assert found.tolist() == [210.0, 321.0, 432.0, 43.0]
    shifted = run("[4] -> [4]\ny[o] = x[(o + 1) % 4]", {}, np.arange(4.0), {})
    assert shifted.tolist() == [1.0, 2.0, 3.0, 0.0]
    wrapped = "[4] -> [4]\ny[o] = sum[a:3] x[(o + a - 3//2 + 1) % 4] * w1[a]"
    found = run(wrapped, {}, np.array([1.0, 2.0, 3.0, 4.0]), {"w1": np.array([0.0, 0.0, 1.0])})
    assert found.tolist() == [3.0, 4.0, 1.0, 0.0]
