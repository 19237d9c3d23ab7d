"""The ladder: who climbs, what the others are told to be worth, and a search that goes on."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import misbehaving
import pytest

from syno.ir.errors import StudyError, SynoError
from syno.run.ladder import RUNGS, Climb, Rung, after
from syno.run.search import Search
from syno.run.settings import ProcessLimits, SearchSettings
from syno.run.study import Record, read_study
from syno.search.outcome import Failed, Outcome, Pruned, Scored
from syno.search.reward import Reward


def scored(accuracy: float, ratio: float = 1.5) -> Scored:
    return Scored(accuracy, ratio, 10, 20, {"seconds": 1.0, "latency": {"ratio": ratio}})


REWARD = Reward(0.7)


def climb(found: Climb, number: int, *accuracies: float, ratio: float = 1.5) -> Outcome | None:
    """Let a candidate climb as far as it comes, given what it would reach on each rung."""
    told: Outcome | None = None
    for rung, accuracy in zip(RUNGS, accuracies, strict=False):
        told = found.judge(number, rung, scored(accuracy, ratio))
        if told is not None:
            return told
    return told


def test_one_in_four_climbs_and_they_are_the_best() -> None:
    found, rng = Climb(REWARD, 4), Random(0)
    draws = [rng.random() for _ in range(400)]
    far = [climb(found, number, draw, draw) for number, draw in enumerate(draws)]
    past_fit = [d for d, told in zip(draws, far, strict=True) if not _ended_at(told, "fit")]
    past_short = [d for d, told in zip(draws, far, strict=True) if told is None]
    assert 80 <= len(past_fit) <= 120  # the first few climb before there is a field
    assert 15 <= len(past_short) <= 40
    assert sum(past_fit) / len(past_fit) > 0.8
    assert sum(past_short) / len(past_short) > 0.9


def _ended_at(told: Outcome | None, rung: str) -> bool:
    return isinstance(told, Pruned) and list(told.extra["rungs"]) == [rung]


def test_the_last_rung_is_a_score_that_remembers_the_others() -> None:
    told = climb(Climb(REWARD), 0, 0.3, 0.5, 0.7, ratio=2.0)
    assert isinstance(told, Scored) and told.accuracy == 0.7
    reached = {rung: each["accuracy"] for rung, each in told.extra["rungs"].items()}
    assert reached == {"fit": 0.3, "short": 0.5, "long": 0.7}


def test_only_the_first_rung_is_timed() -> None:
    found = Climb(REWARD)
    assert found.judge(0, "fit", scored(0.3, ratio=2.5)) is None
    untimed = Scored(0.5, 1.0, 10, 20, {"seconds": 1.0})
    assert found.judge(0, "short", untimed) is None
    told = found.judge(0, "long", untimed)
    assert isinstance(told, Scored) and told.ratio == 2.5
    assert told.extra["latency"] == {"ratio": 2.5}


def test_speed_makes_up_for_some_accuracy() -> None:
    slow, fast = Climb(REWARD, 2), Climb(REWARD, 2)
    for found in (slow, fast):
        for number in range(10):
            climb(found, number, 0.68, 0.68, 0.68)
    assert isinstance(climb(slow, 99, 0.66, 0.66), Pruned)
    assert climb(fast, 99, 0.66, 0.66, ratio=4.0) is None


def test_accuracy_weighs_on_the_first_rung_as_little_as_it_will_in_the_end() -> None:
    found = Climb(REWARD, 2)
    for number in range(10):
        value = 0.1 + 0.05 * number  # ever better, so that all climb; the last rung is near to all
        climb(found, number, value, 0.6 + 0.1 * value, 0.62 + 0.1 * value)
    assert found.estimate("fit", 0.3) == pytest.approx(0.65)
    assert climb(found, 98, 0.3, 0.63, ratio=3.0) is None
    assert isinstance(climb(found, 99, 0.3, 0.63), Pruned)


def test_what_goes_wrong_ends_the_climb() -> None:
    found = Climb(REWARD)
    failed = Failed("not_a_number", "")
    assert found.judge(0, "fit", scored(0.5)) is None
    assert found.judge(0, "short", failed) is failed


def test_those_given_up_count_as_what_they_would_reach() -> None:
    found = Climb(REWARD, 2)
    assert found.estimate("fit", 0.4) == 0.4  # nothing is known
    for number, step in enumerate(range(8)):
        value = 0.1 + 0.05 * step  # ever better, so that all climb
        climb(found, number, value, value + 0.1, 0.5 + value)
    assert found.estimate("fit", 0.2) == pytest.approx(0.7)
    assert found.estimate("short", 0.3) == pytest.approx(0.7)
    assert found.estimate("fit", 5.0) == 1.0
    told = climb(found, 99, 0.12)
    assert isinstance(told, Pruned) and told.accuracy == pytest.approx(0.62)
    reward = Reward(0.7)
    assert 0 < reward(told) < reward(scored(0.7))
    assert reward(told) == reward(scored(told.accuracy, 1.5))


def test_given_up_for_other_reasons_is_worth_nothing() -> None:
    assert Reward(0.7)(Pruned("too slow")) == 0.0


def test_a_continued_climb_decides_as_one_that_was_not_interrupted() -> None:
    rng = Random(1)
    draws = [(rng.random(), rng.random(), rng.random()) for _ in range(60)]
    whole, first = Climb(REWARD), Climb(REWARD)
    told = [climb(whole, number, *each) for number, each in enumerate(draws)]
    for number, each in enumerate(draws[:30]):
        climb(first, number, *each)
    again = Climb(REWARD)
    for number, outcome in enumerate(told[:30]):
        assert outcome is not None
        again.remember(number, outcome)
    assert [climb(again, 30 + n, *each) for n, each in enumerate(draws[30:])] == told[30:]


def test_the_order_of_rungs() -> None:
    rungs: list[Rung] = ["fit", "short"]
    assert [after(rung) for rung in rungs] == ["short", "long"]


# ------------------------------------------------------------------------------------- a search


def settings(folder: Path, **changes: Any) -> SearchSettings:
    given: dict[str, Any] = {
        "model": "convnet",
        "data": "digits",
        "study": folder / "a.db",
        "minutes": 2.0,
        "trials": 3,
        "finalists": 0,
        "ladder": True,
        "limits": ProcessLimits(12.0, 600),
    }
    return SearchSettings(**{**given, **changes})


def run(folder: Path, **changes: Any) -> dict[str, Any]:
    evaluators = misbehaving.by_rung, misbehaving.score
    return Search(settings(folder, **changes), lambda _event: None, *evaluators).run()


def records(folder: Path) -> list[Record]:
    return read_study(folder / "a.db").records()


def test_a_search_trains_those_that_climbed(tmp_path: Path) -> None:
    result = run(tmp_path, trials=6)
    assert result["ended"] == "trials"
    found = [each.outcome for each in records(tmp_path)]
    trained = [each for each in found if isinstance(each, Scored)]
    given_up = [each for each in found if isinstance(each, Pruned) and "rungs" in each.extra]
    assert len(trained) >= 6 and given_up
    assert all(list(each.extra["rungs"]) == list(RUNGS) for each in trained)
    assert all(each.ratio == 1.5 for each in trained)
    assert all(each.accuracy is not None for each in given_up)


def test_a_continued_search_remembers_the_field(tmp_path: Path) -> None:
    run(tmp_path, trials=2)
    before = len(records(tmp_path))
    result = run(tmp_path, trials=4)
    assert result["known"] == before
    trained = [each for each in records(tmp_path) if isinstance(each.outcome, Scored)]
    assert len(trained) >= 4


def test_a_ladder_is_another_study(tmp_path: Path) -> None:
    run(tmp_path, trials=1)
    with pytest.raises(StudyError, match="ladder"):
        run(tmp_path, ladder=False)


def test_a_share_of_one_trains_everyone_for_long(tmp_path: Path) -> None:
    run(tmp_path, trials=3, share=1)
    found = [each.outcome for each in records(tmp_path)]
    trained = [each for each in found if isinstance(each, Scored)]
    assert len(trained) >= 3
    assert all(list(each.extra["rungs"]) == [RUNGS[-1]] for each in trained)
    assert not any(isinstance(each, Pruned) and "rungs" in each.extra for each in found)


def test_a_share_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynoError, match="--share has to be 1 or more"):
        settings(tmp_path, share=0)
