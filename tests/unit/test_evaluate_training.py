"""Training: it learns, the seed fixes it, divergence is told, the test set stays closed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import optuna
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from trainings import RECIPE, network, state

from syno.evaluate import data
from syno.evaluate.recipes import Recipe
from syno.evaluate.splits import DataSplits
from syno.evaluate.training import (
    Diverged,
    Execution,
    NotANumber,
    accuracy_on,
    check_loss,
    train,
)
from syno.ir.errors import SynoError


@pytest.fixture(scope="module")
def digits() -> DataSplits:
    return data.load("digits")


def test_the_loss_falls_and_the_network_learns(digits: DataSplits) -> None:
    result = train(network(), digits, RECIPE, seed=0)
    assert result.history[-1] < 0.5 * result.history[0]
    assert result.validation_accuracy > 0.8
    assert result.train_loss == result.history[-1]
    assert result.steps == 32 and len(result.history) == 20


def test_the_seed_fixes_the_result(digits: DataSplits) -> None:
    models = [network() for _ in range(3)]
    seeds = (1, 1, 2)
    results = [train(m, digits, RECIPE, seed=s) for m, s in zip(models, seeds, strict=True)]
    assert torch.equal(state(models[0]), state(models[1]))
    assert results[0].history == results[1].history
    assert not torch.equal(state(models[0]), state(models[2]))


def test_the_result_does_not_depend_on_the_global_generator(digits: DataSplits) -> None:
    first, second = network(), network()
    train(first, digits, RECIPE, seed=0)
    torch.rand(3)
    train(second, digits, RECIPE, seed=0)
    assert torch.equal(state(first), state(second))


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 8), (1, 16), (0.001, 1), (1.26, 20)])
def test_epochs_may_be_fractions(digits: DataSplits, epochs: float, steps: int) -> None:
    seen: list[tuple[int, int]] = []
    recipe = replace(RECIPE, epochs=epochs)
    train(network(), digits, recipe, seed=0, on_progress=lambda *at: seen.append(at))
    assert seen == [(step, steps) for step in range(1, steps + 1)]


@pytest.mark.parametrize("steps", range(1, 9))
def test_any_number_of_steps_has_a_schedule(digits: DataSplits, steps: int) -> None:
    assert train(network(), digits, replace(RECIPE, epochs=steps / 16), seed=0).steps == steps


def test_weights_of_any_dimension_train(digits: DataSplits) -> None:
    class Five(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(10, 1, 8, 8, 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("ncij,ocijk->no", x, self.weight)

    model = Five()
    result = train(model, digits, RECIPE, seed=0)
    assert result.validation_accuracy > 0.5


def test_kernels_are_laid_out_with_channels_last(digits: DataSplits) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 16, 10)
    )
    train(model, digits, replace(RECIPE, epochs=0.1), seed=0)
    kernel = model[1].weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert not kernel.is_contiguous()


def test_a_set_smaller_than_a_batch_is_one_batch(digits: DataSplits) -> None:
    recipe = replace(RECIPE, batch_size=5000)
    assert train(network(), digits, recipe, seed=0).steps == 2


def test_divergence_is_told(digits: DataSplits) -> None:
    class Exploding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = network(), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            scores: Tensor = self.inner(x)
            return scores / (self.calls < 4)

    with pytest.raises(NotANumber, match=r"became (nan|inf) at step 4 of 32"):
        train(Exploding(), digits, RECIPE, seed=0)


def test_undefined_scores_are_told(digits: DataSplits) -> None:
    class Undefined(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(len(x), -1)[:, :10] * float("nan")

    with pytest.raises(NotANumber, match="infinite or undefined"):
        accuracy_on(Undefined(), digits.validation, digits)


def test_training_reads_no_test_image(digits: DataSplits) -> None:
    before = list(digits.test_reads)
    train(network(), digits, RECIPE, seed=0)
    assert digits.test_reads == before


def test_accuracy_counts_what_is_right(digits: DataSplits) -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(10)[3].expand(len(x), 10)

    wanted = float((digits.validation.labels == 3).float().mean())
    assert accuracy_on(Always(), digits.validation, digits) == pytest.approx(wanted, abs=1e-6)


def test_accuracy_leaves_the_model(digits: DataSplits) -> None:
    model = network()
    norm = model.get_submodule("1")
    before = norm.get_buffer("running_mean").clone()
    accuracy_on(model, digits.validation, digits)
    assert torch.equal(norm.get_buffer("running_mean"), before)


def test_a_student_comes_nearer_to_its_teacher_by_distillation_alone(digits: DataSplits) -> None:
    shifted = replace(digits, train=replace(digits.train, labels=(digits.train.labels + 1) % 10))
    teacher = network(1)
    train(teacher, digits, RECIPE, seed=0)
    student = network(2)
    recipe = replace(RECIPE, distillation=1.0)
    result = train(student, shifted, recipe, seed=1, teacher=teacher)  # its labels are all wrong
    assert result.validation_accuracy > 0.8


def test_distillation_needs_a_teacher(digits: DataSplits) -> None:
    with pytest.raises(SynoError, match="teacher"):
        train(network(), digits, replace(RECIPE, distillation=0.5), seed=0)


def test_half_precision_learns_and_leaves_weights_in_single(digits: DataSplits) -> None:
    model = network()
    result = train(model, digits, replace(RECIPE, precision="bfloat16"), seed=0)
    assert result.validation_accuracy > 0.8
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def plain_loop(model: nn.Module, data: DataSplits, recipe: Recipe, seed: int) -> float:
    """What the default recipe does, written out: the figures of all searches stand on it."""
    generator = torch.Generator().manual_seed(seed)
    size, steps = recipe.batch_size, recipe.steps(len(data.train))
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 5e-4},
        {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, recipe.learning_rate, 0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, steps + 1, pct_start=0.25, cycle_momentum=False
    )
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            order = torch.randperm(len(data.train), generator=generator)
            for first in range(0, len(order) - size + 1, size):
                chosen = order[first : first + size]
                images, labels = data.train.images[chosen], data.train.labels[chosen]
                if data.augment:
                    flip = torch.rand(size, generator=generator) < 0.5
                    images = torch.where(flip[:, None, None, None], images.flip(3), images)
                images = (images - torch.tensor(data.mean)) / torch.tensor(data.std)
                yield images.contiguous(memory_format=torch.channels_last), labels

    for images, labels in islice(batches(), steps):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float(loss.detach())


@pytest.mark.parametrize("augment", [False, True])
def test_the_default_recipe_trains_as_it_always_did(digits: DataSplits, augment: bool) -> None:
    found, wanted = network(), network()
    data = replace(digits, augment=augment)
    recipe = Recipe(epochs=1.5, batch_size=64, learning_rate=0.1)
    train(found, data, recipe, seed=4)
    plain_loop(wanted, data, recipe, 4)
    assert torch.equal(state(found), state(wanted))


def test_dropout_is_drawn_from_the_seed(digits: DataSplits) -> None:
    models = [network(dropout=0.3) for _ in range(3)]
    before = torch.get_rng_state()
    for model, seed in zip(models, (1, 1, 2), strict=True):
        train(model, digits, replace(RECIPE, epochs=0.2), seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)
        before = torch.get_rng_state()
    assert torch.equal(state(models[0]), state(models[1]))
    assert not torch.equal(state(models[0]), state(models[2]))


class TestLoss:
    """The rule that stops a training, on losses as they come."""

    @staticmethod
    def stopped(losses: list[float]) -> int | None:
        """The step at which the training ends."""
        for step in range(1, len(losses) + 1):
            try:
                check_loss(losses[:step], len(losses), classes=10)
            except Diverged:
                return step
        return None

    def test_a_loss_that_stays_high_is_told(self) -> None:
        assert self.stopped([2.3] * 30 + [9.0] * 60) == 80
        with pytest.raises(Diverged, match=r"step 80 of 500.* 9 or more for 50 steps.* 2\.3"):
            check_loss([2.3] * 30 + [9.0] * 50, 500, classes=10)

    def test_a_loss_that_explodes_from_the_start_is_told(self) -> None:
        assert self.stopped([2.3, 2.4, 5, *[8.0 + step for step in range(100)]]) == 53

    def test_a_spike_that_heals_is_no_reason(self) -> None:
        assert self.stopped(([2.3] * 20 + [1e6] * 49) * 3 + [0.5] * 20) is None

    def test_a_loss_that_does_not_fall_is_no_reason(self) -> None:
        assert self.stopped([2.3] * 200) is None

    def test_a_loss_that_rises_from_almost_0_to_guessing_is_no_reason(self) -> None:
        assert self.stopped([0.01] * 30 + [2.5] * 200) is None

    def test_a_loss_that_begins_high_is_compared_with_itself(self) -> None:
        assert self.stopped([40.0] * 10 + [100.0] * 100) is None
        assert self.stopped([40.0] * 10 + [130.0] * 100) == 60


def test_a_training_that_diverges_is_stopped(digits: DataSplits) -> None:
    """Without normalization, at a thousand times the rate, the loss stays finite and high."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    recipe = Recipe(epochs=6, batch_size=64, learning_rate=100)
    with pytest.raises(Diverged, match=r"at step \d+ of 96"):
        train(model, digits, recipe, seed=0)


