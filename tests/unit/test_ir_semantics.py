"""The reference: numbers worked out by hand, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

import syno
from syno.ir.errors import SizeError
from syno.ir.semantics import reference, reference_gradients


def run(text: str, x: ArrayLike, **weights: ArrayLike) -> list[object]:
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    found: list[object] = reference(syno.parse(text), {}, np.asarray(x), arrays).tolist()
    return found


@pytest.mark.parametrize(
    ("text", "x", "wanted"),
    [
        ("[4] -> [4]\ny[h] = x[(h + 1) % 4]", [1, 2, 3, 4], [2, 3, 4, 1]),
        ("[4] -> [4]\ny[h] = x[(h - 1) % 4]", [1, 2, 3, 4], [4, 1, 2, 3]),
        ("[4] -> [4]\ny[h] = sum[a:3] x[h + a - 3//2]", [1, 2, 3, 4], [3, 6, 9, 7]),
        ("[4] -> [4]\ny[h] = sum[a:2] x[h + a - 2//2]", [1, 2, 3, 4], [1, 3, 5, 7]),
        ("[4] -> [2]\ny[h] = sum[a:3] x[2*h + a - 3//2]", [1, 2, 3, 4], [3, 9]),
        ("[4] -> [2]\ny[h] = sum[a:2] x[h*2 + a]", [1, 2, 3, 4], [3, 7]),
        ("[4] -> [2]\ny[h] = sum[a:2] x[a*2 + h]", [1, 2, 3, 4], [4, 6]),
        ("[2] -> [4]\ny[h] = x[h // 2]", [1, 2], [1, 1, 2, 2]),
        ("[2] -> [4]\ny[h] = x[h % 2]", [1, 2], [1, 2, 1, 2]),
        ("[4] -> []\ny[] = sum[a:4] x[a]", [1, 2, 3, 4], 10),
        # The window first, zero outside of it, then the shift of what is inside.
        ("[4]->[4]\ny[h] = sum[a:3] x[(h + a - 3//2 + 1) % 4]", [1, 2, 3, 4], [5, 9, 8, 5]),
        ("[4]->[4]\ny[h] = sum[a:3] x[(h + 1) % 4 + a - 3//2]", [1, 2, 3, 4], [6, 9, 7, 3]),
    ],
)
def test_numbers_by_hand(text: str, x: list[float], wanted: list[float]) -> None:
    assert run(text, x) == wanted


def test_weights_by_hand() -> None:
    text = "[2] -> [3]\ny[o] = sum[c:2] x[c] * w1[o,c]"
    assert run(text, [1, 10], w1=[[1, 2], [3, 4], [5, 6]]) == [21, 43, 65]


def test_a_weight_beside_a_window_is_read_inside_alone() -> None:
    text = "[3] -> [3]\ny[h] = sum[a:3] x[h + a - 3//2] * w1[h + a - 3//2]"
    assert run(text, [1, 1, 1], w1=[1, 10, 100]) == [11, 111, 110]


def test_the_result_is_in_double_precision() -> None:
    op = syno.parse("[1000] -> []\ny[] = sum[c:1000] x[c]")
    found = reference(op, {}, np.full(1000, 0.1, np.float32), {})
    assert found.dtype == np.float64
    assert float(found) == pytest.approx(1000 * float(np.float32(0.1)), rel=1e-12)


def test_gradients_by_hand() -> None:
    op = syno.parse("[3] -> [3]\ny[h] = sum[a:3] x[h + a - 3//2] * w1[a]")
    x, w1, grad = np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 100.0]), np.array([1.0, 0.0, 0.0])
    grad_x, grad_weights = reference_gradients(op, {}, x, {"w1": w1}, grad)
    assert grad_x.tolist() == [10.0, 100.0, 0.0]
    assert grad_weights["w1"].tolist() == [0.0, 1.0, 2.0]


def test_wrong_shapes_and_names_are_refused() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c] * w1[o,c]")
    sizes = {"T": 2, "C_in": 3, "C_out": 4}
    x, w1 = np.zeros((2, 3)), np.zeros((4, 3))
    assert reference(op, sizes, x, {"w1": w1}).shape == (2, 4)
    with pytest.raises(SizeError, match=r"x has shape \(3, 2\); .* \(2, 3\)"):
        reference(op, sizes, x.T, {"w1": w1})
    with pytest.raises(SizeError, match=r"w1 has shape \(3, 4\).*canonical order"):
        reference(op, sizes, x, {"w1": w1.T})
    for weights in ({}, {"w2": w1}, {"w1": w1, "w2": w1}):
        with pytest.raises(SizeError, match="has the weights w1; given are"):
            reference(op, sizes, x, weights)
    with pytest.raises(SizeError, match="symbol C_out"):
        reference(op, {"T": 2, "C_in": 3}, x, {"w1": w1})


def test_reference_is_loaded_with_the_package_when_asked_for() -> None:
    assert syno.reference is reference
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = syno.nothing
