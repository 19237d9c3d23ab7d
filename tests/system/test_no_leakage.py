"""No search and no training opens a test set, and no image of a test set is in another part.

Every piece runs on data whose test tensors raise when they are touched. Leaks planted on purpose
are found by the same check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import leaks
import numpy as np
import pytest
import torch
from leaks import Opened, check_stays_closed, judge_on_test, seal
from torch import nn
from trainings import RECIPE, network

from syno.evaluate import batches, data, training
from syno.evaluate import teacher as teachers
from syno.evaluate.checkpoint import Checkpoint
from syno.evaluate.cifar10 import CIFAR10
from syno.evaluate.fetching import counts_of
from syno.evaluate.fidelities import Ladder, LadderSettings
from syno.evaluate.fit import FitSettings
from syno.evaluate.packages import cache_folder
from syno.evaluate.recipes import FULL_RECIPES, RECIPES, Recipe
from syno.evaluate.splits import DataSplits
from syno.evaluate.training import Execution, train
from syno.ir.errors import StudyError
from syno.ir.parser import parse
from syno.run.candidate import Task, data_for, evaluate
from syno.run.search import Search
from syno.run.settings import SearchSettings
from syno.run.study import Record, read_study
from syno.search.outcome import Failed, Scored
from syno.space.networks import COEFFICIENTS

SOURCES = Path(training.__file__).parents[1]
CACHE = cache_folder()  # read before the tests get a cache of their own
POINTWISE = "y[n,o,h,w] = sum[c:C_in] x[n,c,h,w] * w1[o,c]"
TABLES: Mapping[str, Mapping[str, Recipe]] = {
    "short": RECIPES,
    "full": FULL_RECIPES,
    "teachers": teachers.TEACHER_RECIPES,
}
EVERYTHING = replace(
    RECIPE,
    crop=1,
    ema=0.5,
    augmentation=("crop", "flip", "trivial-augment", "erasing", "mixup", "cutmix"),
)


@pytest.fixture(autouse=True)
def few_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers are trained for a moment and kept in a folder of the test."""
    monkeypatch.setenv("SYNO_CACHE", str(tmp_path / "cache"))
    short = {name: replace(r, epochs=0.1) for name, r in teachers.TEACHER_RECIPES.items()}
    monkeypatch.setattr(teachers, "TEACHER_RECIPES", short)


def small(splits: DataSplits) -> nn.Module:
    channels = splits.train.images.shape[1]
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 10),
    )  # fmt: skip


def by(recipe: Recipe, name: str = "digits", **options: Any) -> None:
    """Train by two steps of a recipe on a data set."""
    splits = data.load(name)
    two = 2 / recipe.steps_per_epoch(len(splits.train))
    train(small(splits), splits, replace(recipe, epochs=two), seed=0, **options)


def with_all_options(folder: Path) -> None:
    """Train with a teacher, a checkpoint and a look at each epoch, then go on from the end."""
    splits = data.load("digits")
    recipe = replace(EVERYTHING, epochs=1, batch_size=256, distillation=0.5)
    for _ in range(2):
        train(
            network(),
            splits,
            recipe,
            seed=0,
            teacher=network(1),
            checkpoint=Checkpoint(folder / "run", steps=1),
            execution=Execution(on_epoch=lambda *_: None),
        )


def candidate(operator: str | None) -> None:
    recipe = replace(RECIPES["digits"], epochs=0.1).to_dict()
    found = evaluate(Task("convnet", "digits", operator, COEFFICIENTS, recipe, rounds=0))
    assert isinstance(found, Scored)


def ladder() -> None:
    """Every rung: layer fit, short and long training, and that from scratch beside them."""
    scratch = replace(RECIPES["digits"], epochs=0.1)
    short = replace(scratch, distillation=0.5)
    settings = LadderSettings(
        FitSettings(images=64), 100, short, short_images=100, long=short, scratch=scratch
    )
    judge = Ladder("convnet", "digits", COEFFICIENTS, settings=settings)
    everywhere = judge.everywhere(parse(POINTWISE))
    judge.short(judge.fitted(everywhere).network)
    judge.long(judge.fitted(everywhere).network)
    judge.scratch(everywhere)


def searched(folder: Path, evaluator: Callable[[Task], Any]) -> list[Record]:
    """Run a whole search, in its own processes: the baseline and a candidate."""
    file = folder / "study.db"
    settings = SearchSettings(
        "convnet", "digits", file, trials=1, epochs=0.1, finalists=0, minutes=2, workers=1,
        least_ratio=0.0,  # train whatever the clock says: an untrained candidate opens no data
    )  # fmt: skip
    Search(settings, evaluator=evaluator).run()
    return read_study(file).records()


# Each piece, and the modules that handle data sets and run in it.
PIECES: Mapping[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "original": (lambda _: candidate(None), ("run/candidate.py", "evaluate/data.py")),
    "candidate": (lambda _: candidate(POINTWISE), ("evaluate/splits.py",)),
    "data of a model": (lambda _: data_for("convnet", "digits"), ("run/candidate.py",)),
    "all options": (with_all_options, ("evaluate/training.py", "evaluate/checkpoint.py")),
    "all augmentation": (
        lambda _: by(EVERYTHING, "cifar10"),
        ("evaluate/batches.py", "evaluate/augmentation.py"),
    ),
    "teacher": (
        lambda _: teachers.teacher_accuracy("convnet", "digits"),
        ("evaluate/teacher.py",),
    ),
    "ladder": (lambda _: ladder(), ("evaluate/fidelities.py", "evaluate/remembered.py")),
    "counts": (lambda _: counts_of("digits"), ("evaluate/fetching.py",)),
}


