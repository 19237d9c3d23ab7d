"""Which candidates get a closer look: the fronts of those that come close, the fastest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from syno.run.ranking import finalists, pareto_front
from syno.run.study import Study, open_study
from syno.search.outcome import Failed, Outcome, Scored


def scored(accuracy: float, ratio: float) -> Scored:
    return Scored(accuracy, ratio, 1, 1)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    made = open_study(tmp_path / "s.db", {"model": "any"})
    made.note("baseline", asdict(scored(0.9, 1.0)))
    yield made
    made.close()


def chosen(study: Study, outcomes: list[Outcome], count: int) -> list[int]:
    for number, outcome in enumerate(outcomes):
        study.finish(study.begin(f"operator {number}"), outcome)
    return [each.number for each in finalists(study, count)]


def test_the_front_within_one_point_comes_first(study: Study) -> None:
    outcomes = [scored(0.80, 9.0), scored(0.895, 2.0), scored(0.91, 1.5), scored(0.905, 1.4)]
    assert chosen(study, [*outcomes, Failed("error", "")], 2) == [1, 2]


def test_the_next_front_follows_and_then_the_most_accurate_of_the_rest(study: Study) -> None:
    close = [scored(0.91, 1.5), scored(0.905, 1.4)]
    far = [scored(0.80, 9.0), scored(0.85, 1.2)]
    assert chosen(study, [*far, *close], 4) == [2, 3, 1, 0]


def test_of_a_long_front_both_ends_are_taken(study: Study) -> None:
    front: list[Outcome] = [scored(0.89 + 0.002 * i, 3.0 - 0.1 * i) for i in range(9)]
    assert chosen(study, front, 3) == [0, 4, 8]


def test_one_finalist_is_the_fastest_that_comes_close(study: Study) -> None:
    assert chosen(study, [scored(0.92, 1.1), scored(0.9, 1.9), scored(0.7, 5.0)], 1) == [1]


def test_exactly_one_point_is_close(study: Study) -> None:
    assert 0.5006 - 0.01 > 0.4906  # as floats have it
    study.note("baseline", asdict(scored(0.5006, 1.0)))
    assert chosen(study, [scored(0.4905, 1.3), scored(0.4906, 1.2)], 1) == [1]


def test_a_front_has_nothing_that_another_beats_in_both(study: Study) -> None:
    outcomes: list[Outcome] = [scored(0.9, 1.0), scored(0.8, 2.0), scored(0.79, 1.9)]
    chosen(study, outcomes, 0)
    assert [each.number for each in pareto_front(study.records())] == [1, 0]
