"""Tuning for training: another program, the same function."""

import copy

import pytest
import torch
from torch import nn

from syno.nn import SynthesizedOperator, tuning
from syno.nn.tuning import alternatives, tune_for_training
from syno.zoo.named import NAMED

SIZES = {"N": 1, "C_in": 8, "C_out": 16, "C": 8, "H": 8, "W": 6, "k": 3, "s": 2, "g": 4}


def made(name: str) -> SynthesizedOperator:
    return SynthesizedOperator(NAMED[name].operator, SIZES, seed=0)


@pytest.mark.parametrize("name", ["convolution", "grouped-convolution", "separable-convolution"])
def test_every_alternative_computes_the_same(name: str) -> None:
    module = made(name)
    x = torch.randn(4, 8, 8, 6, requires_grad=True)
    wanted = module(x)
    slopes = torch.autograd.grad(wanted.square().sum(), [x, *module.parameters()])
    sources = list(alternatives(module, 4))
    assert len(set(sources)) == len(sources) > 1
    for source in sources:
        module.use_source(source)
        assert module.source == source
        found = module(x)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        again = torch.autograd.grad(found.square().sum(), [x, *module.parameters()])
        for one, two in zip(again, slopes, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-2)


def test_the_fastest_is_used_wherever_the_same_operator_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = {**SIZES, "C_in": 16}
    pair = [SynthesizedOperator(NAMED["grouped-convolution"].operator, sizes) for _ in range(2)]
    *sources, last = alternatives(pair[0], 2)
    order = iter(range(100, 0, -1))  # each is faster than the one before
    calls: list[object] = []

    def seconds(*given: object) -> int:
        calls.append(given)
        return next(order)

    monkeypatch.setattr(tuning, "_seconds", seconds)
    network = nn.Sequential(*pair)
    tune_for_training(network, torch.randn(2, 16, 8, 6))
    assert [each.source for each in pair] == [last, last]
    assert len(calls) == len(sources) + 1  # measured once for both
    assert network.training


def test_a_copy_runs_its_own_program_again() -> None:
    module = made("grouped-convolution")
    own = module.source
    *_, last = alternatives(module, 2)
    module.use_source(last)
    assert copy.deepcopy(module).source == own


def test_weights_and_gradients_are_left_alone() -> None:
    module = made("separable-convolution")
    kept = [weight.detach().clone() for weight in module.parameters()]
    tune_for_training(nn.Sequential(module), torch.randn(2, 8, 8, 6))
    for weight, before in zip(module.parameters(), kept, strict=True):
        assert torch.equal(weight, before) and weight.grad is None and weight.requires_grad
