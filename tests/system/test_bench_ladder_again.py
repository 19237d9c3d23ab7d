"""A search among the candidates of another one: the same ones, in the same order, each once."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import misbehaving
import pytest

from syno.run.search import Search
from syno.run.settings import ProcessLimits, SearchSettings
from syno.run.study import read_study

BENCH = Path(__file__).resolve().parents[2] / "bench"
EVALUATORS = misbehaving.by_rung, misbehaving.score
COUNT = 12


@pytest.fixture
def bench() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        yield importlib.import_module("ladder_again")


def settings(study: Path, **changes: Any) -> SearchSettings:
    given = {"study": study, "minutes": 2.0, "workers": 1, "finalists": 0, "ladder": True}
    limits = ProcessLimits(12.0, 600)
    return SearchSettings("convnet", "digits", **{**given, "limits": limits, **changes})


def operators(study: Path) -> list[str]:
    return [record.operator for record in read_study(study).records()]


def test_it_asks_for_the_same_candidates_and_trains_fewer(
    bench: ModuleType, tmp_path: Path
) -> None:
    full, again = tmp_path / "full.db", tmp_path / "again.db"
    Search(settings(full, trials=COUNT, least_gain=0.0), lambda _event: None, *EVALUATORS).run()
    asked = operators(full)
    assert len(asked) >= COUNT
    given = settings(again), lambda _event: None, *EVALUATORS
    half = bench.SearchAgain(asked[: COUNT // 2], *given).run()
    assert half["ended"] == "space" and set(operators(again)) == set(asked[: COUNT // 2])
    found = bench.SearchAgain(asked, *given).run()
    assert found["ended"] == "space" and operators(again) == asked
    assert found["known"] == COUNT // 2 and found["new"] == len(asked) - COUNT // 2
    outcomes = [type(record.outcome).__name__ for record in read_study(again).records()]
    assert 0 < outcomes.count("Scored") < COUNT
