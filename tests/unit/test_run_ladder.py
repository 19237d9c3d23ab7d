"""The ladder: who climbs, what the others are told to be worth, and a search that goes on."""

from __future__ import annotations

import re
import time
from math import log
from pathlib import Path
from random import Random
from typing import Any

import misbehaving
import pytest

from syno.ir.errors import StudyError, SynoError
from syno.run.ladder import RUNGS, Climb, Rung, after
from syno.run.search import Event, Listener, Search
from syno.run.settings import ProcessLimits, SearchSettings
from syno.run.study import Record, read_study
from syno.search.front import hypervolume
from syno.search.outcome import Failed, Outcome, Pruned, Scored
from syno.search.reward import Reward


def scored(accuracy: float, ratio: float = 1.5) -> Scored:
    return Scored(accuracy, ratio, 10, 20, {"seconds": 1.0, "latency": {"ratio": ratio}})


REWARD = Reward(0.7)
REFERENCE = 0.7 - REWARD.lost, 0.0


def climb(found: Climb, number: int, *accuracies: float, ratio: float = 1.5) -> Outcome | None:
    """Let a candidate climb as far as it comes, given what it would reach on each rung."""
    told: Outcome | None = None
    for rung, accuracy in zip(RUNGS, accuracies, strict=False):
        told = found.judge(number, rung, scored(accuracy, ratio))
        if told is not None:
            return told
    return told


def fitted(found: Climb, *candidates: tuple[float, float]) -> list[Outcome | None]:
    """Judge new candidates of a batch, by score and ratio; return what became of them."""
    told = []
    for number, (score, ratio) in enumerate(candidates):
        assert found.advance() is None
        told.append(found.judge(number, "fit", scored(score, ratio)))
    return told


def gone(told: Outcome | None) -> list[str]:
    """Return the rungs that a candidate was judged on."""
    return list(getattr(told, "extra", {}).get("rungs", RUNGS[:-1]))


def test_those_climb_that_extend_the_front() -> None:
    found, rng = Climb(REWARD, 0.01), Random(0)
    known: list[tuple[float, float]] = []
    for number in range(200):
        last, ratio = 0.5 + 0.2 * rng.random(), 1 + rng.random()
        short, fit = 0.7 - 2 * (0.7 - last), 1.0 - (0.7 - last) / 0.3
        told = climb(found, number, fit, short, last, ratio=ratio)
        if isinstance(told, Scored):
            known.append((last, log(ratio)))
        else:  # was hardly worth it
            added = hypervolume([*known, (last, log(ratio))], REFERENCE)
            assert added < 1.012 * hypervolume(known, REFERENCE)
    assert 5 < len(known) < 40


def test_doubt_gets_what_is_nearly_good_enough_to_the_next_rung() -> None:
    found = Climb(REWARD, 0.01)
    assert isinstance(climb(found, 0, 0.9, 0.66, 0.68), Scored)
    assert gone(climb(found, 1, 0.88, 0.60)) == ["fit", "short"]
    assert gone(climb(found, 2, 0.30)) == ["fit"]
    assert gone(climb(found, 3, 0.30, ratio=1.0)) == ["fit"]


def test_a_batch_is_looked_at_before_the_best_of_it_climbs() -> None:
    found = Climb(REWARD, 0.01, batch=3)
    assert fitted(found, (0.7, 1.5), (0.9, 3.0), (0.8, 2.0)) == [None] * 3
    assert found.advance() == (1, "short")
    assert found.judge(1, "short", scored(0.65)) is None
    assert found.advance() == (1, "long")
    assert isinstance(found.judge(1, "long", scored(0.69)), Scored)
    lost = found.give_up()
    assert list(lost) == [0, 2] and isinstance(lost[0], Pruned)
    assert list(lost[0].extra["rungs"]) == ["fit"] and lost[0].ratio == 1.5
    assert [found.advance() for _ in range(3)] == [None] * 3  # the next batch


