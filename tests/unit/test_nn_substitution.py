"""Substitution: a copy of a model with operators in the place of layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

import syno
from syno.ir.errors import ModelError, SizeError
from syno.nn import SynthesizedOperator, find_sites, substitute
from syno.nn.substitution import OnRows, WithBias, count_parameters, replacement, site_flops
from syno.zoo.named import named

X = torch.randn(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
COEFFICIENTS = {"k": 3, "s": 2, "g": 4}


def network(stride: int = 1, *, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 16, 3, padding=1, stride=stride, bias=bias),
        nn.Flatten(2),
    )


def swapped(model: nn.Sequential, **settings: object) -> nn.Module:
    changed = substitute(
        model,
        {"2": named("convolution")},
        X,
        coefficients=COEFFICIENTS,
        **settings,  # type: ignore[arg-type]
    )
    assert isinstance(changed, nn.Sequential)
    return changed[2]


def test_the_convolution_in_its_own_place_computes_the_same() -> None:
    model = network()
    changed = substitute(model, {"2": named("convolution")}, X, coefficients=COEFFICIENTS)
    with torch.no_grad():
        changed[2].inner.w1.copy_(model[2].weight)  # type: ignore[index]
    torch.testing.assert_close(changed(X), model(X))


def test_the_original_is_left_alone() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    changed = substitute(model, {"2": named("convolution")}, X, coefficients=COEFFICIENTS)
    assert isinstance(model[2], nn.Conv2d)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    shared = {p.data_ptr() for p in model.parameters()} & {
        p.data_ptr() for p in changed.parameters()
    }
    assert not shared


def test_the_bias_is_kept_and_trained() -> None:
    model = network()
    made = swapped(model)
    assert isinstance(made, WithBias)
    assert torch.equal(made.bias, model[2].bias)
    assert made.bias.requires_grad
    x = torch.randn(2, 8, 9, 12)
    difference = made(x) - made.inner(x)
    torch.testing.assert_close(difference, made.bias[:, None, None].expand_as(difference))


def test_without_a_bias_the_operator_stands_alone() -> None:
    assert isinstance(swapped(network(bias=False)), SynthesizedOperator)


def test_a_stride_is_average_pooling_first() -> None:
    made = swapped(network(2, bias=False))
    x = torch.randn(2, 8, 9, 12)
    assert isinstance(made, nn.Sequential)
    wanted = F.conv2d(F.avg_pool2d(x, 2, ceil_mode=True), made[1].w1, padding=1)
    torch.testing.assert_close(made(x), wanted)
    assert wanted.shape == (2, 16, 5, 6)


def test_an_operator_without_weights_keeps_the_variance() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False))
    op = syno.parse("y[n,c:C_in,h,w] = sum[a:k,b:k] x[n, c, h + a - k//2, w + b - k//2]")
    x = torch.randn(16, 8, 12, 12, generator=torch.Generator().manual_seed(1))
    made = substitute(model, {"0": op}, x, coefficients=COEFFICIENTS)
    assert count_parameters(made) == 0
    assert 0.9 < float(made(x).square().mean()) < 1.1


def test_seeds_differ_between_sites_and_are_repeatable() -> None:
    model = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2)))
    both = {name: named("convolution") for name in ("0", "1")}
    x = torch.zeros(1, 8, 6, 6)
    one, two, other = (
        substitute(model, both, x, coefficients=COEFFICIENTS, seed=seed) for seed in (0, 0, 7)
    )
    assert torch.equal(one[0].w1, two[0].w1)  # type: ignore[index]
    assert not torch.equal(one[0].w1, one[1].w1)  # type: ignore[index]
    assert not torch.equal(one[0].w1, other[0].w1)  # type: ignore[index]


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4), (2, 3, 5, 4), (4,)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_of_any_rank(shape: tuple[int, ...], bias: bool) -> None:
    model, x = nn.Sequential(nn.Linear(4, 5, bias=bias)), torch.randn(shape)
    op = syno.parse("[N, C_in] -> [N, C_out]\ny[n,o] = sum[c:C_in] x[n,c] * w1[o,c]")
    changed = substitute(model, {"0": op}, x)
    made = changed[0].inner if bias else changed[0]  # type: ignore[index]
    inner = made.inner if isinstance(made, OnRows) else made
    assert isinstance(made, OnRows) == (len(shape) != 2)
    with torch.no_grad():
        inner.w1.copy_(model[0].weight)
    torch.testing.assert_close(changed(x), model(x))


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4)])
def test_the_linear_layer_of_transformers_is_replaced_with_its_bias(shape: tuple[int, ...]) -> None:
    model, x = nn.Sequential(Conv1D(5, 4)), torch.randn(shape)
    nn.init.normal_(model[0].bias)
    changed = substitute(model, {"0": named("linear")}, x, coefficients={"T": 99})
    operator = next(each for each in changed.modules() if isinstance(each, SynthesizedOperator))
    with torch.no_grad():
        operator.w1.copy_(model[0].weight.T)
    torch.testing.assert_close(changed(x), model(x))


@pytest.mark.parametrize("shape", [(1, 7, 768), (7, 768)])
def test_the_projection_of_gpt2_stands_in_its_place(shape: tuple[int, ...]) -> None:
    model, x = nn.Sequential(Conv1D(2304, 768)), torch.randn(shape)
    op = named("gpt2-projection")
    changed = substitute(model, {"0": op}, x)
    site = find_sites(model, x)[0]
    y = changed(x).reshape(7, 72, 2, 16)
    operator = next(each for each in changed.modules() if isinstance(each, SynthesizedOperator))
    wanted = torch.einsum("tbr,acr->tabc", x.reshape(7, 2, 384), operator.w1)
    torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-4)
    assert site_flops(op, site, {}) * 2 == site.flops // (7 if len(shape) == 2 else 1)


def test_dimensions_that_an_operator_gives_for_the_channels_become_one() -> None:
    model, x = nn.Sequential(nn.Linear(4, 6, bias=False)), torch.randn(5, 4)
    op = syno.parse("[N, C_in] -> [N, 2, C_out/2]\ny[n,i,j] = sum[c:C_in] x[n,c] * w1[i,j,c]")
    changed = substitute(model, {"0": op}, x)
    with torch.no_grad():
        changed[0].inner.w1.copy_(model[0].weight.reshape(2, 3, 4))  # type: ignore[index]
    torch.testing.assert_close(changed(x), model(x))


def test_a_strided_layer_without_a_window_takes_a_pointwise_operator() -> None:
    model = nn.Sequential(nn.Conv2d(8, 16, 1, stride=2, bias=False))
    x = torch.randn(2, 8, 9, 12)
    changed = substitute(model, {"0": named("pointwise-convolution")}, x)
    assert changed(x).shape == model(x).shape == (2, 16, 5, 6)


@pytest.mark.parametrize("groups", [4, 8])
def test_a_grouped_layer_is_replaced(groups: int) -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=groups))
    x = torch.randn(2, 8, 9, 12)
    op = named("separable-convolution")
    changed = substitute(model, {"0": op}, x, coefficients=COEFFICIENTS)
    assert changed(x).shape == model(x).shape


def test_an_operator_may_name_the_leading_dimensions_itself() -> None:
    model, x = nn.Sequential(nn.Linear(4, 5, bias=False)), torch.randn(2, 3, 4)
    op = syno.parse("[B, T, C_in] -> [B, T, C_out]\ny[b,t,o] = sum[c:C_in] x[b,t,c] * w1[o,t,c]")
    changed = substitute(model, {"0": op}, x, coefficients={"B": 2, "T": 3})
    assert isinstance(changed[0], SynthesizedOperator)  # type: ignore[index]
    assert changed(x).shape == (2, 3, 5)


def test_a_model_that_is_itself_the_layer() -> None:
    changed = substitute(
        nn.Conv2d(8, 8, 3, padding=1),
        {"": named("pointwise-convolution")},
        X[:, :1].expand(2, 8, 9, 12),
    )
    assert isinstance(changed, WithBias)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_of_the_model_is_kept(dtype: torch.dtype) -> None:
    model = network().to(dtype)
    changed = substitute(model, {"2": named("convolution")}, X.to(dtype), coefficients=COEFFICIENTS)
    assert {each.dtype for each in changed.parameters()} == {dtype}
    assert changed(X.to(dtype)).dtype == dtype


@pytest.mark.parametrize("training", [False, True])
def test_the_modes_are_kept(training: bool) -> None:
    model = network().train(training)
    model[1].train(not training)
    changed = substitute(model, {"2": named("convolution")}, X, coefficients=COEFFICIENTS)
    for each in (model, changed):
        modes = [module.training for name, module in each.named_modules() if name != "1"]
        assert set(modes) == {training}
        assert each.get_submodule("1").training is not training


def test_a_name_that_is_no_site_lists_the_sites() -> None:
    with pytest.raises(ModelError, match="'3' is no site; sites are: 0, 2"):
        substitute(network(), {"3": named("convolution")}, X)


@pytest.mark.parametrize(
    ("op", "coefficients", "says"),
    [
        (named("convolution"), {}, "site 2: The symbol k"),
        (named("grouped-convolution"), {"k": 3, "g": 5}, "site 2: The size"),
        (named("depthwise-convolution"), {"k": 3, "C": 8}, r"site 2: its output has shape"),
        (named("average-pooling"), {"s": 3, "C": 8}, r"site 2: its output has shape"),
        (named("linear"), {"T": 2}, r"site 2: its input has shape \(2, 8\)"),
    ],
)
def test_an_operator_that_does_not_fit_names_the_site(
    op: syno.Operator, coefficients: dict[str, int], says: str
) -> None:
    model = network()
    with pytest.raises(SizeError, match=says):
        substitute(model, {"2": op}, X, coefficients=coefficients)
    assert model.training


@pytest.mark.parametrize("padding", [0, 2])
def test_a_layer_that_changes_height_and_width_is_refused(padding: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=padding))
    with pytest.raises(SizeError, match="site 0: its input has shape"):
        substitute(model, {"0": named("convolution")}, X, coefficients=COEFFICIENTS)


def test_multiply_adds_are_counted_for_a_batch_of_one() -> None:
    site = find_sites(network(), X)[1]
    assert site_flops(named("convolution"), site, COEFFICIENTS) == 16 * 8 * 9 * 9 * 12
    assert site_flops(named("convolution"), site, COEFFICIENTS) * 2 == site.flops


def test_the_module_at_a_site_can_be_had_alone() -> None:
    site = find_sites(network(2), X)[1]
    made = replacement(named("convolution"), site, COEFFICIENTS, seed=1)
    assert made(torch.zeros(site.input_shape)).shape == site.output_shape


def test_frozen_parameters_do_not_count() -> None:
    model = nn.Linear(4, 5)
    assert count_parameters(model) == 25
    model.bias.requires_grad_(requires_grad=False)
    assert count_parameters(model) == 20


def test_the_result_trains_as_any_module() -> None:
    changed = substitute(
        network(), {"2": named("separable-convolution")}, X, coefficients=COEFFICIENTS
    )
    y: Tensor = changed(X)
    y.square().mean().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in changed.parameters())
