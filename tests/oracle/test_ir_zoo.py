"""The named operators in both backends, forward and gradient, and against torch's own layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from numpy.typing import NDArray
from torch import Tensor

from syno.ir.operator import Operator
from syno.ir.semantics import reference, reference_gradients
from syno.lower.backends import lower
from syno.testing.strategies import Case, cases
from syno.zoo.named import NAMED, NamedOperator

Arrays = dict[str, NDArray[np.float64]]
CLOSE = 1e-10

# What torch has to compute them, and how our weights stand beside torch's.
TORCH: dict[str, Callable[..., Tensor]] = {
    "convolution": lambda x, w1: F.conv2d(x, w1, padding=1),
    "grouped-convolution": lambda x, w1: F.conv2d(x, w1, padding=1, groups=4),
    "depthwise-convolution": lambda x, w1: F.conv2d(x, w1[:, None], padding=1, groups=4),
    "pointwise-convolution": lambda x, w1: F.conv2d(x, w1[:, :, None, None]),
    "separable-convolution": lambda x, w1, w2: F.conv2d(
        F.conv2d(x, w2[:, None], padding=1, groups=8), w1[:, :, None, None]
    ),
    "low-rank-convolution": lambda x, w1, w2: F.conv2d(
        F.conv2d(x, w2.permute(2, 0, 1)[:, :, None], padding=(0, 1)),
        w1.permute(0, 2, 1)[..., None],
        padding=(1, 0),
    ),
    "shifted-pointwise": lambda x, w1: F.conv2d(torch.roll(x, -1, 2), w1[:, :, None, None]),
    "average-pooling": lambda x: F.avg_pool2d(x, 2) * 4,
    "pixel-shuffle": lambda x: F.pixel_shuffle(x, 2),
    "shifted-convolution-1d": lambda x, w1: F.conv1d(torch.roll(x, -1, 1)[None], w1, padding=1)[0],
    "linear": F.linear,
    "low-rank-linear": lambda x, w1, w2: F.linear(F.linear(x, w2.T), w1),
    # The window of k*s = 6 is centred by 3, its last read is at + 1 where torch's is at + 2.
    "dilated-convolution": lambda x, w1: F.conv2d(F.pad(x, (3, 1, 3, 1)), w1, dilation=2),
    "gpt2-projection": lambda x, w1: torch.einsum(
        "tbr,acr->tabc", x.unflatten(1, (2, 384)), w1
    ).flatten(1),
}
OURS_ALONE = {"paper-operator-1", "paper-operator-2"}


def arrays(row: NamedOperator | Case) -> tuple[Operator, NDArray[np.float64], Arrays]:
    drawn, op = np.random.default_rng(3), row.op if isinstance(row, Case) else row.operator
    x = drawn.standard_normal(op.input_shape(row.sizes))
    weights = {k: drawn.standard_normal(v) for k, v in op.weight_shapes(row.sizes).items()}
    return op, x, weights


def test_every_named_operator_has_its_layer_or_is_known_to_have_none() -> None:
    assert set(TORCH) | OURS_ALONE == set(NAMED)


def compare_numpy(row: NamedOperator | Case) -> None:
    op, x, weights = arrays(row)
    found = lower(op, row.sizes, "numpy").function(x, *weights.values())
    np.testing.assert_allclose(found, reference(op, row.sizes, x, weights), atol=CLOSE)


def compare_torch(row: NamedOperator | Case) -> None:
    """Forward and backward."""
    op, x, weights = arrays(row)
    leaves = [torch.tensor(each, requires_grad=True) for each in (x, *weights.values())]
    y = lower(op, row.sizes, "torch").function(*leaves)
    wanted = reference(op, row.sizes, x, weights)
    np.testing.assert_allclose(y.detach().numpy(), wanted, atol=CLOSE)
    grad = np.random.default_rng(4).standard_normal(wanted.shape)
    y.backward(torch.tensor(grad))
    grad_x, grad_weights = reference_gradients(op, row.sizes, x, weights, grad)
    for leaf, expected in zip(leaves, (grad_x, *grad_weights.values()), strict=True):
        assert leaf.grad is not None
        np.testing.assert_allclose(leaf.grad.numpy(), expected, atol=CLOSE)


@pytest.mark.parametrize("name", NAMED)
def test_numpy_agrees_with_the_reference(name: str) -> None:
    compare_numpy(NAMED[name])


@pytest.mark.parametrize("name", NAMED)
def test_torch_agrees_with_the_reference_forward_and_backward(name: str) -> None:
    compare_torch(NAMED[name])


@given(cases())
def test_random_operators_agree_in_both_backends(case: Case) -> None:
    compare_numpy(case)
    compare_torch(case)


@pytest.mark.parametrize("name", TORCH)
def test_the_reference_agrees_with_the_layer_of_torch(name: str) -> None:
    row = NAMED[name]
    op, x, weights = arrays(row)
    layer = TORCH[name](torch.tensor(x), *(torch.tensor(each) for each in weights.values()))
    wanted = reference(op, row.sizes, x, weights)
    assert tuple(layer.shape) == wanted.shape
    np.testing.assert_allclose(layer.numpy(), wanted, atol=CLOSE)


@pytest.mark.parametrize("name", NAMED)
def test_gradients_of_the_reference_are_its_differences(name: str) -> None:
    """The reference is linear in x and in each weight: a step of any length tells the gradient."""
    row = NAMED[name]
    op, x, weights = arrays(row)
    drawn = np.random.default_rng(5)
    y = reference(op, row.sizes, x, weights)
    grad = drawn.standard_normal(y.shape)
    grad_x, grad_weights = reference_gradients(op, row.sizes, x, weights, grad)
    step = drawn.standard_normal(x.shape)
    moved = reference(op, row.sizes, x + step, weights)
    np.testing.assert_allclose(np.sum(grad * (moved - y)), np.sum(grad_x * step), rtol=1e-9)
    for key, weight in weights.items():
        step = drawn.standard_normal(weight.shape)
        moved = reference(op, row.sizes, x, weights | {key: weight + step})
        found = np.sum(grad * (moved - y))
        np.testing.assert_allclose(found, np.sum(grad_weights[key] * step), rtol=1e-9)