def test_of_what_climbs_it_is_believed_that_it_reaches_its_estimate() -> None:
    found = Climb(REWARD, 0.01, batch=3)
    assert fitted(found, (0.9, 2.0), (0.75, 1.4), (0.8, 4.0)) == [None] * 3
    assert found.advance() == (2, "short")
    assert found.advance() == (0, "short")
    assert found.advance() is None and found.advance(more=False) is None  # 0 is better than 1
    assert not found.give_up()
    assert isinstance(found.judge(0, "short", Failed("not_a_number", "")), Failed)
    assert found.advance() == (1, "short")


def test_a_batch_is_over_when_nobody_climbs_any_more() -> None:
    found = Climb(REWARD, 0.01, batch=2)
    fitted(found, (0.9, 2.0), (0.1, 1.2))
    assert found.advance() == (0, "short")
    assert found.advance() is None  # another process looks at a new one meanwhile
    assert found.judge(0, "short", scored(0.65)) is None
    assert found.advance() == (0, "long")


def test_nothing_is_more_accurate_than_perfect() -> None:
    found = Climb(Reward(0.98), 0.001)
    climb(found, 0, 1.0, 1.0, 1.0, ratio=2.0)
    assert found.gain("fit", 1.0, 2.0).area == 0.0


def test_where_there_is_nothing_new_those_that_wait_climb() -> None:
    found = Climb(REWARD, 0.01, batch=8)
    assert found.advance() is None
    assert found.judge(0, "fit", scored(0.9)) is None
    assert found.advance() is None
    assert found.advance(more=False) == (0, "short")
    assert found.advance(more=False) is None
    assert found.judge(1, "fit", scored(0.95)) is None
    assert found.advance() is None  # the second of eight
    assert found.advance(patient=False) == (1, "short")
    assert found.advance(patient=False) is None


def test_a_gain_is_the_mean_over_what_a_candidate_may_turn_out_to_reach() -> None:
    found, ratio = Climb(REWARD, 0.01), 1.5
    assert found.gain("fit", 1.0, ratio).share == 1.0  # nothing is known that is worth anything
    assert found.gain("fit", -1.0, ratio).area == 0.0
    # far above the reference, the mean over accuracies is that of the estimate
    area = (0.7 - 0.25 * 0.1 - REFERENCE[0]) * log(ratio)
    assert found.gain("fit", 0.9, ratio).area == pytest.approx(area)
    climb(found, 0, 0.9, 0.65, 0.67, ratio=ratio)
    below, above = (found.gain("short", score, ratio) for score in (0.62, 0.7))
    assert 0 < below.share < 0.03 < above.share < 0.5 and below.area < above.area


def test_the_last_rung_is_a_score_that_remembers_the_others() -> None:
    told = climb(Climb(REWARD, 0.01), 0, 0.5, 0.6, 0.7, ratio=2.0)
    assert isinstance(told, Scored) and told.accuracy == 0.7
    reached = {rung: each["score"] for rung, each in told.extra["rungs"].items()}
    assert reached == {"fit": 0.5, "short": 0.6, "long": 0.7}


def test_only_the_first_rung_is_timed() -> None:
    found = Climb(REWARD, 0.01)
    assert found.judge(0, "fit", scored(0.5, ratio=2.5)) is None
    untimed = Scored(0.6, 1.0, 10, 20, {"seconds": 1.0})
    assert found.judge(0, "short", untimed) is None
    told = found.judge(0, "long", untimed)
    assert isinstance(told, Scored) and told.ratio == 2.5
    assert told.extra["latency"] == {"ratio": 2.5}


def test_speed_makes_up_for_some_accuracy() -> None:
    found = Climb(REWARD, 0.01)
    assert isinstance(climb(found, 0, 0.99, 0.69, 0.69), Scored)
    assert isinstance(climb(found, 1, 0.8, 0.6), Pruned)
    assert climb(found, 2, 0.8, 0.6, ratio=3.0) is None


def test_what_is_no_faster_or_far_too_bad_never_climbs() -> None:
    found = Climb(REWARD, 0.01)
    assert isinstance(climb(found, 0, 1.0, ratio=0.99), Pruned)
    assert isinstance(climb(found, 1, 0.5, 0.2, ratio=9.0), Pruned)


def test_what_goes_wrong_ends_the_climb() -> None:
    found = Climb(REWARD, 0.01)
    failed = Failed("not_a_number", "")
    assert found.judge(0, "fit", scored(0.5)) is None
    assert found.judge(0, "short", failed) is failed


