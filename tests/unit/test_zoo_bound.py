"""Coefficients written into operators: the same function, and a name that can be read back."""

import numpy as np
import pytest

from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.ir.semantics import reference
from syno.zoo.bound import bind, bound
from syno.zoo.named import NAMED
from syno.zoo.shelf import found

KNOWN = {name: row.operator for name, row in {**NAMED, **found()}.items()}
SIZES = {"N": 2, "C_in": 16, "C_out": 32, "C": 8, "H": 6, "W": 4, "T": 3}
COEFFICIENTS = {"k": 3, "s": 2, "g": 4, "G": 4, "R": 2}


def outcome(op: Operator) -> np.ndarray:
    sizes = {**SIZES, **COEFFICIENTS}
    rng = np.random.default_rng(0)
    x = rng.standard_normal(op.input_shape(sizes))
    shapes = op.weight_shapes(sizes)
    weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    return reference(op, sizes, x, weights)


@pytest.mark.parametrize("name", KNOWN)
def test_a_bound_operator_computes_what_the_operator_does(name: str) -> None:
    op = KNOWN[name]
    made = bind(op, COEFFICIENTS)
    assert not made.symbols & COEFFICIENTS.keys()
    np.testing.assert_allclose(outcome(made), outcome(op))


@pytest.mark.parametrize("name", KNOWN)
def test_a_name_reads_back(name: str) -> None:
    once = bound(name, {"k": 5})
    assert bound(str(once)) == once
    assert once.operator is bind(KNOWN[name], {**_own(name), "k": 5})


def _own(name: str) -> dict[str, int]:
    return dict(NAMED[name].sizes) if name in NAMED else {"k": 3, "s": 2, "g": 4}


def test_sizes_in_the_text_come_first_and_may_depend_on_the_layer() -> None:
    found = bound("paper-operator-2  G=8 R=C_out/(2*8)", {"G": 2, "R": 3})
    assert found.name == found.label == "paper-operator-2 G=8 R=C_out/16 k=3"
    assert found.operator is bind(KNOWN["paper-operator-2"], {"G": 8, "R": "C_out/16", "k": 3})


def test_a_formula_is_called_by_its_text() -> None:
    found = bound("y[n,o,h,w] = sum[c:C_in, a:k] x[n, c, h+a-k//2, w] * w1[o,c,a]", {"k": 3})
    assert found.name == str(found.operator)
    assert bound(str(found)) == found
    assert found.label.startswith("y[n,o,h,w] = sum[c:C_in, a:3]")


def test_sizes_of_a_layer_stay() -> None:
    op = parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c] * w1[o,c]")
    assert bind(op, SIZES) is op


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("convolutoin", "no operator called 'convolutoin'; known are: average-pooling"),
        ("convolution g=2", "convolution has no coefficient called g; it has: k"),
    ],
)
def test_what_cannot_be_is_said(text: str, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        bound(text)