@pytest.mark.parametrize("rate", [1e-6, 3.0])
def test_slow_and_rough_trainings_are_not_stopped(digits: DataSplits, rate: float) -> None:
    recipe = replace(RECIPE, epochs=6, learning_rate=rate)
    result = train(network(), digits, recipe, seed=0)
    assert result.steps == 96 and math.isfinite(result.train_loss)


def test_epochs_are_told_and_change_nothing(digits: DataSplits) -> None:
    told: list[tuple[int, float]] = []
    watched, alone = network(), network()
    recipe = replace(RECIPE, epochs=2.5)
    execution = Execution(on_epoch=lambda *at: told.append(at))
    result = train(watched, digits, recipe, seed=0, execution=execution)
    assert [epoch for epoch, _ in told] == [1, 2]
    assert result.validation_history == tuple(accuracy for _, accuracy in told)
    quiet = train(alone, digits, recipe, seed=0)
    assert quiet.validation_history == ()
    assert torch.equal(state(watched), state(alone))


def test_the_result_is_that_of_the_last_epoch_not_of_the_best(digits: DataSplits) -> None:
    """The last epoch is spoilt on purpose."""
    model = network()

    def spoil(epoch: int, _accuracy: float) -> None:
        if epoch == 2:
            with torch.no_grad():
                model[-1].weight.mul_(-1)  # type: ignore[operator, union-attr]

    recipe = replace(RECIPE, epochs=2 + 1 / 16, learning_rate=0.05)
    result = train(model, digits, recipe, seed=0, execution=Execution(on_epoch=spoil))
    assert result.validation_history[-1] > 0.8
    assert result.validation_accuracy < 0.3
    assert result.validation_accuracy == accuracy_on(model, digits.validation, digits)


