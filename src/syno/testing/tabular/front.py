"""Fronts of accuracy and speed, and how much a front covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from syno.search.front import Point, hypervolume, point
from syno.search.reward import Reward
from syno.testing.tabular.table import Row


@dataclass(frozen=True)
class Front:
    """What is worth finding: accuracy against the logarithm of the latency ratio.

    The reference point is where a candidate is worth nothing: no faster than the original, or
    `lost` less accurate, from where on the reward of a search is as good as nothing too. The ratio
    counts on a log scale, as it does in the reward: from 2 to 4 times as fast is as much as from 1
    to 2. `baseline` is the accuracy of the original after the same training as that of the rows.
    """

    baseline: float
    accuracy: str = "long_accuracy"
    lost: float = Reward(1.0).lost

    def point(self, row: Row) -> Point:
        """Return where a row lies."""
        return point(row[self.accuracy], row["ratio"])

    def covered(self, rows: Iterable[Row]) -> float:
        """Return the hypervolume of rows."""
        return hypervolume(map(self.point, rows), (self.baseline - self.lost, 0.0))

    def growth(self, rows: Iterable[Row]) -> list[float]:
        """Return the hypervolume after each row."""
        found: list[float] = []
        front: list[Row] = []
        for row in rows:
            front = first_front([*front, row], self.point)
            found.append(self.covered(front))
        return found


def first_front(rows: Sequence[Row], point: Callable[[Row], Point]) -> list[Row]:
    """Return the rows that no other one beats in both; of equal ones the first."""
    front: list[Row] = []
    best: float | None = None
    for row in sorted(rows, key=point, reverse=True):
        if best is None or point(row)[1] > best:
            front.append(row)
            best = point(row)[1]
    return front
