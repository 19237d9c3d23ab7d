"""The search loop: it goes on whatever candidates do, and continues where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import misbehaving
import optuna
import pytest
from torch import Tensor, nn

from syno.evaluate.models import ModelInfo
from syno.ir.errors import ModelError, StudyError, SynoError
from syno.run.candidate import Task
from syno.run.search import Event, Search
from syno.run.settings import ProcessLimits, SearchSettings
from syno.run.study import Record, open_study, read_study
from syno.search.outcome import Failed, Outcome, Scored, TimedOut

Evaluator = Callable[[Task], Outcome]


def settings(folder: Path, **changes: Any) -> SearchSettings:
    given: dict[str, Any] = {
        "model": "convnet",
        "data": "digits",
        "study": folder / "a.db",
        "minutes": 2.0,
        "trials": 3,
        "workers": 2,
        "finalists": 0,
        "limits": ProcessLimits(12.0, 300),
    }
    return SearchSettings(**{**given, **changes})


def run(
    folder: Path, evaluator: Evaluator = misbehaving.score, **changes: Any
) -> tuple[dict[str, Any], list[Event]]:
    events: list[Event] = []
    result = Search(settings(folder, **changes), events.append, evaluator).run()
    return result, [each for each in events if each.phase != "waiting"]


def records(folder: Path) -> list[Record]:
    return read_study(folder / "a.db").records()


def kind(outcome: Outcome) -> str:
    return outcome.kind if isinstance(outcome, Failed) else type(outcome).__name__


def test_the_search_goes_on_whatever_candidates_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = tmp_path / "turns"
    turns.mkdir()
    monkeypatch.setenv(misbehaving.TURNS, str(turns))
    result, events = run(tmp_path, misbehaving.in_turn)
    found = Counter(kind(each.outcome) for each in records(tmp_path))
    del found["Pruned"]  # by its multiply-adds, before it came to a process
    assert found == {
        "TimedOut": 1,
        "out_of_memory": 1,
        "not_a_number": 1,
        "crashed": 1,
        "error": 1,
        "Scored": 3,
    }
    assert result["ended"] == "trials"
    assert TimedOut(12.0) in [each.outcome for each in records(tmp_path)]
    told = [each.record for each in events if each.record is not None]
    assert sorted(told, key=lambda each: each.number) == records(tmp_path)
    assert all(each.seconds > 0 for each in told)


def test_a_finished_search_redoes_nothing(tmp_path: Path) -> None:
    finals = {"finalists": 1, "confirm_seeds": 1}
    first, events = run(tmp_path, **finals)
    assert Counter(each.phase for each in events if each.phase != "search") == {
        "baseline": 2,
        "confirm": 2,
        "timing": 2,
    }
    before = records(tmp_path)
    again, events = run(tmp_path, misbehaving.fail, **finals)  # whatever it evaluates fails
    assert records(tmp_path) == before
    assert (again["known"], again["new"], again["ended"]) == (len(before), 0, "trials")
    assert again["front"] == first["front"]
    assert [each.phase for each in events] == ["study", "baseline"]
    assert events[0].text == f"continuing: {len(before)} candidates are known, 3 trained"


def test_a_study_goes_on_with_other_settings_and_asks_nothing_twice(tmp_path: Path) -> None:
    run(tmp_path)
    before = records(tmp_path)
    result, _ = run(tmp_path, trials=6, seed=5, strategy="random", workers=1)
    after = records(tmp_path)
    assert after[: len(before)] == before
    assert sum(isinstance(each.outcome, Scored) for each in after) == 6
    assert len({each.operator for each in after}) == len(after)
    assert result["new"] == len(after) - len(before) > 0


def test_candidates_in_flight_at_the_end_are_abandoned_not_blamed(tmp_path: Path) -> None:
    chosen = settings(tmp_path, minutes=0.15, limits=ProcessLimits(1e6, 300))
    search = Search(chosen, evaluator=misbehaving.hang)
    with closing(open_study(chosen.study, search.identity())) as study:
        study.note("baseline", asdict(misbehaving.score()))
    result = search.run()
    assert result["ended"] == "time"
    assert not any(isinstance(each.outcome, TimedOut) for each in records(tmp_path))
    trials = optuna.load_study(study_name="syno", storage=f"sqlite:///{chosen.study}").trials
    assert any(each.user_attrs.get("abandoned") for each in trials)
    assert all(each.state.is_finished() for each in trials)


def test_a_baseline_that_fails_ends_the_search_in_words(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="could not be trained: error: ValueError: there is no"):
        run(tmp_path, misbehaving.fail)
    run(tmp_path)  # and the study can be used again
    assert len(records(tmp_path)) >= 3


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"minutes": 0}, "--minutes has to be"),
        ({"minutes": float("nan")}, "--minutes has to be"),
        ({"trials": -1}, "--trials has to be"),
        ({"workers": 0}, "--workers has to be"),
        ({"batch": 0}, "--batch has to be"),
        ({"mode": "fast"}, "--mode is eager or compile, not 'fast'"),
        ({"finalists": -1}, "--finalists has to be"),
        ({"limits": ProcessLimits(0, 1)}, "--limit-seconds has to be"),
        ({"limits": ProcessLimits(1, 0)}, "--limit-megabytes has to be"),
        ({"strategy": "luck"}, "no strategy called 'luck'; known are: beam, evolution, mcts"),
    ],
)
def test_settings_that_ask_for_nothing_are_refused(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(SynoError, match=text):
        settings(tmp_path, **change)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epochs": 0.0}, "epochs has to be a number above 0"),
        ({"model": "nosuch"}, "no model called 'nosuch'; known are"),
        ({"data": "nosuch"}, "data set called 'nosuch'; known are"),
        ({"model": "resnet20"}, "resnet20 takes images of 3x32x32 in 10 classes; those of digits"),
        ({"data": "cifar10", "model": "resnet20"}, "syno data fetch cifar10"),
    ],
)
def test_what_cannot_be_searched_is_told_before_a_study_is_made(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(SynoError, match=text):
        run(tmp_path, **change)
    assert list(tmp_path.iterdir()) == []


class NoSites(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def test_a_model_without_sites_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ModelInfo("flat", (1, 1, 8, 8), 10, "digits", NoSites, "nothing to replace")
    monkeypatch.setattr("syno.evaluate.models.MODELS", {"flat": row})
    with pytest.raises(ModelError, match="There is no site for an operator in flat"):
        run(tmp_path, model="flat")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"epochs": 9.0}, {"batch": 7}])
def test_a_study_of_another_question_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    chosen = settings(tmp_path)
    open_study(chosen.study, Search(chosen).identity()).close()
    with pytest.raises(StudyError, match="was made for another search"):
        run(tmp_path, **change)