def test_with_an_average_epochs_are_judged_by_it_and_it_is_the_result(digits: DataSplits) -> None:
    raw, averaged = network(), network()
    recipe = replace(RECIPE, epochs=1, ema=0.5)
    execution = Execution(on_epoch=lambda *_: None)
    result = train(averaged, digits, recipe, seed=0, execution=execution)
    train(raw, digits, replace(recipe, ema=0), seed=0)
    assert not torch.equal(state(raw), state(averaged))
    assert result.validation_history == (result.validation_accuracy,)
    assert result.validation_accuracy == accuracy_on(averaged, digits.validation, digits)


def test_a_pruner_stops_a_training_by_raising(digits: DataSplits) -> None:
    """Optuna prunes whatever stays under 101 %: the second epoch is never trained."""
    steps: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        def on_epoch(epoch: int, accuracy: float) -> None:
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        model = network()
        return train(
            model,
            digits,
            RECIPE,
            seed=0,
            on_progress=lambda step, _: steps.append(step),
            execution=Execution(on_epoch=on_epoch),
        ).validation_accuracy

    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(lower=1.01))
    study.optimize(objective, n_trials=1)
    assert study.trials[0].state == optuna.trial.TrialState.PRUNED
    assert list(study.trials[0].intermediate_values) == [1] and steps[-1] == 16


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "", "cpu0"])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(SynoError, match="A device is cpu, cuda or cuda:1, not"):
        Execution(device)


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(SynoError, match="no device 'cuda:99' here"):
        Execution("cuda:99")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_as_well(digits: DataSplits) -> None:
    model = network()
    recipe = replace(RECIPE, precision="bfloat16", ema=0.1, augmentation=("crop", "mixup"))
    result = train(model, digits, recipe, seed=0, execution=Execution("cuda"))
    assert result.validation_accuracy > 0.8 and next(model.parameters()).is_cuda
