"""Training: it learns, the seed fixes it, divergence is told, the test set stays closed."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from syno.evaluate import data, training
from syno.evaluate.splits import DataSplits
from syno.evaluate.training import NotANumber, Recipe, accuracy_on, recipe_for, train
from syno.ir.errors import DataError, SynoError

RECIPE = Recipe(epochs=2, batch_size=64, learning_rate=0.2)


@pytest.fixture(scope="module")
def digits() -> DataSplits:
    return data.load("digits")


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10)
        )


def state(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


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


def test_the_momentum_is_that_of_the_recipe(digits: DataSplits) -> None:
    optimizer = training._optimizer(network(), replace(RECIPE, momentum=0.5))
    assert {group["momentum"] for group in optimizer.param_groups} == {0.5}
    first, second = network(), network()
    train(first, digits, replace(RECIPE, momentum=0.5), seed=0)
    train(second, digits, replace(RECIPE, momentum=0.9), seed=0)
    assert not torch.equal(state(first), state(second))


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": -1}, {"learning_rate": float("nan")}, {"batch_size": 0}]
)
def test_a_recipe_that_trains_nothing_is_refused(wrong: dict[str, float]) -> None:
    name = next(iter(wrong))
    with pytest.raises(SynoError, match=f"recipe's {name} has to be a number above 0"):
        Recipe(**{"epochs": 1, **wrong})  # type: ignore[arg-type]


def test_every_data_set_has_a_recipe() -> None:
    assert all(recipe_for(name).epochs > 0 for name in data.DATA_SETS)
    with pytest.raises(DataError, match="no recipe for a data set called 'mnist'"):
        recipe_for("mnist")


def test_normalized_images_have_mean_0_and_deviation_1(digits: DataSplits) -> None:
    found = training.normalized(digits.train.images, digits)
    assert abs(float(found.mean())) < 1e-4 and abs(float(found.std()) - 1) < 1e-3
    assert found.is_contiguous(memory_format=torch.channels_last)


class TestAugmentation:
    images = torch.randint(1, 256, (64, 3, 8, 8), dtype=torch.uint8)

    def augmented(self, pad: int, seed: int = 0) -> Tensor:
        return training._augmented(self.images, pad, torch.Generator().manual_seed(seed))

    def test_without_crop_images_are_flipped_or_not(self) -> None:
        found = self.augmented(0)
        same = (found == self.images).flatten(1).all(1)
        flipped = (found == self.images.flip(3)).flatten(1).all(1)
        assert bool((same ^ flipped).all())
        assert 16 < int(flipped.sum()) < 48

    def test_a_crop_moves_each_image_on_its_own(self) -> None:
        found, still = self.augmented(2), self.augmented(0)
        assert found.shape == self.images.shape and found.dtype == torch.uint8
        moves = {self.move_of(a, b) for a, b in zip(found, still, strict=True)}
        assert len(moves) > 15
        assert moves <= {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}

    @staticmethod
    def move_of(moved: Tensor, still: Tensor) -> tuple[int, int]:
        padded = nn.functional.pad(still, (2, 2, 2, 2))
        for dy in range(5):
            for dx in range(5):
                if torch.equal(padded[:, dy : dy + 8, dx : dx + 8], moved):
                    return dy - 2, dx - 2
        raise AssertionError("the image is not a moved one")

    def test_the_generator_fixes_it(self) -> None:
        assert torch.equal(self.augmented(2, 7), self.augmented(2, 7))
        assert not torch.equal(self.augmented(2, 7), self.augmented(2, 8))


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
    with pytest.raises(SynoError, match="float16"):
        replace(RECIPE, precision="float16")