@pytest.mark.parametrize("name", PIECES)
def test_no_piece_of_a_search_opens_the_test_set(name: str, tmp_path: Path) -> None:
    check_stays_closed(partial(PIECES[name][0], tmp_path))


@pytest.mark.parametrize("table", TABLES)
def test_no_recipe_opens_the_test_set(table: str) -> None:
    for name, recipe in TABLES[table].items():
        teacher = network() if recipe.distillation else None
        check_stays_closed(partial(by, recipe, name, teacher=teacher))


def test_a_whole_search_opens_no_test_set(tmp_path: Path) -> None:
    found: list[Record] = []
    check_stays_closed(lambda: found.extend(searched(tmp_path, leaks.evaluate_sealed)))
    assert any(isinstance(each.outcome, Scored) for each in found)
    assert [each.outcome for each in found if isinstance(each.outcome, Failed)] == []


def test_every_module_that_handles_data_sets_runs_in_a_piece() -> None:
    """A module that begins to handle them has to be added to PIECES."""
    handling = re.compile(r"\bDataSplits\b|evaluate\.data import")
    found = {
        str(path.relative_to(SOURCES))
        for room in ("evaluate", "run")
        for path in (SOURCES / room).glob("*.py")
        if handling.search(path.read_text(encoding="utf-8"))
    }
    assert found == {module for _, modules in PIECES.values() for module in modules}


def test_one_command_alone_asks_for_the_test_set() -> None:
    asking = re.compile(r"\.final_test\(|\._test\b")
    found = {
        str(path.relative_to(SOURCES)): asking.findall(path.read_text(encoding="utf-8"))
        for path in SOURCES.rglob("*.py")
    }
    found = {name: calls for name, calls in found.items() if calls}
    assert found.pop("cli/networks.py") == [".final_test("]  # syno train --test
    assert found.pop("evaluate/splits.py") == ["._test"]  # final_test itself
    found.pop("evaluate/text.py", None)  # texts have a test set of their own
    assert found == {}


class TestPlantedLeaks:
    """The same check, where there is something to find."""

    def test_accuracy_of_the_test_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        judge_on_test(monkeypatch)
        with pytest.raises(Opened, match="opened by"):
            check_stays_closed(partial(candidate, POINTWISE))

    def test_a_batch_with_a_test_image(self, monkeypatch: pytest.MonkeyPatch) -> None:
        honest = batches.Batches.draw

        def draw(self: batches.Batches) -> tuple[torch.Tensor, torch.Tensor]:
            images, labels = honest(self)
            return torch.cat([images[1:], self._data._test.images[:1]]), labels

        monkeypatch.setattr(batches.Batches, "draw", draw)
        with pytest.raises(Opened, match="__getitem__"):
            check_stays_closed(partial(by, RECIPE))

    def test_a_look_that_hides_its_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        honest = training.accuracy_on

        def accuracy_on(model: nn.Module, split: Any, splits: DataSplits) -> float:
            try:
                return honest(model, splits._test, splits)
            except Exception:  # noqa: BLE001 -- what is planted hides all
                return honest(model, split, splits)

        monkeypatch.setattr(training, "accuracy_on", accuracy_on)
        with pytest.raises(Opened, match="the test set was opened by"):
            check_stays_closed(partial(by, RECIPE))

    def test_a_test_set_that_is_taken_and_not_read(self) -> None:
        with pytest.raises(Opened, match=r"final_test\('curious'\)"):
            check_stays_closed(lambda: data.load("digits").final_test("curious"))

    def test_a_leak_in_the_workers_of_a_search(self, tmp_path: Path) -> None:
        """They say so, and the search has no baseline."""
        with pytest.raises(StudyError, match="the test set was opened by"):
            check_stays_closed(lambda: searched(tmp_path, leaks.evaluate_leaking))

    def test_a_piece_that_loads_nothing_proves_nothing(self) -> None:
        with pytest.raises(AssertionError, match="nothing is proved"):
            check_stays_closed(lambda: None)


READS: Mapping[str, Callable[[torch.Tensor], object]] = {
    "index": lambda t: t[0],
    "length": len,
    "shape": lambda t: t.shape,
    "sum": torch.Tensor.sum,
    "method": lambda t: t.to("cpu"),
    "compare": lambda t: t == 3,
    "stack": lambda t: torch.stack([torch.zeros_like(torch.zeros(1, 1, 8, 8)), t]),
    "numpy": np.asarray,
    "iterate": list,
    "copy": torch.Tensor.clone,
    "address": torch.Tensor.data_ptr,
    "text": str,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_the_seal_holds(read: Callable[[torch.Tensor], object]) -> None:
    sealed = seal(data.load("digits")).final_test("to see that it is sealed")
    with pytest.raises(Opened):
        read(sealed.images)
    with pytest.raises(Opened):
        read(sealed.labels)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["digits", "cifar10"])
def test_no_test_image_is_in_another_part(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "cifar10":
        monkeypatch.setenv("SYNO_CACHE", str(CACHE))
        if not CIFAR10.file().exists():
            pytest.skip("CIFAR-10 is not here")
    splits = data.load(name, seed=seed)
    parts = splits.train, splits.validation, splits.final_test("to prove that it is apart")
    contents = [{image.numpy().tobytes() for image in part.images} for part in parts]
    assert [len(each) for each in contents] == [len(part) for part in parts]  # all distinct
    train_images, validation, test = contents
    assert train_images.isdisjoint(test) and validation.isdisjoint(test)
    assert train_images.isdisjoint(validation)


def test_the_test_set_is_the_same_for_every_seed() -> None:
    one, other = (data.load("digits", seed=seed) for seed in (0, 1))
    assert torch.equal(one.final_test("same").images, other.final_test("same").images)
    assert not torch.equal(one.validation.images, other.validation.images)
