"""The table of the language is complete: everything that handles coordinates knows every row."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import syno
from syno.ir.coord import Coord, merge, output, reduce, shift, split, stride, unfold
from syno.ir.grammar import Reader
from syno.ir.index import Scope, read_index
from syno.ir.operator import Operator
from syno.ir.primitives import FORMS, LEAVES, PRIMITIVES
from syno.ir.semantics import evaluate, reference
from syno.ir.size import Size
from syno.ir.steps import steps
from syno.ir.text import format_coord
from syno.lower.backends import lower, writers

SIX, TWO, THREE = (Size.integer(value) for value in (6, 2, 3))
I, J = output(0, SIX), reduce(0, THREE)  # noqa: E741 -- the names of the table's formulas

# One coordinate of every form: the formula of the table with numbers, and the primitive it needs.
SAMPLES: dict[str, tuple[Coord, str]] = {
    "split": (split(I, J), "i*3 + j"),
    "quotient": (merge(I, TWO)[0], "i // 2"),
    "remainder": (merge(I, TWO)[1], "i % 2"),
    "shift": (shift(I, 2), "(i + 2) % 6"),
    "stride": (stride(I, TWO), "2*i"),
    "unfold": (unfold(I, J), "i + j - 3//2"),
}
# What the rows without a form do in an operator: one that needs each of them.
OTHERS = {
    "expand": "[H] -> [H, W]\ny[h,w] = x[h]",
    "reduce": "[H, k] -> [H]\ny[h] = sum[a:k] x[h,a]",
    "share": "[H] -> [H]\ny[h] = x[h] * w1[h]",
}
NAMES = {I: "i", J: "j"}


def test_every_form_has_a_sample_and_every_other_row_an_operator() -> None:
    assert set(SAMPLES) == set(FORMS)
    assert set(OTHERS) == {row.name for row in PRIMITIVES if not row.forms}
    assert {I.op, J.op} == set(LEAVES)


def test_rows_are_filled() -> None:
    names = [row.name for row in PRIMITIVES]
    assert len(set(names)) == len(names)
    for row in PRIMITIVES:
        assert row.condition and row.summary
        assert len(row.forms) in {0, len(row.yields)}
        for form, yielded in zip(row.forms, row.yields, strict=False):
            assert yielded == f"{form.formula} : {form.size}"


@pytest.mark.parametrize("op", FORMS)
def test_the_printer_writes_it_as_the_table_does(op: str) -> None:
    coord, text = SAMPLES[op]
    assert format_coord(coord, NAMES) == text
    numbers = {"B": "3" if op == "split" else "2", "S": "2", "d": "2", "N": "6", "K": "3"}
    assert text == "".join(numbers.get(letter, letter) for letter in FORMS[op].formula)


@pytest.mark.parametrize("op", FORMS)
def test_the_parser_reads_it(op: str) -> None:
    coord, text = SAMPLES[op]
    scope = Scope({"i": I, "j": J})
    assert read_index(Reader(text).sum(), scope, text) is coord


@pytest.mark.parametrize("op", FORMS)
def test_the_semantics_are_the_formula_run_as_python(op: str) -> None:
    coord, text = SAMPLES[op]
    for i, j in product(range(6), range(3)):
        wanted = eval(text, {}, {"i": i, "j": j})
        values = {I: np.asarray(i), J: np.asarray(j)}
        found, inside = evaluate(coord, values, {})
        assert bool(inside) == (0 <= wanted < coord.size.evaluate({}))
        assert not inside or int(found) == wanted
        assert bool(inside) or FORMS[op].partial


@pytest.mark.parametrize("op", FORMS)
def test_the_steps_and_every_backend_know_it(op: str) -> None:
    coord, _ = SAMPLES[op]
    data = [coord] if J in coord.leaves() else [coord, J]
    built = Operator.build([each.size for each in data], [SIX], data, [[I]])
    row = next(row for row in PRIMITIVES if any(form.op == op for form in row.forms))
    assert row.name in {step.primitive for step in steps(built)}
    assert syno.parse(str(built)) is built
    drawn = np.random.default_rng(0)
    x, w1 = drawn.standard_normal(built.input_shape({})), drawn.standard_normal(6)
    wanted = reference(built, {}, x, {"w1": w1})
    for backend in writers():
        args = [x, w1] if backend == "numpy" else [torch.tensor(x), torch.tensor(w1)]
        np.testing.assert_allclose(
            np.asarray(lower(built, {}, backend).function(*args)), wanted, atol=1e-12
        )


@pytest.mark.parametrize("name", OTHERS)
def test_the_rows_without_a_form_are_steps_too(name: str) -> None:
    done = steps(syno.parse(OTHERS[name]))
    wanted = "contract" if name == "share" else name
    assert wanted in {step.primitive for step in done}
    unused = [text for key, text in OTHERS.items() if key != name]
    assert all(
        wanted not in {step.primitive for step in steps(syno.parse(text))} for text in unused
    )
