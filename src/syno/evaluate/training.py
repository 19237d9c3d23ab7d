"""Training: one recipe, one seed, one result; the test set is never touched here."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

import torch
from torch import nn

from syno.evaluate.batches import Batches, normalized
from syno.evaluate.checkpoint import Checkpoint, Keeper, digest_of_data, digest_of_model
from syno.evaluate.descent import Descent
from syno.evaluate.recipes import Recipe
from syno.evaluate.splits import DataSplits, Split
from syno.ir.errors import SynoError

_HISTORY = 20
_PATIENCE, _FAR = 50, 3.0  # see check_loss


class NotANumber(SynoError):
    """The loss became infinite or not a number."""


class Diverged(SynoError):
    """The loss rose far above that of guessing, and stayed there."""


@dataclass(frozen=True)
class TrainResult:
    """What a training reached: validation accuracy in [0, 1] after the last step, and its price.

    `history` is the mean training loss of each twentieth part of the steps; `train_loss` its last.
    `validation_history` is the validation accuracy after each epoch, where somebody asked for it.
    `seconds` counts those before an interruption as well.
    """

    validation_accuracy: float
    train_loss: float
    seconds: float
    steps: int
    history: tuple[float, ...] = ()
    validation_history: tuple[float, ...] = ()


Progress = Callable[[int, int], None]
OnEpoch = Callable[[int, float], None]


@dataclass(frozen=True)
class Execution:
    """Where a training runs, and who looks on.

    `device` is cpu, cuda or cuda:1; `compiled` trains what torch.compile makes of the model.
    `on_epoch` is told each finished epoch, from 1, and the validation accuracy then; it changes
    nothing. To stop the training it raises: what it raises comes out of `train`.

    Raises SynoError for a device that is not here.
    """

    device: str = "cpu"
    compiled: bool = False
    on_epoch: OnEpoch | None = None

    def __post_init__(self) -> None:
        name, _, number = self.device.partition(":")
        if name not in {"cpu", "cuda"} or (number and not number.isdigit()):
            raise SynoError(f"A device is cpu, cuda or cuda:1, not {self.device!r}.")
        if name == "cuda" and int(number or 0) >= torch.cuda.device_count():
            raise SynoError(f"There is no device {self.device!r} here that torch can use. Use cpu.")


_ON_CPU = Execution()


def train(
    model: nn.Module,
    data: DataSplits,
    recipe: Recipe,
    *,
    seed: int,
    teacher: nn.Module | None = None,
    on_progress: Progress = lambda _step, _steps: None,
    checkpoint: Checkpoint | None = None,
    execution: Execution = _ON_CPU,
) -> TrainResult:
    """Train `model` in place and return its result on the validation set.

    The seed fixes the order of the images, the augmentation and dropout; `teacher` is what a recipe
    with `distillation` learns from. The result is that of the last step, never of the best. Model
    and teacher are left on the device.

    With a checkpoint, a training that was killed at any moment goes on from where the file was
    written last, given the same model, freshly built; on a CPU its result is the same, bit for
    bit. `on_progress` is called after each step with its number and the number of all; what it
    raises ends the training.

    Raises NotANumber or Diverged (see `check_loss`), SynoError without the teacher,
    CheckpointError for the checkpoint of another training.
    """
    if recipe.distillation > 0 and teacher is None:
        raise SynoError("A recipe with distillation needs a teacher: give a trained network.")
    keeper = state = None
    if checkpoint is not None:
        identity = _identity(model, data, recipe, seed, teacher, execution)
        keeper = Keeper(checkpoint, identity)
        state = keeper.read()
    device = torch.device(execution.device)
    with _own_random_numbers(seed, device):
        run = _Run(model, data, recipe, seed, teacher, execution)
        if state is not None:
            run.load_state_dict(state)
        while run.step < run.steps:
            run.advance()
            on_progress(run.step, run.steps)
            run.look(execution.on_epoch)
            if keeper is not None:
                keeper.offer(run.step, run.step == run.steps, run.state_dict)
    return run.result()


class _Run:
    """A training under way: all that changes from step to step."""

    def __init__(
        self,
        model: nn.Module,
        data: DataSplits,
        recipe: Recipe,
        seed: int,
        teacher: nn.Module | None,
        execution: Execution,
    ) -> None:
        self._start, self._before = time.monotonic(), 0.0
        self._model, self._data = model, data
        self._device = torch.device(execution.device)
        if teacher is not None:
            teacher.to(self._device)
        _channels_last(model.to(self._device).train())
        self.steps = recipe.steps(len(data.train))
        self._epoch = recipe.steps_per_epoch(len(data.train))
        self._descent = Descent(
            model, recipe, self.steps, teacher=teacher, compiled=execution.compiled
        )
        self._batches = Batches(data, recipe, seed, self._device)
        self._losses: list[float] = []
        self._accuracies: list[float] = []

    @property
    def step(self) -> int:
        """The number of steps that are done."""
        return len(self._losses)

    def advance(self) -> None:
        """Make one step; raises NotANumber or Diverged."""
        self._losses.append(self._descent.step(*self._batches.draw()))
        check_loss(self._losses, self.steps, self._data.classes)

    def look(self, on_epoch: OnEpoch | None) -> None:
        """Tell the validation accuracy, if an epoch has just ended and somebody asks."""
        if on_epoch is None or self.step % self._epoch:
            return
        self._accuracies.append(
            accuracy_on(self._descent.result, self._data.validation, self._data)
        )
        self._model.train()
        on_epoch(self.step // self._epoch, self._accuracies[-1])

    def result(self) -> TrainResult:
        """Leave the trained weights in the model and return what they are worth."""
        self._descent.finish()
        accuracy = accuracy_on(self._model, self._data.validation, self._data)
        history, seen = _means(self._losses), tuple(self._accuracies)
        return TrainResult(accuracy, history[-1], self._seconds(), self.step, history, seen)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        cuda = self._device.type == "cuda"
        return {
            "step": self.step,
            "losses": self._losses,
            "accuracies": self._accuracies,
            "seconds": self._seconds(),
            "descent": self._descent.state_dict(),
            "batches": self._batches.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self._device) if cuda else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from where `state_dict` was taken."""
        self._losses, self._accuracies = list(state["losses"]), list(state["accuracies"])
        self._before = state["seconds"]
        self._descent.load_state_dict(state["descent"])
        self._batches.load_state_dict(state["batches"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self._device)

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._start


def check_loss(losses: list[float], steps: int, classes: int) -> None:
    """Raise NotANumber for a last loss that is not finite, Diverged for a training that is lost.

    It is lost when each of the last 50 losses is over 3 times what the training began with: its
    first loss, or that of guessing, log(classes), where that is more. A spike that heals is no
    reason, nor is a loss that does not fall.
    """
    if not math.isfinite(losses[-1]):
        raise NotANumber(f"The training loss became {losses[-1]} at step {len(losses)} of {steps}.")
    if len(losses) <= _PATIENCE:
        return
    begin = max(losses[0], math.log(classes))
    if (lowest := min(losses[-_PATIENCE:])) > _FAR * begin:
        raise Diverged(
            f"The training diverged: at step {len(losses)} of {steps}, the loss has been at "
            f"{lowest:.3g} or more for {_PATIENCE} steps; it began with {begin:.3g}."
        )


def accuracy_on(model: nn.Module, split: Split, data: DataSplits, batch_size: int = 500) -> float:
    """Return the share of `split` that `model` classifies correctly; NotANumber for such output."""
    model.eval()
    correct, device = 0, _device_of(model)
    with torch.inference_mode():
        for first in range(0, len(split), batch_size):
            images = split.images[first : first + batch_size].to(device)
            labels = split.labels[first : first + batch_size].to(device)
            scores = model(normalized(images, data))
            if not bool(torch.isfinite(scores).all()):
                raise NotANumber("The trained network returns infinite or undefined scores.")
            correct += int((scores.argmax(1) == labels).sum())
    return correct / len(split)


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _channels_last(model: nn.Module) -> None:
    """Lay out images and kernels with the channels last: a third faster on a CPU.

    `Module.to` would do it, but refuses a model with a weight of five dimensions.
    """
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def _own_random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Draw dropout from the seed, and leave torch's global generators as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _identity(
    model: nn.Module,
    data: DataSplits,
    recipe: Recipe,
    seed: int,
    teacher: nn.Module | None,
    execution: Execution,
) -> dict[str, str]:
    """Return all that the result of a training depends on."""
    return {
        **{f"recipe's {name}": str(value) for name, value in recipe.to_dict().items()},
        "seed": str(seed),
        "data set": f"{data.name} ({digest_of_data(data)})",
        "model": f"{type(model).__name__} ({_short_digest(repr(model))})",
        "weights at the start": digest_of_model(model),
        "teacher": "none" if teacher is None else digest_of_model(teacher),
        "device": torch.device(execution.device).type,
        "compilation": "on" if execution.compiled else "off",
    }


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _means(losses: list[float]) -> tuple[float, ...]:
    """Return the means of up to 20 equal parts of the losses."""
    parts = min(_HISTORY, len(losses))
    edges = [round(len(losses) * part / parts) for part in range(parts + 1)]
    return tuple(fmean(losses[first:last]) for first, last in pairwise(edges))
