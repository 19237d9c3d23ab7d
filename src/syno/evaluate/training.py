"""Training: one recipe, one seed, one result; the test set is never touched here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from syno.evaluate.splits import DataSplits, Split
from syno.ir.errors import SynoError


class NotANumber(SynoError):
    """The loss became infinite or not a number."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum, a one-cycle schedule, smoothed labels.

    `epochs` may be a fraction; `warm_up` is the share of steps with a rising rate (Smith, Topin 2018).
    """

    epochs: float
    batch_size: int = 128
    learning_rate: float = 0.4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warm_up: float = 0.25
    label_smoothing: float = 0.1


RECIPES: Mapping[str, Recipe] = {
    "digits": Recipe(epochs=4, batch_size=64, learning_rate=0.1, label_smoothing=0.0),
    "cifar10": Recipe(epochs=1.5),
}


@dataclass(frozen=True)
class TrainResult:
    """What a training reached: validation accuracy in [0, 1] after the last step, and its price."""

    validation_accuracy: float
    train_loss: float
    seconds: float
    steps: int


Progress = Callable[[int, int], None]


def recipe_for(data: str) -> Recipe:
    """Return the short recipe of a search on `data`."""
    return RECIPES[data]


def train(
    model: nn.Module,
    data: DataSplits,
    recipe: Recipe,
    *,
    seed: int,
    on_progress: Progress = lambda _step, _steps: None,
) -> TrainResult:
    """Train `model` in place and return its result on the validation set.

    The seed fixes the order of the images and the augmentation. Raises NotANumber when it diverges.
    """
    start = time.monotonic()
    model.train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    per_epoch = len(data.train) // recipe.batch_size
    steps = max(1, round(recipe.epochs * per_epoch))
    optimizer = _optimizer(model, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=steps + 1, pct_start=recipe.warm_up
    )
    generator = torch.Generator().manual_seed(seed)
    batches = _batches(data, recipe.batch_size, generator)
    loss_value = math.nan
    for step in range(steps):
        images, labels = next(batches)
        loss = F.cross_entropy(model(images), labels, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        loss_value = float(loss.detach())
        if not math.isfinite(loss_value):
            raise NotANumber(f"The training loss became {loss_value} at step {step + 1} of {steps}.")
        on_progress(step + 1, steps)
    accuracy = accuracy_on(model, data.validation, data)
    return TrainResult(accuracy, loss_value, time.monotonic() - start, steps)


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


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return SGD; weights decay, biases and normalization parameters do not."""
    weights = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    rate, momentum = recipe.learning_rate / 25, recipe.momentum
    return torch.optim.SGD(groups, rate, momentum, nesterov=True)


def _batches(
    data: DataSplits, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches for ever, each epoch in a new order."""
    while True:
        order = torch.randperm(len(data.train), generator=generator)
        for first in range(0, len(order) - size + 1, size):
            chosen = order[first : first + size]
            images = data.train.images[chosen]
            if data.augment:
                images = _augmented(images, generator)
            yield normalized(images, data), data.train.labels[chosen]


def _augmented(images: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """Return images flipped and cropped at random, one crop offset for each quarter of the batch.

    The usual recipe draws an offset for each image; drawing few keeps the crop a view, which is much
    cheaper on a CPU, and varies as much over an epoch.
    """
    flip = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    padded = F.pad(images, (pad, pad, pad, pad))
    height, width = images.shape[2:]
    parts = []
    for part in padded.chunk(4):
        dy, dx = torch.randint(0, 2 * pad + 1, (2,), generator=generator).tolist()
        parts.append(part[:, :, dy : dy + height, dx : dx + width])
    return torch.cat(parts)