def test_those_given_up_count_as_what_they_would_reach() -> None:
    found = Climb(REWARD, 0.0)
    assert found.estimate("fit", 0.8) == pytest.approx(0.7 - 0.25 * 0.2)  # what is thought of it
    for number in range(100):
        value = 0.1 + 0.004 * number
        climb(found, number, value, value + 0.1, 0.45 + 0.5 * value, ratio=2.0)
    assert found.estimate("fit", 0.2) == pytest.approx(0.55, abs=0.01)
    assert found.estimate("short", 0.3) == pytest.approx(0.55, abs=0.01)
    assert 0.9 < found.estimate("fit", 5.0) <= 1.0
    found.least_gain = 0.5
    told = climb(found, 99, 0.2)
    assert isinstance(told, Pruned) and told.accuracy == found.estimate("fit", 0.2)
    reward = Reward(0.7)
    assert reward(told) == reward(scored(told.accuracy or 0.0, 1.5))


def test_a_line_that_falls_is_no_line() -> None:
    found = Climb(REWARD, 0.0)
    for number in range(9):
        climb(found, number, 0.5 + 0.05 * number, 0.6, 0.69 - 0.05 * number)
    slope = found.estimate("fit", 0.9) - found.estimate("fit", 0.1)
    assert slope == 0.0
    assert 0.3 < found.estimate("fit", 0.7) < 0.7


def test_given_up_for_other_reasons_is_worth_nothing() -> None:
    assert Reward(0.7)(Pruned("too slow")) == 0.0


def test_a_continued_climb_decides_as_one_that_was_not_interrupted() -> None:
    """Two candidates climb at once, so that the second is judged before the first has ended."""
    rng = Random(1)
    draws = [(rng.random(), rng.random(), 0.5 + 0.2 * rng.random()) for _ in range(60)]
    whole, again = Climb(REWARD, 0.01), Climb(REWARD, 0.01)
    told = [each for n in range(0, 30, 2) for each in together(whole, n, draws[n : n + 2])]
    assert sum(isinstance(each, Scored) for each in told) > 2
    for outcome in told:
        again.remember(outcome)
    rest = draws[30:]
    expected = [climb(whole, 30 + n, *each) for n, each in enumerate(rest)]
    assert [climb(again, 30 + n, *each) for n, each in enumerate(rest)] == expected


def together(found: Climb, first: int, draws: list[tuple[float, float, float]]) -> list[Outcome]:
    """Let candidates climb side by side; return what became of them, in the order begun."""
    told: dict[int, Outcome] = {}
    for place, rung in enumerate(RUNGS):
        for number, accuracies in enumerate(draws, start=first):
            if number not in told:
                became = found.judge(number, rung, scored(accuracies[place]))
                if became is not None:
                    told[number] = became
    return [told[number] for number in sorted(told)]


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


def run(folder: Path, listen: Listener = lambda _event: None, **changes: Any) -> dict[str, Any]:
    evaluators = misbehaving.by_rung, misbehaving.score
    return Search(settings(folder, **changes), listen, *evaluators).run()


def records(folder: Path) -> list[Record]:
    return read_study(folder / "a.db").records()


def test_a_search_trains_those_that_climbed(tmp_path: Path) -> None:
    events: list[Event] = []
    result = run(tmp_path, events.append, trials=6)
    assert result["ended"] == "trials"
    said = [event.text for event in events if event.phase == "ladder"]
    assert said and all(re.match(r"#\d+ about [\d.]+ % by .+, [\d.]+x: it may", t) for t in said)
    found = [each.outcome for each in records(tmp_path)]
    trained = [each for each in found if isinstance(each, Scored)]
    given_up = [each for each in found if isinstance(each, Pruned) and "rungs" in each.extra]
    assert len(trained) >= 6 and given_up
    assert all(list(each.extra["rungs"]) == list(RUNGS) for each in trained)
    assert all(each.ratio == each.extra["latency"]["ratio"] > 1.05 for each in trained)
    assert all(each.accuracy is not None for each in given_up)


