"""Trained originals: what operators learn to imitate. Trained once, then kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from syno.evaluate.cifar10 import cache_folder
from syno.evaluate.data import load
from syno.evaluate.models import build
from syno.evaluate.recipes import Recipe
from syno.evaluate.remembered import remembered
from syno.evaluate.training import Progress, accuracy_on, train
from syno.ir.errors import DataError

TEACHER_RECIPES: Mapping[str, Recipe] = {
    "digits": Recipe(epochs=12, batch_size=64, learning_rate=0.1),
    "cifar10": Recipe(epochs=10, batch_size=64, learning_rate=0.1, crop=4),
}


def teacher(
    model: str, data: str, *, seed: int = 0, on_progress: Progress = lambda _step, _steps: None
) -> nn.Module:
    """Return the model trained on a data set by the recipe of teachers, in evaluation mode.

    It sees the training images alone. The first call trains (ResNet-20 on CIFAR-10: twenty
    minutes on a core) and keeps the weights in the cache folder; others read them. Raises
    ModelError or DataError for unknown names.
    """
    recipe = _recipe(data)
    network, file = build(model, seed=seed), teacher_file(model, data, recipe, seed)
    if file.exists():
        network.load_state_dict(torch.load(file, weights_only=True)["state"])
        return network.eval()
    result = train(network, load(data), recipe, seed=seed, on_progress=on_progress)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    state = {"state": network.state_dict(), "accuracy": result.validation_accuracy}
    torch.save(state, partial)
    partial.replace(file)
    return network.eval()


def tutor(model: str, data: str, precision: str) -> nn.Module:
    """Return the teacher for a training: what it says of training images is looked up.

    The first call computes that (ResNet-20 on CIFAR-10: two minutes on a core) and keeps it beside
    the weights. Raises what `teacher` does.
    """
    file = teacher_file(model, data, _recipe(data), 0).with_suffix(f".{precision}.npz")
    return remembered(teacher(model, data), load(data), precision, file)


def _recipe(data: str) -> Recipe:
    if data not in TEACHER_RECIPES:
        known = ", ".join(sorted(TEACHER_RECIPES))
        raise DataError(f"There is no recipe for a teacher on {data!r}; known are: {known}.")
    return TEACHER_RECIPES[data]


def teacher_file(model: str, data: str, recipe: Recipe, seed: int) -> Path:
    """Return where the weights are kept; another recipe is another file."""
    text = json.dumps([model, data, seed, recipe.to_dict()], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return cache_folder() / "teachers" / f"{model}-{data}-{digest}.pt"


def teacher_accuracy(model: str, data: str, *, seed: int = 0) -> float:
    """Return the validation accuracy of the teacher."""
    splits = load(data)
    return accuracy_on(teacher(model, data, seed=seed), splits.validation, splits)
