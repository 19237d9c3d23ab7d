"""Batches of the training images: drawn, augmented and normalized, from a position that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from syno.evaluate.augmentation import Augmentation
from syno.evaluate.recipes import Recipe
from syno.evaluate.splits import DataSplits


class Batches:
    """Draws batches for ever, each epoch in a new order; a set smaller than a batch is one.

    The seed fixes order and augmentation. Everything is in memory; batches come on `device`, and
    are changed image by image before they go there.
    """

    def __init__(self, data: DataSplits, recipe: Recipe, seed: int, device: torch.device) -> None:
        self._data, self._device = data, device
        self._size = min(recipe.batch_size, len(data.train))
        self._augmentation = Augmentation(recipe, data)
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64)
        self._position = 0

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return normalized images and labels of the next batch."""
        if self._position + self._size > len(self._order):
            self._order = torch.randperm(len(self._data.train), generator=self._generator)
            self._position = 0
        chosen = self._order[self._position : self._position + self._size]
        self._position += self._size
        images = self._augmentation.images(self._data.train.images[chosen], self._generator)
        images = normalized(images.to(self._device), self._data)
        labels = self._data.train.labels[chosen].to(self._device)
        return self._augmentation.batch(images, labels, self._generator)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        state = self._generator.get_state()
        return {"order": self._order, "position": self._position, "generator": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from where `state_dict` was taken."""
        self._order, self._position = state["order"], state["position"]
        self._generator.set_state(state["generator"])


def normalized(images: Tensor, data: DataSplits) -> Tensor:
    """Return images as float32 with mean 0 and deviation 1 for each channel, channels last."""
    found = images.float() / 255 if images.dtype == torch.uint8 else images
    mean = torch.tensor(data.mean, device=images.device).reshape(-1, 1, 1)
    std = torch.tensor(data.std, device=images.device).reshape(-1, 1, 1)
    return ((found - mean) / std).contiguous(memory_format=torch.channels_last)
