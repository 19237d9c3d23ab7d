"""Any iterator names, any order of sums, weights and dimensions: the same object.

`Speller` writes an operator anew as another person would, with choices drawn at random. It shares
no code with `syno.ir.text`.
"""

from __future__ import annotations

import random
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import syno
from syno.ir.coord import Coord
from syno.ir.operator import Operator
from syno.ir.size import Size
from syno.testing.strategies import Case, cases
from syno.zoo.named import NAMED

LETTERS = [each for each in ascii_lowercase if each not in "gknsxy"]


class Speller:
    """Writes one operator in a random spelling."""

    def __init__(self, op: Operator, rng: random.Random) -> None:
        self.op, self.rng = op, rng
        taken = op.symbols | {"x", "y", "sum"}
        names = [each for each in [*LETTERS, "i1", "row", "Col", "_q"] if each not in taken]
        leaves = [*op.outputs, *op.reductions]
        self.names = dict(zip(leaves, rng.sample(names, len(leaves)), strict=True))

    def text(self) -> str:
        op, rng = self.op, self.rng
        binders = [f"{self.names[leaf]}:{self.size(leaf.size)}" for leaf in op.reductions]
        rng.shuffle(binders)
        factors = []
        for number, index in enumerate(op.weights):
            coords = [*index, *rng.choices(index, k=rng.randint(0, 1) if index else 0)]
            rng.shuffle(coords)
            factors.append(f"w{number * 7}[{self.comma().join(map(self.top, coords))}]")
        factors.append(f"x[{self.comma().join(map(self.top, op.data))}]")
        rng.shuffle(factors)
        head = (
            f"{self.shape(op.input)}{self.gap()}->{self.gap()}{self.shape(op.output)}{self.gap()}"
        )
        left = self.comma().join(self.names[leaf] for leaf in op.outputs)
        total = f"sum[{self.comma().join(binders)}]" if binders else ""
        product = f"{self.gap()}*{self.gap()}".join(factors)
        return (
            f"{head}\n{rng.choice(['y', 'out'])}[{left}]{self.gap()}={self.gap()}{total} {product}"
        )

    def top(self, coord: Coord) -> str:
        return self.coord(coord, flat=True)

    def coord(self, coord: Coord, *, flat: bool = False) -> str:
        """Return one spelling; in parentheses where it has a sign, unless `flat` allows without."""
        if not coord.args:
            return self.maybe_grouped(self.names[coord])
        text = self.gap().join(self.signs(coord))
        return self.maybe_grouped(text) if flat else f"({text})"

    def signs(self, coord: Coord) -> list[str]:
        rng = self.rng
        if coord.op == "split":
            high, low = (self.coord(each) for each in coord.args)
            return self.swapped(f"{self.scaled(high, coord.args[1].size)}", low)
        if coord.op == "unfold":
            base, window = (self.coord(each) for each in coord.args)
            half = f"{self.factor(coord.args[1].size)}//2"
            if coord.args[0].size is coord.args[1].size:  # then the order tells base from window
                return [base, "+", window, "-", half]
            terms = self.swapped(base, window)
            forms = [[*terms, "-", half], ["-", half, "+", *terms]]
            forms.append([terms[0], "-", f"({half})", "+", terms[2]])
            return rng.choice(forms)
        if coord.op == "shift":
            assert isinstance(coord.arg, int)
            sign, inner = ("+" if coord.arg > 0 else "-"), self.coord(coord.args[0])
            moved = rng.choice([f"({inner} {sign} {abs(coord.arg)})", f"({coord.arg} + {inner})"])
            return [moved, "%", self.factor(coord.size)]
        assert isinstance(coord.arg, Size)
        inner = self.coord(coord.args[0])
        if coord.op == "stride":
            return [self.scaled(inner, coord.arg)]
        return [inner, "//" if coord.op == "quotient" else "%", self.factor(coord.arg)]

    def scaled(self, text: str, size: Size) -> str:
        factor = self.factor(size)
        return self.rng.choice([f"{text}*{factor}", f"{factor}*{text}", f"1*{text}*{factor}"])

    def swapped(self, one: str, two: str) -> list[str]:
        pair = [one, two]
        self.rng.shuffle(pair)
        return [pair[0], "+", pair[1]]

    def maybe_grouped(self, text: str) -> str:
        return self.rng.choice([text, text, f"({text})", f"(({text}))"])

    def size(self, size: Size) -> str:
        """Return the factors of `size` in any order, its powers as powers or products."""
        above, below = [], []
        for name, power in size.exponents.items():
            parts = [f"{name}^{abs(power)}"] if self.rng.random() < 0.3 else [name] * abs(power)
            (above if power > 0 else below).extend(parts)
        self.rng.shuffle(above)
        self.rng.shuffle(below)
        text = "*".join(above) or "1"
        for each in below:
            text += f"/{each}"
        return text

    def factor(self, size: Size) -> str:
        return f"({self.size(size)})"

    def shape(self, sizes: tuple[Size, ...]) -> str:
        return f"[{self.comma().join(map(self.size, sizes))}]"

    def comma(self) -> str:
        return f"{self.gap()},{self.gap()}"

    def gap(self) -> str:
        return self.rng.choice(["", " ", " ", "  ", "\n"])


@settings(max_examples=300)
@given(cases(), st.randoms(use_true_random=False))
def test_random_operators_in_random_spellings(case: Case, rng: random.Random) -> None:
    assert syno.parse(Speller(case.op, rng).text()) is case.op


@pytest.mark.parametrize("name", NAMED)
def test_named_operators_in_random_spellings(name: str) -> None:
    op, rng = NAMED[name].operator, random.Random(name)
    spellings = {Speller(op, rng).text() for _ in range(40)}
    assert len(spellings) == 40
    for text in spellings:
        assert syno.parse(text) is op, text


@pytest.mark.nightly
@settings(max_examples=10_000)
@given(cases(), st.randoms(use_true_random=False))
def test_many_operators_in_random_spellings(case: Case, rng: random.Random) -> None:
    assert syno.parse(Speller(case.op, rng).text()) is case.op
