"""Searches among what was measured: a candidate costs nothing to ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from syno.search.outcome import Failed, Outcome, Scored
from syno.search.protocol import Setting, Space, Strategy
from syno.search.reward import Reward
from syno.testing.tabular.table import Row


def outcome_of(row: Row, accuracy: str = "long_accuracy") -> Outcome:
    """Return what a search would be told of a row, with the accuracy of that column."""
    if not row.has(accuracy, "ratio", "flops", "parameters"):
        return Failed("error", row.failure or "not measured")
    counts = int(row["flops"]), int(row["parameters"])
    return Scored(row[accuracy], row["ratio"], *counts)


def order_asked(
    make: Callable[[Setting], Strategy],
    space: Space,
    rows: Mapping[object, Row],
    baseline: float,
    seed: int,
    accuracy: str = "long_accuracy",
) -> list[Row]:
    """Return rows in the order in which a strategy asks for them, one at a time, to its end.

    The strategy is rewarded as in a search (`syno.search.reward.Reward`); `baseline` is the
    accuracy of the original, `accuracy` the column of the rows'. `rows` has a row for every
    candidate of `space`.
    """
    strategy = make(Setting(space, Reward(baseline), seed))
    found: list[Row] = []
    while (candidate := strategy.ask()) is not None:
        found.append(rows[candidate])
        strategy.tell(candidate, outcome_of(found[-1], accuracy))
    return found


def evaluations_to(growth: Sequence[float], least: float) -> int | None:
    """Return after how many evaluations at least so much is covered; None where it never is."""
    return next((count for count, each in enumerate(growth, start=1) if each >= least), None)
