"""Zero-cost proxies: values that can be computed by hand, and networks left as they were."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf, log

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from syno.evaluate.models import build
from syno.evaluate.proxies import gradient_norm, naswot, synflow
from syno.ir.errors import ModelError
from syno.nn.substitution import substitute
from syno.zoo.named import NAMED

IMAGES = torch.randn((4, 1, 8, 8), generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 3, 3, 9])


def chain(*matrices: Tensor, between: Callable[[], nn.Module] = nn.Identity) -> nn.Sequential:
    """Return linear layers with these weights and a module after each."""
    layers: list[nn.Module] = []
    for matrix in matrices:
        layers += [nn.Linear(matrix.shape[1], matrix.shape[0]), between()]
        layers[-2].weight.data = matrix.clone()  # type: ignore[operator, union-attr]
    return nn.Sequential(*layers)


def synthesized() -> nn.Module:
    """Return a network with an operator of two weights in the place of a convolution."""
    op, coefficients = NAMED["separable-convolution"].operator, {"k": 3}
    sites = dict.fromkeys(("first.0.0", "down.0"), op)
    model = build("convnet")
    return substitute(model, sites, torch.zeros(1, 1, 8, 8), coefficients=coefficients)


# ---------------------------------------------------------------------------------------- SynFlow


def test_each_layer_of_a_chain_holds_the_sum_of_products_of_absolute_weights() -> None:
    first = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    second = torch.tensor([[-1.0, 4.0]])
    flow = 1 * (1 + 2) + 4 * (3 + 0)
    assert synflow(chain(first, second), (1, 2)) == pytest.approx(2 * flow)
    assert synflow(chain(first, second, between=nn.ReLU), (1, 2)) == pytest.approx(2 * flow)


def test_synflow_counts_every_input_of_the_batch() -> None:
    layers = chain(torch.tensor([[1.0, -2.0], [3.0, 0.0]]))
    assert synflow(layers, (5, 2)) == pytest.approx(5 * synflow(layers, (1, 2)))


def test_synflow_leaves_biases_and_normalizations_out() -> None:
    matrix = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    layers = chain(matrix, between=lambda: nn.BatchNorm1d(2))
    for buffer in layers.buffers():
        buffer.fill_(7)
    assert synflow(layers, (1, 2)) == pytest.approx(6.0)


def test_synflow_needs_no_sign_and_no_gradient_asked_for() -> None:
    model = build("convnet")
    expected = synflow(model, (1, 1, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.neg_().requires_grad_(False)
    assert synflow(model, (1, 1, 8, 8)) == pytest.approx(expected)


def test_a_network_without_weights_has_no_flow() -> None:
    assert synflow(nn.ReLU(), (1, 2)) == 0.0


# ----------------------------------------------------------------------------------------- NASWOT


class Functional(nn.Module):
    """ReLUs as functions, beside `nn.ReLU`."""

    def __init__(self, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x)


SIGNS = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0]])
DETERMINANT = 3 * 3 - 2 * 2  # three units, of which the two images agree on two


@pytest.mark.parametrize(
    "relu",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        Functional(F.relu),
        Functional(torch.relu),
        Functional(lambda x: x.relu()),
        Functional(lambda x: F.relu(x, inplace=True)),
        Functional(lambda x: x.relu_()),
    ],
)
def test_naswot_counts_each_relu_once_however_it_is_written(relu: nn.Module) -> None:
    assert naswot(relu, SIGNS.clone()) == pytest.approx(log(DETERMINANT))


def test_naswot_adds_up_layers() -> None:
    twice = nn.Sequential(nn.ReLU(), nn.ReLU())
    assert naswot(twice, SIGNS) == pytest.approx(log((2 * 3) ** 2 - (2 * 2) ** 2))


def test_equal_codes_have_no_volume() -> None:
    assert naswot(nn.ReLU(), torch.ones(2, 3)) == -inf


def test_naswot_needs_relus() -> None:
    with pytest.raises(ModelError, match="has none"):
        naswot(nn.Linear(3, 3), SIGNS)


def test_naswot_of_a_residual_network_counts_all_its_units() -> None:
    images = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    units = 7 * 16 * 32**2 + 6 * 32 * 16**2 + 6 * 64 * 8**2
    found = naswot(build("resnet20"), images)
    assert log(units) < found < 2 * log(units)


# ---------------------------------------------------------------------------------- gradient norm


def test_the_gradient_norm_of_one_layer_is_that_of_the_formula() -> None:
    layer = chain(torch.zeros(2, 2))[0]
    layer.bias.data.zero_()  # type: ignore[operator, union-attr]
    x = torch.tensor([[3.0, 4.0]])
    slope = (0.5**2 + 0.5**2) ** 0.5  # of the scores: probabilities are a half each
    found = gradient_norm(layer, x, torch.tensor([0]))
    assert found == pytest.approx(5 * slope + slope)  # the weight's and the bias's


def test_weights_that_are_frozen_do_not_count() -> None:
    model = build("convnet")
    whole = gradient_norm(model, IMAGES, LABELS)
    model.get_parameter("head.weight").requires_grad_(False)
    assert 0 < gradient_norm(model, IMAGES, LABELS) < whole
    assert gradient_norm(model.requires_grad_(False), IMAGES, LABELS) == 0.0


# ------------------------------------------------------------------------------------ all of them

PROXIES: dict[str, Callable[[nn.Module], float]] = {
    "synflow": lambda model: synflow(model, (1, 1, 8, 8)),
    "naswot": lambda model: naswot(model, IMAGES),
    "gradient_norm": lambda model: gradient_norm(model, IMAGES, LABELS),
}


@pytest.mark.parametrize("name", PROXIES)
def test_a_network_with_operators_is_judged_and_left_as_it_was(name: str) -> None:
    model = synthesized().train()
    model.get_submodule("second").eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    drawn = torch.random.get_rng_state()
    found = PROXIES[name](model)
    assert found == PROXIES[name](model)
    assert 0 < found < inf
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(value.dtype is before[key].dtype for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", PROXIES)
def test_other_weights_are_judged_otherwise(name: str) -> None:
    found = [PROXIES[name](build("convnet", seed=seed)) for seed in range(3)]
    assert all(one != two for one, two in pairwise(found))


def test_dropout_draws_the_same_every_time() -> None:
    model = nn.Sequential(nn.Linear(8, 10), nn.Dropout(), nn.ReLU(), nn.Linear(10, 10))
    x = torch.randn(4, 8)
    assert gradient_norm(model, x, LABELS) == gradient_norm(model, x, LABELS)
    assert naswot(model, x) == naswot(model, x)
