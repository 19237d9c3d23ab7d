"""What a network says of images that it is asked about again and again: computed once, looked up.

Every candidate of a ladder is taught by the same original on the same images, as they are or
flipped. Computed anew, the original's scores are a quarter of a training step.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from syno.evaluate.batches import normalized
from syno.evaluate.checkpoint import digest_of_model
from syno.evaluate.descent import autocast
from syno.evaluate.splits import DataSplits
from syno.nn.modes import evaluating

_BATCH = 500
_NAMES = ("keys", "scores")


class Remembered(nn.Module):
    """A network that looks up its scores where it knows all images of a batch.

    `keys` are those of `image_keys`, sorted; `scores` are (images, classes). Batches with an image
    that is not known go through the network.
    """

    keys: Tensor
    scores: Tensor

    def __init__(self, network: nn.Module, keys: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("keys", keys)
        self.register_buffer("scores", scores)

    def forward(self, images: Tensor) -> Tensor:
        """Return scores, (images, classes)."""
        keys = image_keys(images)
        places = torch.searchsorted(self.keys, keys).clamp_max(len(self.keys) - 1)
        if bool((self.keys[places] == keys).all()):
            return self.scores[places]
        scores: Tensor = self.network(images)
        return scores


def image_keys(images: Tensor) -> Tensor:
    """Return a number of 64 bits for each float32 image: a random sum of its bits.

    The sum wraps around, so that neither order nor layout matter. Two images out of 100,000 that
    differ share one with a chance below one in a billion.
    """
    bits = images.contiguous().flatten(1).view(torch.int32).to(torch.int64)
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, bits.shape[1:], generator=generator)
    return (bits * factors.to(bits.device)).sum(1)


def remember(network: nn.Module, data: DataSplits, precision: str) -> Remembered:
    """Return `network` with its scores on all training images, flipped ones too where those occur.

    They are computed in `precision`, as a training would, in batches of 500 images.
    """
    keys, scores = [], []
    with evaluating(network), torch.inference_mode(), autocast(precision):
        for first in range(0, len(data.train), _BATCH):
            images = data.train.images[first : first + _BATCH]
            for view in (images, images.flip(3)) if data.augment else (images,):
                shown = normalized(view, data)
                keys.append(image_keys(shown))
                scores.append(network(shown).float())
    order = torch.cat(keys).argsort()
    return Remembered(network, torch.cat(keys)[order].clone(), torch.cat(scores)[order].clone())


def remembered(network: nn.Module, data: DataSplits, precision: str, file: Path) -> Remembered:
    """Return `remember`'s result from `file`, which is written where it holds no such network's."""
    digest = digest_of_model(network)
    if file.exists():
        with np.load(file, allow_pickle=False) as known:
            if str(known.get("network", "")) == digest:
                return Remembered(network, *(torch.from_numpy(known[name]) for name in _NAMES))
    found = remember(network, data, precision)
    partial = file.with_suffix(f".{os.getpid()}.npz")
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(partial, network=digest, keys=found.keys.numpy(), scores=found.scores.numpy())
    partial.replace(file)
    return found
