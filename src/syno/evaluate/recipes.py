"""Recipes: everything that is decided before a training begins, as one value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from syno.ir.errors import DataError, SynoError

OPTIMIZERS = ("sgd", "adamw")
PRECISIONS = ("float32", "bfloat16")
SCHEDULES = ("one-cycle", "cosine")
AUGMENTATIONS = ("quick", "crop", "flip", "trivial-augment", "erasing", "mixup", "cutmix")
_NEW: Mapping[str, bool] = {"new": True}  # see Recipe.to_dict


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are those of the short trainings of a search.

    `epochs` may be a fraction. `optimizer` sgd has Nesterov momentum; to adamw, `momentum` is the
    decay of the mean gradient. Under `schedule` one-cycle (Smith, Topin 2018) the learning rate
    rises and falls along cosines, under cosine (Loshchilov, Hutter 2017) it rises linearly; either
    way it rises during the share `warm_up` of the steps, then falls to nearly 0. `gradient_clip`
    bounds the norm of all gradients together; 0 does not.

    `augmentation` names rows of `syno.evaluate.augmentation`: quick flips and moves images where
    the data set allows it; the others are torchvision's, and the recipe alone says which. Images
    move by up to `crop` pixels. `precision` bfloat16 computes under autocast: weights and their
    sums stay float32. The share `distillation` of the loss is the divergence from a teacher's
    scores at temperature 2 (Hinton, Vinyals, Dean 2015), the rest that from the labels.

    With `ema`, the result is an exponential moving average of the weights, which looks back over
    that share of the steps: it means the same in a training of any length.

    Raises SynoError for numbers that train nothing and names that mean nothing.
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
    optimizer: str = field(default="sgd", metadata=_NEW)
    schedule: str = field(default="one-cycle", metadata=_NEW)
    gradient_clip: float = field(default=0.0, metadata=_NEW)
    augmentation: tuple[str, ...] = field(default=("quick",), metadata=_NEW)
    ema: float = field(default=0.0, metadata=_NEW)

    def __post_init__(self) -> None:
        object.__setattr__(self, "augmentation", tuple(self.augmentation))  # JSON has lists
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise SynoError(f"A recipe's {name} has to be a number above 0; it is {value}.")
        for name in ("weight_decay", "crop", "gradient_clip"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise SynoError(f"A recipe's {name} is 0 or more, not {value}.")
        for name in ("momentum", "warm_up", "label_smoothing", "distillation", "ema"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise SynoError(f"A recipe's {name} is a share, from 0 to 1; it is {value}.")
        _check_name("optimizer", self.optimizer, OPTIMIZERS)
        _check_name("precision", self.precision, PRECISIONS)
        _check_name("schedule", self.schedule, SCHEDULES)
        for name in self.augmentation:
            _check_name("augmentation", name, AUGMENTATIONS)

    def steps_per_epoch(self, images: int) -> int:
        """Return the number of whole batches in a training set of `images`, at least 1."""
        return max(1, images // self.batch_size)

    def steps(self, images: int) -> int:
        """Return the number of steps over a training set of `images`, at least 1."""
        return max(1, round(self.epochs * self.steps_per_epoch(images)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, which `Recipe(**data)` reads back.

        It tells studies, teachers and checkpoints apart. A field that was added later is left out
        where it has its default, so that what was made before it existed is still found.
        """
        found = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if "new" not in each.metadata or value != each.default:
                found[each.name] = list(value) if isinstance(value, tuple) else value
        return found


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise SynoError(f"A recipe's {what} is one of {', '.join(known)}, not {name!r}.")


# For a budget of one or two epochs: small batches (many steps) and flips alone beat the recipe of
# long trainings (batch 128, rate 0.4, crops, smoothed labels) by 25 points after half an epoch.
RECIPES: Mapping[str, Recipe] = {
    "digits": Recipe(epochs=8, batch_size=64, learning_rate=0.1),
    "cifar10": Recipe(epochs=1),
}

# What a headline number is trained by, as in section 4.2 of He, Zhang, Ren, Sun (2016) but for the
# schedule, the smoothing and the average.
FULL_RECIPES: Mapping[str, Recipe] = {
    "digits": Recipe(
        epochs=40,
        batch_size=64,
        learning_rate=0.1,
        warm_up=0.05,
        label_smoothing=0.1,
        crop=1,
        schedule="cosine",
        augmentation=("crop",),  # a mirrored digit is another sign
        ema=0.02,
    ),
    "cifar10": Recipe(
        epochs=100,
        batch_size=128,
        learning_rate=0.1,
        warm_up=0.05,
        label_smoothing=0.1,
        crop=4,
        schedule="cosine",
        augmentation=("crop", "flip"),
        ema=0.02,
    ),
}


def recipe_for(data: str, *, full: bool = False) -> Recipe:
    """Return the short recipe of a search on `data`, or that of a full training.

    Raises DataError for an unknown name.
    """
    table = FULL_RECIPES if full else RECIPES
    if data not in table:
        known = ", ".join(sorted(table))
        raise DataError(f"There is no recipe for a data set called {data!r}; known are: {known}.")
    return table[data]
