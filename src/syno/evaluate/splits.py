"""Three sets kept apart: training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Images (count, channels, height, width), uint8 or float32 in [0, 1], and int64 labels."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, count: int) -> Split:
        """Return up to `count` images spread evenly over the split."""
        places = torch.linspace(0, len(self) - 1, min(count, len(self))).round().long()
        return Split(self.images[places], self.labels[places])


@dataclass(frozen=True)
class DataSplits:
    """A data set in three parts. The search reads `train` and `validation` alone.

    `mean` and `std` are those of the training images, one number for each channel.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: bool
    _test: Split = field(repr=False)
    test_reads: list[str] = field(default_factory=list, repr=False, compare=False)

    def final_test(self, reason: str) -> Split:
        """Return the test set, for a final figure only; `reason` is written into `test_reads`."""
        self.test_reads.append(reason)
        return self._test


def stratified(
    labels: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return indices (kept, held out), with `share` of every class held out."""
    rng = np.random.default_rng(seed)
    held: list[NDArray[np.intp]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held.append(rng.permutation(members)[: round(share * len(members))])
    out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), out), out


def as_split(images: NDArray[np.generic], labels: NDArray[np.int64]) -> Split:
    """Return arrays as a Split; images are (count, channels, height, width)."""
    kept = torch.from_numpy(np.ascontiguousarray(images))
    return Split(kept, torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)))
