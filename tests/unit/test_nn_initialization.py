"""Initial weights: the output varies as much as the input, neither more nor less."""

from __future__ import annotations

import pytest
import torch

import syno
from syno.nn import SynthesizedOperator
from syno.nn.initialization import constant_scale, mean_terms, weight_std
from syno.zoo.named import NAMED

SIZES = {"N": 8, "C_in": 16, "C_out": 16, "C": 16, "H": 16, "W": 12, "k": 3, "s": 2, "g": 4}
SIZES |= {"G": 4, "R": 8, "T": 64}


def variance(text: str, sizes: dict[str, int], factor: float = 1.0) -> float:
    """Return the mean square of outputs over several draws of weights, for inputs of variance 1."""
    op, found = syno.parse(text), []
    for seed in range(12):
        made = SynthesizedOperator(op, sizes, seed=seed, scale=constant_scale(op, sizes))
        x = torch.randn(op.input_shape(sizes), generator=torch.Generator().manual_seed(seed + 99))
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.mul_(factor)
            found.append(made(x).square().mean())
    return float(torch.stack(found).mean())


@pytest.mark.parametrize("name", NAMED)
def test_the_variance_of_named_operators_is_kept(name: str) -> None:
    assert 0.85 < variance(NAMED[name].text, SIZES) < 1.18


@pytest.mark.parametrize(
    "text",
    [
        "[N, C, H] -> [N, C, H]\ny[n,c,h] = x[n,c,h] * w1[c]",
        "[N, C, H] -> [N, C, H]\ny[n,c,h] = sum[a:k] x[n,c,h+a-k//2] * w1[n,c,h,a]",
        "[N, C, 4] -> [N, C, 4]\ny[n,c,h] = sum[a:3] x[n,c,h+a-3//2] * w1[c,a]",
        "[N, H] -> [N, H]\ny[n,h] = sum[a:k, b:k] x[n,h+a-k//2+b-k//2] * w1[h,a] * w2[n,b]",
        "[N, s*H] -> [N, H]\ny[n,h] = sum[a:k] x[n, s*h+a-k//2] * w1[n,h,a]",
        "[N, C, H] -> [N, C, H*s]\ny[n,c,h] = x[n,c,h//s] * w1[n,c,h%s]",
    ],
)
def test_the_variance_of_others_is_kept(text: str) -> None:
    assert 0.85 < variance(text, SIZES) < 1.18


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_weights_off_by_a_quarter_would_be_noticed(factor: float) -> None:
    assert not 0.85 < variance(NAMED["convolution"].text, SIZES, factor) < 1.18


def test_the_number_of_terms_is_exact() -> None:
    op = syno.parse("[6, 4] -> [6]\ny[h] = sum[a:3, c:4] x[h + a - 3//2, c] * w1[c,a]")
    assert mean_terms(op, {}) == pytest.approx(4 * (6 * 3 - 2) / 6)
    assert weight_std(op, {}) == pytest.approx((64 / 6) ** -0.5)
    assert constant_scale(op, {}) == 1.0


def test_two_weights_share_the_variance() -> None:
    op = NAMED["low-rank-linear"].operator
    sizes = {"T": 2, "C_in": 8, "C_out": 4, "R": 2}
    assert weight_std(op, sizes) == pytest.approx(16**-0.25)


def test_without_weights_the_result_is_scaled() -> None:
    op = NAMED["average-pooling"].operator
    assert constant_scale(op, NAMED["average-pooling"].sizes) == pytest.approx(0.5)
