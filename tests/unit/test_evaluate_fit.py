"""Layer fit: exact where it can be, against least squares written out, never worse by going on."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from syno.evaluate.fit import Captured, FitSettings, capture, fit, renew_statistics
from syno.evaluate.least_squares import Problem, probes
from syno.evaluate.small_models import ConvNet
from syno.ir.errors import ModelError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.nn import SynthesizedOperator, find_sites, replaceable, substitute
from syno.nn.sites import Site
from syno.zoo.named import NAMED

COEFFICIENTS = {"k": 3, "s": 2, "g": 4}
SIZES = {"N": 1, "C_in": 8, "C_out": 16, "H": 6, "W": 5, **COEFFICIENTS}
IMAGE = "[N, C_in, H, W] -> [N, C_out, H, W]\n"
SHARED = parse(
    IMAGE + "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, h+a-k//2, w+b-k//2] * w1[c,a,b]"
)  # all output channels are one
INTERLEAVED = parse(
    IMAGE + "y[n,o,h,w] = sum[c:C_in/g, a:k, b:k] "
    "x[n, c*g + o % g, h + a - k//2, w + b - k//2] * w1[o // g,c,a,b]"
)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = ConvNet(width=8, depth=2)
    renew_statistics(made, images())
    return made.eval()


def images(count: int = 24, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 8, 8, generator=generator)


def fitted(op: Operator, settings: FitSettings | None = None) -> tuple[nn.Module, Captured, object]:
    original = network()
    example = images(1)
    sites = replaceable(find_sites(original, example))
    captured = capture(original, sites, images(64, 1), settings or FitSettings())
    changed = substitute(
        original, {site.name: op for site in sites}, example, coefficients=COEFFICIENTS
    )
    return changed, captured, fit(changed, captured, settings)


def problem(op: Operator, seed: int = 0, scale: float = 1.0) -> tuple[Problem, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(40, 8, 6, 5, generator=generator)
    wanted = scale * torch.randn(40, 16, 6, 5, generator=generator)
    wanted = wanted + torch.nn.functional.conv2d(
        x, torch.randn(16, 8, 3, 3, generator=generator), padding=1
    )
    module = SynthesizedOperator(op, SIZES, seed=0)
    return Problem(module, x, wanted, 16), x, wanted


def columns_one_by_one(module: SynthesizedOperator, x: Tensor, number: int) -> Tensor:
    """Return (entries of the weight, channels, positions) by setting one entry at a time."""
    weights = [weight.detach().clone() for weight in module.parameters()]
    found = []
    for entry in range(weights[number].numel()):
        weights[number] = torch.zeros_like(weights[number])
        weights[number].view(-1)[entry] = 1.0
        found.append(module._function(x, *weights).movedim(1, 0).reshape(16, -1))
    return torch.stack(found)


def best_residual(columns: Tensor, wanted: Tensor) -> float:
    """Return the residual of least squares, by NumPy, channels divided by their deviation."""
    target = wanted.movedim(1, 0).reshape(16, -1)
    scale = 1 / target.std(1, keepdim=True)
    centered = (columns - columns.mean(2, keepdim=True)) * scale
    left = centered.reshape(len(columns), -1).T.double().numpy()
    right = ((target - target.mean(1, keepdim=True)) * scale).reshape(-1).double().numpy()
    solution = np.linalg.lstsq(left, right)[0]
    return float(np.square(right - left @ solution).sum() / np.square(right).sum())


@pytest.mark.parametrize("name", ["convolution", "grouped-convolution", "interleaved", "shared"])
def test_one_weight_is_solved_as_well_as_by_numpy(name: str) -> None:
    own = {"interleaved": INTERLEAVED, "shared": SHARED}
    op = own[name] if name in own else NAMED[name].operator
    found, x, wanted = problem(op)
    reached = found.solve(sweeps=10, iterations=10)
    expected = best_residual(columns_one_by_one(found.operator, x, 0), wanted)
    assert 0 < expected < 1
    assert reached == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("convolution", 5),  # 8 channels in, 9 places in the window, 16 channels out
        ("grouped-convolution", 5),  # 18 entries a channel, 4 channels a group
        ("separable-convolution", None),  # the first weight belongs to all channels
        ("pointwise-convolution", 1),
    ],
)
def test_columns_are_probed_for_all_channels_at_once(name: str, passes: int | None) -> None:
    found = [
        probes(NAMED[name].operator, number, SIZES, 1)
        for number in range(len(NAMED[name].operator.weights))
    ]
    counts = [each.passes if each else None for each in found]
    assert passes in counts


def test_a_window_for_each_channel_is_known_by_its_own_entries() -> None:
    sizes = {"N": 1, "C": 8, "H": 6, "W": 5, "k": 3}
    found = probes(NAMED["depthwise-convolution"].operator, 0, sizes, 1)
    assert found is not None and found.passes == 9 and len(found.classes) == 8


def test_an_operator_that_can_be_the_layer_becomes_the_layer() -> None:
    changed, captured, found = fitted(NAMED["convolution"].operator)
    residuals = {site.name: site.residual for site in found.sites}
    assert residuals.pop("down.0") > 0.01  # it is pooled first, which loses something
    assert residuals and all(each < 1e-4 for each in residuals.values())
    assert 0 < found.network_residual < 0.5
    assert len(found.sites) == len(captured.layers)
    assert not changed.training


def test_residuals_are_those_of_new_images() -> None:
    few = FitSettings(positions=64, images=2)
    *_, found = fitted(NAMED["convolution"].operator, few)
    assert all(site.fitted_residual < 0.9 * site.residual for site in found.sites)


def test_more_sweeps_are_never_worse() -> None:
    op = NAMED["separable-convolution"].operator
    reached = []
    for sweeps in (1, 2, 4):
        found, *_ = problem(op)
        reached.append(found.solve(sweeps=sweeps, iterations=8))
    assert reached[0] >= reached[1] >= reached[2]
    assert reached[2] < 1


def test_weights_are_balanced_without_changing_the_function() -> None:
    found, *_ = problem(NAMED["separable-convolution"].operator)
    found.solve(sweeps=2, iterations=8)
    sizes = [float(weight.detach().square().mean()) for weight in found.operator.parameters()]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-3)
    assert all(weight.requires_grad for weight in found.operator.parameters())


def test_the_scale_of_a_channel_does_not_matter() -> None:
    op = NAMED["grouped-convolution"].operator
    one, _, wanted = problem(op)
    factors = torch.linspace(0.1, 10, 16).reshape(1, 16, 1, 1)
    two = Problem(SynthesizedOperator(op, SIZES, seed=0), one.x, 5 + wanted * factors, 16)
    assert two.solve(1, 8) == pytest.approx(one.solve(1, 8), rel=1e-3)


def test_rows_of_a_linear_layer_with_a_bias() -> None:
    torch.manual_seed(0)
    original = nn.Sequential(nn.Linear(12, 16))
    with torch.no_grad():
        original[0].weight.copy_(torch.randn(16, 2) @ torch.randn(2, 12))
    x = torch.randn(64, 5, 12)
    sites = find_sites(original, x[:1])
    op = parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]")
    captured = capture(original, sites, x, FitSettings())
    changed = substitute(original, {sites[0].name: op}, x[:1], coefficients={"R": 2})
    found = fit(changed, captured)
    assert found.network_residual < 1e-3
    torch.testing.assert_close(changed(x), original(x), rtol=0.05, atol=0.1)


def test_a_site_without_an_operator_is_named() -> None:
    original = network()
    sites: list[Site] = replaceable(find_sites(original, images(1)))
    captured = capture(original, sites, images(8), FitSettings())
    with pytest.raises(ModelError, match=rf"{sites[0].name} holds 0 operators"):
        fit(copy.deepcopy(original), captured)


def test_statistics_are_those_of_the_images_and_modes_stay() -> None:
    norm = nn.BatchNorm1d(3)
    model = nn.Sequential(norm).train()
    x = 5 + 2 * torch.randn(200, 3)
    renew_statistics(model, x)
    torch.testing.assert_close(norm.running_mean, x.mean(0))
    torch.testing.assert_close(norm.running_var, x.var(0))
    assert norm.momentum == 0.1 and norm.training
    model.eval()
    renew_statistics(model, x)
    assert not norm.training
