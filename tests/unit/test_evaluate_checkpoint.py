"""Checkpoints: a killed training ends as one that was not, bit for bit; others are refused."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trainings import RECIPE, End, killed_and_resumed, network, state, training

from syno.evaluate import checkpoint as module
from syno.evaluate.checkpoint import Checkpoint, CheckpointError
from syno.evaluate.data import load
from syno.evaluate.splits import DataSplits
from syno.evaluate.training import Execution, train
from syno.ir.errors import FileError

SHORT = replace(RECIPE, epochs=0.25)  # four steps


@pytest.fixture(scope="module")
def digits() -> DataSplits:
    return load("digits")


@pytest.fixture(scope="module")
def unbroken() -> End:
    return training(None, lambda _step: None)


def start(digits: DataSplits, file: Path, **changes: Any) -> Any:
    """Train by SHORT with a checkpoint, but for `changes`."""
    options: dict[str, Any] = {"model": network(), "recipe": SHORT, "seed": 0, "data": digits}
    options |= {"checkpoint": Checkpoint(file), **changes}
    return train(options.pop("model"), options.pop("data"), options.pop("recipe"), **options)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_training_ends_as_one_that_was_not(tmp_path: Path, unbroken: End) -> None:
    file = tmp_path / "run.checkpoint"
    codes, end = killed_and_resumed(file, in_writes=(1, 3, 8, 12), from_outside=(2, 5, 10))
    assert codes == [-signal.SIGKILL] * 7 + [0]
    assert end.steps == (12,)
    assert replace(end, steps=unbroken.steps) == unbroken
    assert len(end.validation_history) == 3
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_it_goes_on_where_it_stood(tmp_path: Path, unbroken: End) -> None:
    checkpoint = Checkpoint(tmp_path / "run.checkpoint", steps=1)

    def stop(step: int) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training(checkpoint, stop)
    end = training(checkpoint, lambda _step: None)
    assert end.steps == tuple(range(6, 13))  # the sixth step was not written yet
    assert replace(end, steps=unbroken.steps) == unbroken


def test_a_finished_training_is_not_done_again(tmp_path: Path, digits: DataSplits) -> None:
    file = tmp_path / "run.checkpoint"
    models = network(), network()
    first = start(digits, file, model=models[0])
    again = start(
        digits, file, model=models[1], on_progress=lambda *_: pytest.fail("it trained again")
    )
    assert replace(again, seconds=first.seconds) == first
    assert again.seconds > 0
    assert torch.equal(state(models[0]), state(models[1]))


def test_a_checkpoint_changes_nothing(tmp_path: Path, digits: DataSplits) -> None:
    with_one, without = network(), network()
    start(digits, tmp_path / "run.checkpoint", model=with_one)
    train(without, digits, SHORT, seed=0)
    assert torch.equal(state(with_one), state(without))


class Padded(nn.Module):
    """Has the weights of `network`, and reads the image another way."""

    def __init__(self) -> None:
        super().__init__()
        for name, layer in network().named_children():
            self.add_module(name, layer)
        self.get_submodule("0").padding = (1, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.children():
            x = layer(x)
        return x


def others(digits: DataSplits) -> Mapping[str, tuple[dict[str, Any], str]]:
    turned = replace(digits, train=replace(digits.train, labels=digits.train.labels.flip(0)))
    taught = {"recipe": replace(SHORT, distillation=0.5), "teacher": network(1)}
    return {
        "learning rate": (
            {"recipe": replace(SHORT, learning_rate=0.1)},
            "rate is 0.2, here .* 0.1",
        ),
        "epochs": ({"recipe": replace(SHORT, epochs=0.5)}, "epochs is 0.25, here it is 0.5"),
        "new field": ({"recipe": replace(SHORT, ema=0.5)}, "ema is the default, here it is 0.5"),
        "seed": ({"seed": 7}, "its seed is 0, here it is 7"),
        "model": ({"model": Padded()}, "its model is Sequential .*, here it is Padded"),
        "weights": ({"model": network(1)}, "its weights at the start is"),
        "data": ({"data": turned}, "its data set is digits"),
        "teacher": (taught, "its recipe's distillation is"),
        "compiled": ({"execution": Execution(compiled=True)}, "compilation is off, here it is on"),
    }


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path, digits: DataSplits) -> None:
    file = tmp_path / "run.checkpoint"
    start(digits, file)
    before = file.read_bytes()
    for changes, message in others(digits).values():
        with pytest.raises(CheckpointError, match=f"another training: .*{message}"):
            start(digits, file, **changes)
    assert file.read_bytes() == before


def test_another_teacher_is_another_training(tmp_path: Path, digits: DataSplits) -> None:
    file, recipe = tmp_path / "run.checkpoint", replace(SHORT, distillation=0.5)
    start(digits, file, recipe=recipe, teacher=network(1))
    with pytest.raises(CheckpointError, match="its teacher is"):
        start(digits, file, recipe=recipe, teacher=network(2))


class Planted:
    """Code that an ordinary pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["PLANTED"],)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "foreign", "code"])
def test_what_is_no_checkpoint_is_refused(
    damage: str, tmp_path: Path, digits: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, planted = tmp_path / "run.checkpoint", tmp_path / "planted"
    monkeypatch.setenv("PLANTED", str(planted))
    start(digits, file)
    whole = file.read_bytes()
    torch.save({"weights": torch.zeros(3)}, file)
    foreign = file.read_bytes()
    code = pickle.dumps(Planted(), protocol=2)
    contents = {"empty": b"", "text": b"hello\n", "truncated": whole[: len(whole) // 2]}
    file.write_bytes({**contents, "foreign": foreign, "code": code}[damage])
    with pytest.raises(CheckpointError, match="not a checkpoint, or it is damaged"):
        start(digits, file)
    assert not planted.exists()


def test_it_is_written_when_it_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def written(checkpoint: Checkpoint, steps: int, pace: float) -> list[int]:
        keeper, found = module.Keeper(checkpoint, {}), []
        for step in range(1, steps + 1):
            now[0] += pace
            keeper.offer(step, step == steps, lambda step=step: found.append(step) or {})
        return found

    file = tmp_path / "run.checkpoint"
    assert written(Checkpoint(file, seconds=10), 9, 3.0) == [1, 5, 9]
    assert written(Checkpoint(file, seconds=1e9, steps=3), 9, 3.0) == [1, 4, 7, 9]
    assert written(Checkpoint(file, seconds=10, steps=3), 9, 6.0) == [1, 3, 5, 7, 9]


def test_a_folder_that_cannot_be_written_is_told_at_once(
    tmp_path: Path, digits: DataSplits
) -> None:
    (tmp_path / "file").write_text("")
    steps: list[int] = []
    with pytest.raises(FileError, match="could not be written"):
        start(digits, tmp_path / "file" / "run", on_progress=lambda step, _: steps.append(step))
    assert steps == [1]
