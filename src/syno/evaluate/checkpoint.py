"""Checkpoints: a training that was killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from syno.evaluate.splits import DataSplits
from syno.ir.errors import SynoError
from syno.ir.files import write_atomically

_DAMAGED = (  # all that torch.load raises for what torch.save did not write, or not to its end
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


class CheckpointError(SynoError):
    """A checkpoint that cannot be read, or that belongs to another training."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training keeps what it needs to go on, and how often: one training at a time.

    The file is written after the first step (so that a folder that cannot be written is told at
    once), after the last, and whenever `seconds` have passed or `steps` been made since it was
    written (0 steps: time alone counts).
    """

    file: Path
    seconds: float = 60.0
    steps: int = 0


class Keeper:
    """Reads the checkpoint of one training once and writes it whenever it is due.

    `identity` is what the result depends on, each part as text; a part may be left out where it has
    its default.
    """

    def __init__(self, checkpoint: Checkpoint, identity: Mapping[str, str]) -> None:
        self._checkpoint, self._identity = checkpoint, dict(identity)
        self._time, self._step = -math.inf, 0

    def read(self) -> dict[str, Any] | None:
        """Return the state that was written last, or None where there is none.

        Raises CheckpointError for a file that is damaged or belongs to another training.
        """
        file = self._checkpoint.file
        self._forget_unfinished()
        if not file.exists():
            return None
        try:
            written = io.BytesIO(file.read_bytes())
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint {file} cannot be read: {error.strerror or error}."
            ) from None
        try:
            content = torch.load(written, map_location="cpu", weights_only=True)
            theirs, state = content["identity"], dict(content["state"])
            self._time, self._step = time.monotonic(), int(state["step"])
        except _DAMAGED:
            raise CheckpointError(
                f"{file} is not a checkpoint, or it is damaged. Choose another file, or delete "
                "this one to begin anew."
            ) from None
        self._refuse_others(theirs)
        return state

    def offer(self, step: int, last: bool, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write the state if it is due, whole or not at all; FileError where that fails."""
        now, steps = time.monotonic(), self._checkpoint.steps
        late = now - self._time >= self._checkpoint.seconds
        if last or late or 0 < steps <= step - self._step:
            content = io.BytesIO()
            torch.save({"identity": self._identity, "state": dict(state())}, content)
            write_atomically(self._checkpoint.file, content.getvalue())
            self._time, self._step = time.monotonic(), step

    def _refuse_others(self, theirs: Mapping[str, str]) -> None:
        for name in sorted({*self._identity, *theirs}):
            here, there = (each.get(name, "the default") for each in (self._identity, theirs))
            if here != there:
                raise CheckpointError(
                    f"The checkpoint {self._checkpoint.file} belongs to another training: its "
                    f"{name} is {there}, here it is {here}. Choose another file, or delete this "
                    "one to begin anew."
                )

    def _forget_unfinished(self) -> None:
        """Delete what a training left that was killed while it wrote."""
        file = self._checkpoint.file
        for each in file.parent.glob(f".{file.name}.*.tmp"):
            with suppress(OSError):  # whoever may not delete it will be told when writing
                each.unlink()


def digest_of_model(model: nn.Module) -> str:
    """Return a short digest of all weights and buffers."""
    return _digest([each for _, each in sorted(model.state_dict().items())])


def digest_of_data(data: DataSplits) -> str:
    """Return a short digest of the images and labels that a training sees."""
    parts = data.train, data.validation
    return _digest([each for part in parts for each in (part.images, part.labels)])


def _digest(tensors: list[Tensor]) -> str:
    total = hashlib.sha256()
    for each in tensors:
        flat = each.detach().cpu().contiguous().reshape(-1)
        total.update(f"{tuple(each.shape)} {each.dtype}".encode())
        total.update(flat.view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:12]
