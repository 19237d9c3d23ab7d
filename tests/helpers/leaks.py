"""Data sets whose test set cannot be opened: any access raises, and is remembered.

Workers import this by its name: a search is checked in its own processes as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from syno.evaluate import data, training
from syno.evaluate.splits import DataSplits, Split
from syno.run import candidate
from syno.run.candidate import Task
from syno.search.outcome import Outcome

_digits = data.DATA_SETS["digits"]
_opened: list[str] = []


class Opened(Exception):
    """Something has read the test set."""


class Sealed(Tensor):
    """A tensor that nothing can be done with; what it holds is poison, should that fail."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__qualname__", None) or getattr(func, "__name__", str(func))
        _opened.append(name)
        raise Opened(f"the test set was opened by {name}")


def seal(splits: DataSplits) -> DataSplits:
    """Return the same data with a test set that holds nothing and cannot be read."""
    images = torch.zeros_like(splits.train.images[:1]).as_subclass(Sealed)
    return replace(splits, _test=Split(images, torch.full((1,), -1).as_subclass(Sealed)))


def colours(seed: int) -> DataSplits:
    """Noise in the shape of CIFAR-10, which need not be here."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (192, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(192) % 10)
    return DataSplits("cifar10", 10, split, split, (0.5,) * 3, (0.25,) * 3, True, split)


@contextmanager
def sealed_data() -> Iterator[None]:
    """Hand out sealed data sets to whoever loads one; at the end, tell if one was opened."""
    handed: list[DataSplits] = []

    def sealing(load: Callable[[int], DataSplits]) -> Callable[[int], DataSplits]:
        def loaded(seed: int) -> DataSplits:
            handed.append(seal(load(seed)))
            return handed[-1]

        return loaded

    _opened.clear()
    candidate._data.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        made = {"digits": sealing(_digits), "cifar10": sealing(colours)}
        patch.setattr(data, "DATA_SETS", made)
        try:
            yield
        finally:
            candidate._data.cache_clear()
    if handed and not _opened:
        _opened.extend(f"final_test({why!r})" for each in handed for why in each.test_reads)
    if _opened:
        raise Opened(f"the test set was opened by {_opened[0]}")
    assert handed, "no data were loaded: nothing is proved"


def check_stays_closed(piece: Callable[[], object]) -> None:
    """Run a piece of a search; raise Opened if it so much as looks at a test set.

    An access that the piece catches and hides is told as well.
    """
    with sealed_data():
        piece()


def evaluate_sealed(task: Task) -> Outcome:
    """Evaluate a candidate, in a worker, on sealed data."""
    with sealed_data():
        return candidate.evaluate(task)


def evaluate_leaking(task: Task) -> Outcome:
    """The same where training judges itself on the test set."""
    with pytest.MonkeyPatch.context() as patch, sealed_data():
        judge_on_test(patch)
        return candidate.evaluate(task)


def judge_on_test(patch: pytest.MonkeyPatch) -> None:
    """Plant the classical leak: the accuracy that a search sees is that of the test set."""
    honest = training.accuracy_on

    def accuracy_on(model: Any, _split: Split, splits: DataSplits, *rest: int) -> float:
        return honest(model, splits.final_test("planted"), splits, *rest)

    patch.setattr(training, "accuracy_on", accuracy_on)
