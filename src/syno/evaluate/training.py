"""Training: one recipe, one seed, one result; the test set is never touched here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from syno.evaluate.splits import DataSplits, Split
from syno.ir.errors import DataError, SynoError

_HISTORY = 20
_TEMPERATURE = 2.0
PRECISIONS = ("float32", "bfloat16")


class NotANumber(SynoError):
    """The loss became infinite or not a number."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum and a one-cycle schedule.

    `epochs` may be a fraction. The rate rises during the share `warm_up` of the steps, then falls
    along a cosine to nearly 0 (Smith, Topin 2018). Where the data set allows it, images are flipped
    at random, and moved by up to `crop` pixels. Raises SynoError for numbers that train nothing.

    `precision` bfloat16 computes under autocast: weights and their sums stay float32. The share
    `distillation` of the loss is the divergence from a teacher's scores at temperature 2 (Hinton,
    Vinyals, Dean 2015), the rest that from the labels.
    """

    epochs: float
    batch_size: int = 32
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warm_up: float = 0.25
    label_smoothing: float = 0.0
    crop: int = 0
    precision: str = "float32"
    distillation: float = 0.0

    def __post_init__(self) -> None:
        positive = {"epochs": self.epochs, "batch_size": self.batch_size}
        positive["learning_rate"] = self.learning_rate
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise SynoError(f"A recipe's {name} has to be a number above 0; it is {value}.")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise SynoError(f"A recipe's precision is one of {known}, not {self.precision!r}.")

    def steps(self, images: int) -> int:
        """Return the number of steps over a training set of `images`, at least 1."""
        return max(1, round(self.epochs * max(1, images // self.batch_size)))


# For a budget of one or two epochs: small batches (many steps) and flips alone beat the recipe of
# long trainings (batch 128, rate 0.4, crops, smoothed labels) by 25 points after half an epoch.
RECIPES: Mapping[str, Recipe] = {
    "digits": Recipe(epochs=8, batch_size=64, learning_rate=0.1),
    "cifar10": Recipe(epochs=1),
}


@dataclass(frozen=True)
class TrainResult:
    """What a training reached: validation accuracy in [0, 1] after the last step, and its price.

    `history` is the mean training loss of each twentieth part of the steps; `train_loss` its last.
    """

    validation_accuracy: float
    train_loss: float
    seconds: float
    steps: int
    history: tuple[float, ...] = ()


Progress = Callable[[int, int], None]


def recipe_for(data: str) -> Recipe:
    """Return the short recipe of a search on `data`; DataError for an unknown name."""
    if data not in RECIPES:
        known = ", ".join(sorted(RECIPES))
        raise DataError(f"There is no recipe for a data set called {data!r}; known are: {known}.")
    return RECIPES[data]


def train(
    model: nn.Module,
    data: DataSplits,
    recipe: Recipe,
    *,
    seed: int,
    teacher: nn.Module | None = None,
    on_progress: Progress = lambda _step, _steps: None,
) -> TrainResult:
    """Train `model` in place and return its result on the validation set.

    The seed fixes the order of the images and the augmentation; `teacher` is what a recipe with
    `distillation` learns from. Raises NotANumber when it diverges, SynoError without the teacher.
    """
    if recipe.distillation > 0 and teacher is None:
        raise SynoError("A recipe with distillation needs a teacher: give a trained network.")
    start = time.monotonic()
    model.train()
    _channels_last(model)
    steps = recipe.steps(len(data.train))
    descend = _descent(model, recipe, steps, teacher)
    batches = _batches(data, recipe, torch.Generator().manual_seed(seed))
    losses: list[float] = []
    for images, labels in islice(batches, steps):
        losses.append(descend(images, labels))
        if not math.isfinite(losses[-1]):
            raise NotANumber(
                f"The training loss became {losses[-1]} at step {len(losses)} of {steps}."
            )
        on_progress(len(losses), steps)
    accuracy = accuracy_on(model, data.validation, data)
    history = _means(losses)
    return TrainResult(accuracy, history[-1], time.monotonic() - start, steps, history)


def accuracy_on(model: nn.Module, split: Split, data: DataSplits, batch_size: int = 500) -> float:
    """Return the share of `split` that `model` classifies correctly; NotANumber for such output."""
    model.eval()
    correct = 0
    with torch.inference_mode():
        for first in range(0, len(split), batch_size):
            images = normalized(split.images[first : first + batch_size], data)
            scores = model(images)
            if not bool(torch.isfinite(scores).all()):
                raise NotANumber("The trained network returns infinite or undefined scores.")
            correct += int((scores.argmax(1) == split.labels[first : first + batch_size]).sum())
    return correct / len(split)


def normalized(images: Tensor, data: DataSplits) -> Tensor:
    """Return images as float32 with mean 0 and deviation 1 for each channel, channels last."""
    found = images.float() / 255 if images.dtype == torch.uint8 else images
    mean = torch.tensor(data.mean).reshape(-1, 1, 1)
    std = torch.tensor(data.std).reshape(-1, 1, 1)
    return ((found - mean) / std).contiguous(memory_format=torch.channels_last)


def _channels_last(model: nn.Module) -> None:
    """Lay out images and kernels with the channels last: a third faster on a CPU.

    `Module.to` would do it, but refuses a model with a weight of five dimensions.
    """
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _descent(
    model: nn.Module, recipe: Recipe, steps: int, teacher: nn.Module | None
) -> Callable[[Tensor, Tensor], float]:
    """Return one step of the descent: it takes a batch, changes the model and returns the loss."""
    optimizer = _optimizer(model, recipe)
    total = steps + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.learning_rate,
        total_steps=total,
        pct_start=max(recipe.warm_up, 2 / total),  # torch divides by 0 where warm-up takes one step
        cycle_momentum=False,
    )

    def descend(images: Tensor, labels: Tensor) -> float:
        with autocast(recipe.precision):
            scores = model(images)
        loss = _loss(scores.float(), images, labels, recipe, teacher)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.detach())

    return descend


def autocast(precision: str) -> torch.autocast:
    """Return the context in which a forward computes in `precision`."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")


