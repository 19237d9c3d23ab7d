"""Recipes: what they refuse, how they are written down, and one for each data set."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from syno.evaluate.data import DATA_SETS
from syno.evaluate.recipes import FULL_RECIPES, RECIPES, Recipe, recipe_for
from syno.evaluate.teacher import TEACHER_RECIPES, teacher_file
from syno.ir.errors import DataError, SynoError

ALL = [*RECIPES.values(), *FULL_RECIPES.values(), *TEACHER_RECIPES.values()]


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": -1}, {"learning_rate": float("nan")}, {"batch_size": 0}]
)
def test_a_recipe_that_trains_nothing_is_refused(wrong: dict[str, float]) -> None:
    name = next(iter(wrong))
    with pytest.raises(SynoError, match=f"recipe's {name} has to be a number above 0"):
        Recipe(**{"epochs": 1, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizer": "adam"}, "optimizer is one of sgd, adamw, not 'adam'"),
        ({"schedule": "step"}, "schedule is one of one-cycle, cosine, not 'step'"),
        ({"precision": "float16"}, "precision is one of float32, bfloat16, not 'float16'"),
        ({"augmentation": ("flip", "blur")}, "augmentation is one of quick, .*, not 'blur'"),
        ({"ema": 1.5}, "ema is a share, from 0 to 1; it is 1.5"),
        ({"momentum": -0.1}, "momentum is a share"),
        ({"label_smoothing": float("nan")}, "label_smoothing is a share"),
        ({"gradient_clip": -1}, "gradient_clip is 0 or more, not -1"),
        ({"crop": -1}, "crop is 0 or more"),
    ],
)
def test_what_means_nothing_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SynoError, match=message):
        Recipe(epochs=1, **wrong)  # type: ignore[arg-type]


def test_every_data_set_of_images_has_both_recipes() -> None:
    for name in DATA_SETS:
        assert recipe_for(name).epochs < recipe_for(name, full=True).epochs
    with pytest.raises(DataError, match="no recipe for a data set called 'mnist'"):
        recipe_for("mnist")


@pytest.mark.parametrize("recipe", ALL)
def test_a_recipe_is_read_back_from_json(recipe: Recipe) -> None:
    assert Recipe(**json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Recipe(**json.loads(json.dumps(asdict(recipe)))) == recipe


def test_fields_of_later_days_stand_there_where_they_say_something() -> None:
    old = {"epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "warm_up"}
    old |= {"label_smoothing", "crop", "precision", "distillation"}
    assert set(RECIPES["digits"].to_dict()) == old
    changed = replace(RECIPES["digits"], ema=0.1, augmentation=("crop", "flip"))
    assert set(changed.to_dict()) == {*old, "ema", "augmentation"}


def test_teachers_of_earlier_days_are_still_found() -> None:
    files = [
        teacher_file(model, data, TEACHER_RECIPES[data], 0).name
        for model, data in (("convnet", "digits"), ("resnet20", "cifar10"))
    ]
    assert files == ["convnet-digits-db02cf612cbd.pt", "resnet20-cifar10-b2e126a75ef0.pt"]


def test_the_full_recipes_are_those_of_long_trainings() -> None:
    cifar10 = FULL_RECIPES["cifar10"]
    assert (cifar10.epochs, cifar10.batch_size, cifar10.optimizer) == (100, 128, "sgd")
    assert cifar10.augmentation == ("crop", "flip") and cifar10.crop == 4
    assert cifar10.label_smoothing == 0.1 and cifar10.ema > 0
    assert "flip" not in FULL_RECIPES["digits"].augmentation


def test_steps_are_whole_batches() -> None:
    recipe = Recipe(epochs=2.5, batch_size=100)
    assert recipe.steps_per_epoch(1_050) == 10 and recipe.steps(1_050) == 25
    assert recipe.steps_per_epoch(40) == 1 and replace(recipe, epochs=0.001).steps(1_050) == 1
