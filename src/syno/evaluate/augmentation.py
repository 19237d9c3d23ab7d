"""Augmentation: images changed at random before a network sees them, by name.

All random numbers come from the generator that is handed in: torchvision draws from torch's global
one, which is set to it meanwhile and set back afterwards.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from syno.evaluate.recipes import Recipe
from syno.evaluate.splits import DataSplits
from syno.evaluate.torchvision_compat import import_torchvision

Make = Callable[[ModuleType, Recipe, DataSplits], Any]


@dataclass(frozen=True)
class Row:
    """A transform of torchvision: of single images, or of a batch with its labels."""

    of_batches: bool
    make: Make


def _crop(v2: ModuleType, recipe: Recipe, data: DataSplits) -> Any:
    return v2.RandomCrop(list(data.train.images.shape[2:]), padding=recipe.crop)


def _erasing(v2: ModuleType, _recipe: Recipe, data: DataSplits) -> Any:
    """A quarter of the images lose a rectangle; it gets the mean, which is 0 once normalized."""
    scale = 255 if data.train.images.dtype == torch.uint8 else 1
    return v2.RandomErasing(p=0.25, value=[scale * mean for mean in data.mean])


ROWS: Mapping[str, Row] = {
    "crop": Row(False, _crop),
    "flip": Row(False, lambda v2, _recipe, _data: v2.RandomHorizontalFlip()),
    "trivial-augment": Row(False, lambda v2, _recipe, _data: v2.TrivialAugmentWide()),
    "erasing": Row(False, _erasing),
    "mixup": Row(True, lambda v2, _recipe, data: v2.MixUp(alpha=0.2, num_classes=data.classes)),
    "cutmix": Row(True, lambda v2, _recipe, data: v2.CutMix(num_classes=data.classes)),
}


class Augmentation:
    """What a recipe does to images; of mixup and cutmix together, each batch gets one."""

    def __init__(self, recipe: Recipe, data: DataSplits) -> None:
        self._quick = "quick" in recipe.augmentation and data.augment
        self._pad = recipe.crop
        named = [ROWS[name] for name in recipe.augmentation if name != "quick"]
        v2 = transforms() if named else None
        self._single = [row.make(v2, recipe, data) for row in named if v2 and not row.of_batches]
        self._mixing = [row.make(v2, recipe, data) for row in named if v2 and row.of_batches]

    def images(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images of the same shape and type, each changed on its own."""
        if self._quick:
            images = quick(images, self._pad, generator)
        if self._single:
            with drawing_from(generator):
                images = torch.stack([self._changed(each) for each in images])
        return images

    def batch(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return normalized images and labels, mixed: then a label is a share for each class."""
        if not self._mixing:
            return images, labels
        with drawing_from(generator):
            chosen = int(torch.randint(len(self._mixing), ()))
            mixed, shares = self._mixing[chosen](images, labels)
        return mixed.contiguous(memory_format=torch.channels_last), shares

    def _changed(self, image: Tensor) -> Tensor:
        for transform in self._single:
            image = transform(image)
        return image


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let torch's global generator continue `generator`, and move that on."""
    before = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(torch.get_rng_state())
        torch.set_rng_state(before)


def transforms() -> ModuleType:
    """Return torchvision.transforms.v2."""
    import_torchvision()
    return importlib.import_module("torchvision.transforms.v2")


def quick(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """Return images, each flipped with chance 1/2 and moved by up to `pad` pixels, 0 outside.

    torchvision does the same image by image, with other draws. This one stays because the figures
    of all searches were made with its draws; the whole batch at once, it takes 2 us an image for
    flips and 13 us with moves where torchvision takes 8 us and 32 us (one core; training ResNet-20
    takes 3,000 us).
    """
    flip = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(flip.to(images.device)[:, None, None, None], images.flip(3), images)
    if pad == 0:
        return images
    (count, _, height, width), padded = images.shape, F.pad(images, (pad, pad, pad, pad))
    offsets = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator)
    rows, columns = offsets[0] + torch.arange(height), offsets[1] + torch.arange(width)
    which = torch.arange(count)[:, None, None]
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