@pytest.mark.parametrize(
    ("passed", "batch", "patient"),
    [(0.2, 0.2, True), (0.3, 0.3, False), (0.6, 0.2, True), (0.6, 0.3, False), (0.8, 0.1, False)],
)
def test_a_search_is_patient_for_a_part_of_its_time(
    tmp_path: Path, passed: float, batch: float, patient: bool
) -> None:
    """However slowly candidates are judged: a batch of them is not worth all of the time."""
    search = Search(settings(tmp_path, minutes=1_000.0))
    now = time.monotonic()
    search.start = now - 30_000  # the teacher took a part of it
    whole = (search.deadline - now) / (1 - passed)
    search.begun, search.batch_begun = now - passed * whole, now - batch * whole
    assert search._patient() is patient


def test_a_search_waits_for_a_batch_as_long_as_it_is_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patient in (True, False):
        monkeypatch.setattr(Search, "_patient", lambda _self, patient=patient: patient)
        (tmp_path / str(patient)).mkdir()
        run(tmp_path / str(patient), trials=1, workers=1)
        begun = max(each.number for each in records(tmp_path / str(patient)))
        assert (begun >= 16) is patient  # of a batch of 64, some have no outcome


def test_what_fails_as_it_climbs_is_one_candidate_and_its_seconds_count(tmp_path: Path) -> None:
    evaluators = misbehaving.by_rung_sometimes, misbehaving.score
    Search(settings(tmp_path, trials=5), lambda _event: None, *evaluators).run()
    failed = [each for each in records(tmp_path) if isinstance(each.outcome, Failed)]
    assert failed and all("at short" in str(each.outcome) for each in failed)
    assert read_study(tmp_path / "a.db").noted("unfinished") >= len(failed)  # a second of each fit


def test_an_interrupted_ladder_notes_what_it_spent(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.phase == "ladder":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupt, workers=1)
    assert read_study(tmp_path / "a.db").noted("unfinished") == 1.0


def test_all_trials_done_is_the_end_also_after_the_deadline(tmp_path: Path) -> None:
    run(tmp_path, trials=1)
    again = Search(settings(tmp_path, trials=1), lambda _event: None)
    again.evaluator, again.preparer = misbehaving.by_rung, misbehaving.score
    again.start -= 0.8 * 2 * 60
    assert again.run()["ended"] == "trials"


def test_a_continued_search_remembers_the_field(tmp_path: Path) -> None:
    run(tmp_path, trials=2)
    before = len(records(tmp_path))
    assert Search(settings(tmp_path)).climb is None
    evaluators = misbehaving.by_rung, misbehaving.score
    search = Search(settings(tmp_path, trials=2), lambda _event: None, *evaluators)
    assert search.run()["known"] == before == len(records(tmp_path))  # nothing was left to do
    trained = [each.outcome for each in records(tmp_path) if isinstance(each.outcome, Scored)]
    assert search.climb is not None
    for outcome in trained:  # adds nothing: it is known
        last = outcome.extra["rungs"]["long"]["score"]
        assert search.climb.gain("short", last - 0.3, outcome.ratio).area == 0.0
    assert run(tmp_path, trials=4)["known"] == before
    assert sum(isinstance(each.outcome, Scored) for each in records(tmp_path)) >= 4


def test_a_ladder_is_another_study(tmp_path: Path) -> None:
    run(tmp_path, trials=1)
    with pytest.raises(StudyError, match="ladder"):
        run(tmp_path, ladder=False)


def test_where_any_gain_will_do_everyone_is_trained_for_long(tmp_path: Path) -> None:
    run(tmp_path, trials=3, least_gain=0.0)
    found = [each.outcome for each in records(tmp_path)]
    trained = [each for each in found if isinstance(each, Scored)]
    assert len(trained) >= 3
    assert all(list(each.extra["rungs"]) == [RUNGS[-1]] for each in trained)
    assert not any(isinstance(each, Pruned) and "rungs" in each.extra for each in found)


@pytest.mark.parametrize("gain", [-0.1, 1.0])
def test_a_gain_is_a_share(tmp_path: Path, gain: float) -> None:
    with pytest.raises(SynoError, match="--least-gain is a share"):
        settings(tmp_path, least_gain=gain)