def _loss(
    scores: Tensor, images: Tensor, labels: Tensor, recipe: Recipe, teacher: nn.Module | None
) -> Tensor:
    """Return the mean loss of a batch."""
    loss = F.cross_entropy(scores, labels, label_smoothing=recipe.label_smoothing)
    if teacher is None or recipe.distillation == 0:
        return loss
    teacher.eval()
    with torch.inference_mode(), autocast(recipe.precision):
        wanted = F.log_softmax(teacher(images).float() / _TEMPERATURE, dim=1)
    found = F.log_softmax(scores / _TEMPERATURE, dim=1)
    apart = F.kl_div(found, wanted.clone(), reduction="batchmean", log_target=True)
    return (1 - recipe.distillation) * loss + recipe.distillation * _TEMPERATURE**2 * apart


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return SGD; weights decay, biases and normalization parameters do not."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum, nesterov=True)


def _means(losses: list[float]) -> tuple[float, ...]:
    """Return the means of up to 20 equal parts of the losses."""
    parts = min(_HISTORY, len(losses))
    edges = [round(len(losses) * part / parts) for part in range(parts + 1)]
    return tuple(fmean(losses[first:last]) for first, last in pairwise(edges))


def _batches(
    data: DataSplits, recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches for ever, each epoch in a new order; a set smaller than a batch is one."""
    size = min(recipe.batch_size, len(data.train))
    while True:
        order = torch.randperm(len(data.train), generator=generator)
        for first in range(0, len(order) - size + 1, size):
            chosen = order[first : first + size]
            images = data.train.images[chosen]
            if data.augment:
                images = _augmented(images, recipe.crop, generator)
            yield normalized(images, data), data.train.labels[chosen]


def _augmented(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """Return images, each flipped with chance 1/2 and moved by up to `pad` pixels, 0 outside."""
    flip = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    if pad == 0:
        return images
    (count, _, height, width), padded = images.shape, F.pad(images, (pad, pad, pad, pad))
    offsets = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator)
    rows, columns = offsets[0] + torch.arange(height), offsets[1] + torch.arange(width)
    which = torch.arange(count)[:, None, None]
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
