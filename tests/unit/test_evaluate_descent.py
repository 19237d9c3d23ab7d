"""The descent: each knob of a recipe turns what it says, seen from outside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trainings import RECIPE, network, state

from syno.evaluate.descent import Descent, optimizer_of, schedule_of
from syno.evaluate.recipes import Recipe

COSINE = replace(RECIPE, schedule="cosine", warm_up=0.25, learning_rate=1.0)


def rates(recipe: Recipe, steps: int) -> list[float]:
    """The learning rate of each step."""
    optimizer = optimizer_of(network(), recipe)
    schedule, found = schedule_of(optimizer, recipe, steps), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(16, 1, 8, 8, generator=generator)
    return images, torch.randint(10, (16,), generator=generator)


def descended(recipe: Recipe, steps: int = 3, total: int = 10, **options: Any) -> nn.Module:
    model = network()
    descent = Descent(model, recipe, total, **options)
    for step in range(steps):
        descent.step(*batch(step))
    return model


def test_the_cosine_rises_along_a_line_and_falls_to_nearly_0() -> None:
    found = rates(COSINE, 20)
    assert found[:5] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    wanted = [(1 + math.cos(math.pi * step / 15)) / 2 for step in range(15)]
    assert found[5:] == pytest.approx(wanted, abs=1e-6)


def test_a_cosine_without_warm_up_begins_at_the_top() -> None:
    found = rates(replace(COSINE, warm_up=0), 10)
    assert found == pytest.approx([(1 + math.cos(math.pi * s / 10)) / 2 for s in range(10)])


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
@pytest.mark.parametrize("warm_up", [0, 0.05, 0.5])
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 100])
def test_every_schedule_rises_once_and_falls(schedule: str, warm_up: float, steps: int) -> None:
    found = rates(replace(COSINE, schedule=schedule, warm_up=warm_up), steps)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)
    assert all(0 < rate <= 1 for rate in found)


def test_the_momentum_is_that_of_the_recipe() -> None:
    slow = optimizer_of(network(), replace(RECIPE, momentum=0.5))
    assert isinstance(slow, torch.optim.SGD)
    assert {(group["momentum"], group["nesterov"]) for group in slow.param_groups} == {(0.5, True)}
    plain = optimizer_of(network(), replace(RECIPE, momentum=0))
    assert {group["nesterov"] for group in plain.param_groups} == {False}
    adamw = optimizer_of(network(), replace(RECIPE, momentum=0.5, optimizer="adamw"))
    assert isinstance(adamw, torch.optim.AdamW)
    assert {group["betas"] for group in adamw.param_groups} == {(0.5, 0.999)}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_biases_and_normalizations_do_not_decay(optimizer: str) -> None:
    made = optimizer_of(network(), replace(RECIPE, optimizer=optimizer, weight_decay=0.3))
    found = {
        parameter.dim() > 1: group["weight_decay"]
        for group in made.param_groups
        for parameter in group["params"]
    }
    assert found == {True: 0.3, False: 0.0}


CHANGES: Mapping[str, dict[str, Any]] = {
    "optimizer": {"optimizer": "adamw"},
    "schedule": {"schedule": "cosine"},
    "clip": {"gradient_clip": 0.1},
    "smoothing": {"label_smoothing": 0.2},
    "momentum": {"momentum": 0.5},
    "decay": {"weight_decay": 0.1},
    "precision": {"precision": "bfloat16"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_each_knob_changes_the_result(changes: dict[str, Any]) -> None:
    assert not torch.equal(state(descended(RECIPE)), state(descended(replace(RECIPE, **changes))))


def test_a_clipped_step_is_no_longer_than_the_clip() -> None:
    plain = replace(RECIPE, momentum=0, weight_decay=0, learning_rate=1.0, schedule="cosine")
    plain = replace(plain, warm_up=0)
    before = torch.nn.utils.parameters_to_vector(network().parameters())
    for clip, wanted in ((0.01, pytest.approx(0.01, rel=1e-3)), (1e6, pytest.approx(1, abs=0.99))):
        model = descended(replace(plain, gradient_clip=clip), steps=1)
        after = torch.nn.utils.parameters_to_vector(model.parameters())
        length = float((after - before).norm().detach())
        assert length == wanted if clip < 1 else length > 0.02


def test_the_average_is_that_of_weights_and_running_statistics() -> None:
    recipe, steps = replace(RECIPE, ema=0.4), 5
    model = network()
    descent = Descent(model, recipe, 10)  # it looks back over 4 of 10 steps
    wanted: dict[str, Tensor] = {}
    for step in range(steps):
        descent.step(*batch(step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                before = wanted[name] if step else value.double()
                wanted[name] = 0.75 * before + 0.25 * value.double()
    found = descent.result.state_dict()
    assert {"0.weight", "1.running_mean", "1.running_var"} <= set(wanted)
    for name, value in wanted.items():
        assert torch.allclose(found[name].double(), value, rtol=1e-4, atol=1e-6), name
    assert not torch.equal(state(descent.result), state(model))
    descent.finish()
    assert torch.equal(state(descent.result), state(model))


def test_without_an_average_the_result_is_the_model() -> None:
    model = network()
    descent = Descent(model, RECIPE, 10)
    descent.step(*batch())
    before = state(model)
    assert descent.result is model
    descent.finish()
    assert torch.equal(state(model), before)


def test_labels_may_be_shares() -> None:
    images, labels = batch()
    shares = torch.nn.functional.one_hot(labels, 10).float()
    losses = [Descent(network(), RECIPE, 4).step(images, each) for each in (labels, shares)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own, inside
def test_a_compiled_model_descends_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def fake(model: nn.Module) -> nn.Module:
        compiled.append(model)
        return model

    monkeypatch.setattr(torch, "compile", fake)
    model = descended(RECIPE, compiled=True)
    assert compiled == [model]
    assert torch.equal(state(model), state(descended(RECIPE)))
