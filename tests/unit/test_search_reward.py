"""The one reward: accuracy first, speed as far as accuracy holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut
from syno.search.reward import Reward

BASELINE = 0.9
ACCURACIES = [0.0, 0.3, 0.7, 0.74, 0.8, 0.85, 0.88, 0.889, 0.89, 0.9, 0.95, 1.0]
RATIOS = [0.0, 0.2, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0, 4.0, 50.0]
UNMEASURED: list[Outcome] = [
    Failed("error", "m"),
    Failed("out_of_memory", "m"),
    Failed("not_a_number", "m"),
    Failed("crashed", "m"),
    TimedOut(3.0),
    Pruned("m"),
]


def at(accuracy: float, ratio: float) -> Scored:
    return Scored(accuracy, ratio, 1, 1)


def check(reward: Callable[[Outcome], float]) -> None:
    table = [[reward(at(a, r)) for r in RATIOS] for a in ACCURACIES]
    assert all(0 <= value <= 1 for row in table for value in row), "bounds"
    assert all(one <= two for row in table for one, two in pairwise(row)), "faster is worse"
    columns = zip(*table, strict=True)
    assert all(one <= two for col in columns for one, two in pairwise(col)), "better is worse"
    assert all(reward(outcome) == 0 for outcome in UNMEASURED), "unmeasured"
    assert reward(at(BASELINE, 2.0)) > reward(at(BASELINE, 1.0)), "speed counts"
    assert reward(at(BASELINE, 1.0)) > reward(at(BASELINE - 0.1, 1.0)), "accuracy counts"
    assert reward(at(BASELINE, 1.0)) > reward(at(BASELINE - 0.2, 4.0)), "speed does not buy it"


def test_the_reward_is_as_it_should_be() -> None:
    check(Reward(BASELINE))


REWARD = Reward(BASELINE)
PLANTED: dict[str, Callable[[Outcome], float]] = {
    "bounds": lambda o: 2 * REWARD(o),
    "faster is worse": lambda o: REWARD(at(o.accuracy, 4 - o.ratio)) if scored(o) else 0.0,
    "better is worse": lambda o: REWARD(at(1.8 - o.accuracy, o.ratio)) if scored(o) else 0.0,
    "unmeasured": lambda o: max(REWARD(o), 0.01),
    "speed counts": lambda o: REWARD(at(o.accuracy, 1.0)) if scored(o) else 0.0,
    "accuracy counts": lambda o: REWARD(at(BASELINE, o.ratio)) if scored(o) else 0.0,
    "speed does not buy it": lambda o: (
        0.4 * o.accuracy + 0.15 * min(o.ratio, 4) if scored(o) else 0
    ),
}


def scored(outcome: Outcome) -> bool:
    return isinstance(outcome, Scored)


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_reward_is_found_out(text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        check(PLANTED[text])


def test_the_reward_by_hand() -> None:
    reward = Reward(0.9, tolerance=0.01, patience=10.0, best_ratio=4.0)
    assert reward(at(0.9, 1.0)) == 0.5
    assert reward(at(0.89, 4.0)) == 1.0  # within the tolerance, as fast as counts
    assert reward(at(0.95, 2.0)) == pytest.approx(0.75)  # half way to 4 on a log scale
    assert reward(at(0.84, 1.0)) == pytest.approx(0.25)  # half way through its patience
    assert reward(at(0.79, 4.0)) == pytest.approx(0.0, abs=1e-12)
    assert reward(at(0.9, 0.5)) == 0.5  # slower than the original earns no more, and no less
