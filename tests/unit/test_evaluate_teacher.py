"""Teachers: trained once, then read; another recipe is another file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from syno.evaluate import teacher as module
from syno.evaluate.recipes import Recipe
from syno.evaluate.teacher import TEACHER_RECIPES, teacher, teacher_accuracy, teacher_file
from syno.ir.errors import DataError

SHORT: Mapping[str, Recipe] = {"digits": Recipe(epochs=0.3, batch_size=64, learning_rate=0.1)}


def test_a_teacher_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNO_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "TEACHER_RECIPES", SHORT)
    steps: list[int] = []
    first = teacher("convnet", "digits", on_progress=lambda step, _: steps.append(step))
    assert steps and not first.training
    again = teacher("convnet", "digits", on_progress=lambda _step, _: pytest.fail("trained again"))
    state = again.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    assert 0 < teacher_accuracy("convnet", "digits") <= 1


def test_another_recipe_or_seed_is_another_file() -> None:
    recipe = TEACHER_RECIPES["digits"]
    files = {
        teacher_file("convnet", "digits", recipe, 0),
        teacher_file("convnet", "digits", recipe, 1),
        teacher_file("convnet", "digits", replace(recipe, epochs=1), 0),
    }
    assert len(files) == 3


def test_data_without_a_recipe_are_named() -> None:
    with pytest.raises(DataError, match=r"'letters'.*cifar10, digits"):
        teacher("convnet", "letters")
