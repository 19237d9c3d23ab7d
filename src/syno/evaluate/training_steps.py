"""How long a training step takes, with and without operators: interleaved in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import median, quantiles

from syno.ir.errors import SynoError

_WARM_UP = 2

Step = Callable[[], object]


@dataclass(frozen=True)
class StepComparison:
    """Milliseconds of one training step, and how many times faster that of the candidate is.

    Times are medians over the rounds. `ratio` is the median of the ratios of the rounds,
    `ratio_low` and `ratio_high` their quartiles. Times are by the wall clock; those with `cpu` in
    their name count only what this process had of a core, and tell whether the machine was busy.
    """

    original_ms: float
    candidate_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    original_cpu_ms: float
    candidate_cpu_ms: float
    cpu_ratio: float
    rounds: int


def compare_steps(
    original: Step,
    candidate: Step,
    *,
    rounds: int = 15,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> StepComparison:
    """Time two steps in turns, in this process; which one goes first alternates.

    A step is whatever a training repeats: forward, backward and the optimizer. Both run twice
    before anything is timed. `alone` makes the context in which the rounds run, for a caller that
    can quieten the machine. Raises SynoError for less than two rounds.
    """
    if rounds < 2:
        raise SynoError(f"Quartiles take two rounds or more; it is {rounds}.")
    for step in (original, candidate):
        for _ in range(_WARM_UP):
            step()
    with alone():
        pairs = [_round(original, candidate, turn) for turn in range(rounds)]
    ratios = [first.wall / second.wall for first, second in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return StepComparison(
        1e3 * median(first.wall for first, _ in pairs),
        1e3 * median(second.wall for _, second in pairs),
        median(ratios),
        low,
        high,
        1e3 * median(first.cpu for first, _ in pairs),
        1e3 * median(second.cpu for _, second in pairs),
        median(first.cpu / second.cpu for first, second in pairs),
        rounds,
    )


@dataclass(frozen=True)
class _Seconds:
    """How long one step took."""

    wall: float
    cpu: float


def _round(original: Step, candidate: Step, turn: int) -> tuple[_Seconds, _Seconds]:
    """Return the seconds of both."""
    if turn % 2:
        second = _seconds(candidate)
        return _seconds(original), second
    return _seconds(original), _seconds(candidate)


def _seconds(step: Step) -> _Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return _Seconds(time.perf_counter() - wall, time.process_time() - cpu)
