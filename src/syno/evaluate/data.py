"""All data sets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from syno.evaluate import cifar10
from syno.evaluate.splits import DataSplits, as_split, stratified
from syno.ir.errors import DataError


def load(name: str, *, seed: int = 0) -> DataSplits:
    """Return the data set `name` in three parts; the seed draws the validation part.

    Raises DataError for an unknown name, or where the data has to be fetched first.
    """
    if name not in DATA_SETS:
        known = ", ".join(sorted(DATA_SETS))
        raise DataError(f"There is no data set called {name!r}; known are: {known}.")
    return DATA_SETS[name](seed)


def _digits(seed: int) -> DataSplits:
    """Return the 1,797 8x8 digits of scikit-learn (Alpaydin, Kaynak 1998), the test set fixed."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (found.images / 16.0).astype(np.float32)[:, None]
    labels = found.target.astype(np.int64)
    rest, test = stratified(labels, 0.2, seed=1798)
    train, validation = stratified(labels[rest], 0.25, seed)
    train, validation = rest[train], rest[validation]
    return DataSplits(
        "digits",
        10,
        as_split(images[train], labels[train]),
        as_split(images[validation], labels[validation]),
        (float(images[train].mean()),),
        (float(images[train].std()),),
        augment=False,
        _test=as_split(images[test], labels[test]),
    )


def _cifar10(seed: int) -> DataSplits:
    """Return CIFAR-10: 45,000 images to train, 5,000 to validate, 10,000 to test."""
    arrays = cifar10.read()
    images, labels = arrays["train_images"], arrays["train_labels"].astype(np.int64)
    train, validation = stratified(labels, 0.1, seed)
    return DataSplits(
        "cifar10",
        10,
        as_split(images[train], labels[train]),
        as_split(images[validation], labels[validation]),
        (0.49140, 0.48216, 0.44653),
        (0.24703, 0.24349, 0.26159),
        augment=True,
        _test=as_split(arrays["test_images"], arrays["test_labels"].astype(np.int64)),
    )


DATA_SETS: Mapping[str, Callable[[int], DataSplits]] = {"cifar10": _cifar10, "digits": _digits}
