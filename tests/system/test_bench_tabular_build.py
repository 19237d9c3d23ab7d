"""The builder of the tabular benchmark: what it writes is what the table's readers ask for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from syno.evaluate import fidelities
from syno.evaluate import teacher as teachers
from syno.evaluate.fidelities import LadderSettings
from syno.evaluate.fit import FitSettings
from syno.evaluate.recipes import RECIPES
from syno.run.study import open_study
from syno.search.outcome import Failed, Outcome, Pruned, Scored
from syno.testing.tabular import COLUMNS
from syno.zoo.named import NAMED

BENCH = Path(__file__).resolve().parents[2] / "bench"
SEPARABLE = str(NAMED["separable-convolution"].operator)
LITTLE = replace(RECIPES["digits"], epochs=0.1)
TAUGHT = replace(LITTLE, distillation=0.9)
SETTINGS = LadderSettings(FitSettings(positions=512, images=16, sweeps=1), 50, TAUGHT, 50)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The builder, at a small network and with little of everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        made = importlib.import_module("tabular_build")
        patch.setenv("SYNO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(teachers, "TEACHER_RECIPES", {"digits": LITTLE})
        little = replace(SETTINGS, long=TAUGHT, scratch=LITTLE)
        patch.setattr(fidelities, "LADDERS", {"digits": little})
        values = {"MODEL": "convnet", "DATA": "digits", "BACKEND": "torch", "ROUNDS": 2}
        for name, value in {**values, "LONGER_EPOCHS": 0.2}.items():
            patch.setattr(made, name, value)
        made.ladder.cache_clear()
        yield made
        made.ladder.cache_clear()


@pytest.mark.parametrize("text", [None, SEPARABLE])
def test_every_rung_fills_its_column_with_numbers(bench: ModuleType, text: str | None) -> None:
    for rung, column in bench.RUNGS.items():
        cells = bench.cells_of(rung, text)
        assert column in cells, rung
        assert set(cells) - {"ratio_low", "ratio_high"} <= COLUMNS.keys() & set(bench.COLUMNS)
        assert all(isinstance(each, float | int) for each in cells.values()), cells


def test_a_builder_that_always_fails_stops(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "Executor", Failing)
    table = bench.Table(tmp_path)
    table.rows = {str(number): {"operator": str(number)} for number in range(9)}
    tasks = [("ratio", text) for text in table.rows]
    with pytest.raises(SystemExit, match="ratio failed 4 times in a row"):
        bench.run(table, tasks, 1, float("inf"))
    assert [row.get("failure", "") != "" for row in table.rows.values()] == [True] * 3 + [False] * 6


def trained(accuracy: float, **rungs: dict[str, float]) -> Scored:
    latency = {"ratio": 1.23456, "ratio_low": 1.2, "ratio_high": 1.3}
    return Scored(accuracy, 1.23456, 7, 8, {"latency": latency, "rungs": rungs})


def study(file: Path, *outcomes: Outcome) -> Path:
    made = open_study(file, {"model": "m"})
    made.note("baseline", {"accuracy": 0.8, "extra": {"seconds": 90.04}})
    for number, outcome in enumerate(outcomes):
        made.finish(made.begin(f"operator {number}"), outcome)
    made.close()
    return file


def test_what_a_search_trained_makes_the_rows(bench: ModuleType, tmp_path: Path) -> None:
    long = {"score": 0.7, "seconds": 123.45}
    file = study(tmp_path / "full.db", Pruned("slow"), trained(0.7, long=long), Failed("error", ""))
    rows, baseline = bench.searched(file)
    cells = {"operator": "operator 1", "flops": 7, "parameters": 8, "ratio": 1.2346}
    cells |= {"ratio_low": 1.2, "ratio_high": 1.3, "long_accuracy": 0.7, "long_seconds": 123.5}
    assert rows == {"operator 1": cells} and cells.keys() <= set(bench.COLUMNS)
    assert baseline == {"ratio": 1.0, "long_accuracy": 0.8, "long_seconds": 90.0}
    table = bench.Table(tmp_path)
    table.rows = {"operator 1": {"short_accuracy": 0.6, "long_accuracy": 0.5}, "elsewhere": {}}
    table.enter(rows, baseline)
    assert table.rows == {"operator 1": {"short_accuracy": 0.6, **cells}}


def test_a_search_in_which_some_were_not_trained_makes_no_rows(
    bench: ModuleType, tmp_path: Path
) -> None:
    climbed = trained(0.7, fit={"seconds": 1.0}, long={"seconds": 100.0})
    with pytest.raises(SystemExit, match="--least-gain 0"):
        bench.searched(study(tmp_path / "ladder.db", climbed))


class Failing:
    """Runs nothing, in the place of an executor; everything fails."""

    def __init__(self, *_given: Any) -> None:
        self.flying: list[Any] = []

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *_given: object) -> None:
        pass

    @property
    def has_room(self) -> bool:
        return not self.flying

    def submit(self, key: Any, *_given: Any) -> None:
        self.flying.append(key)

    def next_done(self, _seconds: float) -> tuple[Any, Failed]:
        return self.flying.pop(), Failed("error", "KeyError: 'ratio_quartiles'")
