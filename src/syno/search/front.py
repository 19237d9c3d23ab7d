"""How much of accuracy and speed a set of candidates covers."""

from __future__ import annotations

from collections.abc import Iterable
from math import log

Point = tuple[float, float]


def point(accuracy: float, ratio: float) -> Point:
    """Return accuracy and the logarithm of the speed: from 1 to 2 is as much as from 2 to 4."""
    return accuracy, log(max(ratio, 1e-6))


def hypervolume(points: Iterable[Point], reference: Point) -> float:
    """Return the area that `points` dominate above `reference`; more is better in both.

    Zitzler, Thiele 1998, "Multiobjective optimization using evolutionary algorithms: a comparative
    case study". Exact, by one sweep from the greatest first coordinate. (Optuna has no public
    function for it.)
    """
    area, height = 0.0, reference[1]
    for x, y in sorted(points, reverse=True):
        if x > reference[0] and y > height:
            area += (x - reference[0]) * (y - height)
            height = y
    return area
