"""Small trainings on digits, here and in processes that are killed: importable by their name."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from syno.evaluate.checkpoint import Checkpoint
from syno.evaluate.data import load
from syno.evaluate.recipes import Recipe
from syno.evaluate.training import Execution, train
from syno.ir import files

RECIPE = Recipe(epochs=2, batch_size=64, learning_rate=0.2)

# Everything that has a state: two schedules in one, second moments, an average, random numbers of
# every kind.
RICH = Recipe(
    epochs=0.75,
    batch_size=64,
    learning_rate=0.01,
    warm_up=0.2,
    crop=1,
    optimizer="adamw",
    schedule="cosine",
    gradient_clip=1.0,
    augmentation=("crop", "trivial-augment", "erasing", "mixup", "cutmix"),
    ema=0.3,
)


def network(seed: int = 0, dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


def state(model: nn.Module) -> Tensor:
    """All numbers of a model, running statistics as well."""
    return torch.cat([each.detach().double().reshape(-1) for each in model.state_dict().values()])


@dataclass(frozen=True)
class End:
    """How a training ended, to the last bit, and at which steps it was seen."""

    weights: bytes
    accuracy: float
    history: tuple[float, ...]
    validation_history: tuple[float, ...]
    steps: tuple[int, ...]


def training(checkpoint: Checkpoint | None, on_step: Callable[[int], None]) -> End:
    """Train by RICH, with dropout, looking at the validation set after each epoch."""
    model, steps = network(dropout=0.2), []

    def on_progress(step: int, _steps: int) -> None:
        steps.append(step)
        on_step(step)

    execution = Execution(on_epoch=lambda _epoch, _accuracy: None)
    options: dict[str, Any] = {"checkpoint": checkpoint, "execution": execution}
    found = train(model, load("digits"), RICH, seed=3, on_progress=on_progress, **options)
    weights = state(model).numpy().tobytes()
    seen = found.validation_history
    return End(weights, found.validation_accuracy, found.history, seen, tuple(steps))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_step(step: int) -> Callable[[int], None]:
    """A training that kills itself after a step, before that is written."""
    return partial(_die_at, step)


def _die_at(wanted: int, step: int) -> None:
    if step == wanted:
        die()


def in_write(step: int) -> Callable[[int], None]:
    """A training that kills itself when half of the checkpoint of a step is on the disk."""
    return partial(_die_in_write, step)


def _die_in_write(wanted: int, step: int) -> None:
    def half(descriptor: int) -> None:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        die()

    if step == wanted:
        files.os.fsync = half  # type: ignore[attr-defined]


def in_process(file: Path, on_step: Callable[[int], None] | None, kill_at: int = 0) -> End | None:
    """Train in a process of its own, written at each step; None if it was killed.

    `kill_at` kills it from outside as soon as it tells of that step, whatever it does by then.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["syno.evaluate.training", "sklearn.datasets"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(file, on_step, theirs))
    process.start()
    theirs.close()
    end = None
    try:
        while not isinstance(end, End):
            if (end := ours.recv()) == kill_at and process.pid:
                os.kill(process.pid, signal.SIGKILL)
    except EOFError:
        end = None
    process.join()
    assert process.exitcode == (0 if end else -signal.SIGKILL)
    return end


def _child(file: Path, on_step: Callable[[int], None] | None, pipe: Connection) -> None:
    torch.set_num_threads(1)

    def tell(step: int) -> None:
        pipe.send(step)
        if on_step is not None:
            on_step(step)

    pipe.send(training(Checkpoint(file, steps=1), tell))
