"""Small trainings on digits, here and in processes that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from syno.evaluate.augmentation import transforms
from syno.evaluate.checkpoint import Checkpoint
from syno.evaluate.data import load
from syno.evaluate.recipes import Recipe
from syno.evaluate.training import Execution, train
from syno.ir import files

RECIPE = Recipe(epochs=2, batch_size=64, learning_rate=0.2)

# Everything that has a state: two schedules in one, second moments, an average, random numbers of
# every kind.
RICH = Recipe(
    epochs=3,
    batch_size=256,  # four steps an epoch
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

    weights: str
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
    weights = hashlib.sha256(state(model).numpy().tobytes()).hexdigest()
    seen = found.validation_history
    return End(weights, found.validation_accuracy, found.history, seen, tuple(steps))


def killed_and_resumed(
    file: Path, in_writes: Sequence[int], from_outside: Sequence[int]
) -> tuple[list[int], End]:
    """Train in processes of which all but the last are killed; return how each ended, and the end.

    Some are killed when half of the checkpoint of a step is on the disk, others by their parent as
    soon as they tell of a step, whatever they do by then.
    """
    command = [sys.executable, __file__, str(file), json.dumps([in_writes, from_outside])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    codes, end = json.loads(done.stdout)
    lists = {name: tuple(value) for name, value in end.items() if isinstance(value, list)}
    return codes, End(**{**end, **lists})


def _all_in_turn(file: Path, in_writes: Sequence[int], from_outside: Sequence[int]) -> None:
    """Fork one training after the other; nothing has computed here yet that a fork would break."""
    torch.set_num_threads(1)
    transforms()
    load("digits")
    moments = sorted(
        [(step, True) for step in in_writes] + [(step, False) for step in from_outside]
    )
    ends = [_forked(file, *moment) for moment in [*moments, (0, False)]]
    answer = [[code for code, _ in ends], json.loads(ends[-1][1])]
    sys.stdout.write(json.dumps(answer))


def _forked(file: Path, kill_at: int, in_write: bool) -> tuple[int, str]:
    """Return how a training ended, as a process does, and the last line that it wrote."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _train_and_exit(file, kill_at if in_write else 0, writing)
    os.close(writing)
    line = ""
    with os.fdopen(reading) as told:
        for line in told:
            if line.strip() == str(kill_at) and not in_write:
                os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), line


def _train_and_exit(file: Path, die_in_write: int, writing: int) -> NoReturn:
    def half(descriptor: int) -> None:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    def tell(step: int) -> None:
        os.write(writing, f"{step}\n".encode())
        if step == die_in_write:
            files.os.fsync = half  # type: ignore[attr-defined]

    try:
        end = training(Checkpoint(file, steps=1), tell)
        os.write(writing, json.dumps(asdict(end)).encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001 -- a fork must not go on as its parent
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    _all_in_turn(Path(sys.argv[1]), *json.loads(sys.argv[2]))
