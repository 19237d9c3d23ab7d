"""The one reward function: from an outcome to a number in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from syno.search.front import Point
from syno.search.outcome import Outcome, Pruned, Scored


@dataclass(frozen=True)
class Reward:
    """Accuracy first, speed as far as accuracy holds.

    A candidate `tolerance` (a share of 1) below `baseline` accuracy keeps all of its speed bonus,
    one `patience` times further below keeps none. Speed counts on a log scale up to `best_ratio`.
    A candidate that a cheaper judgement gave up counts as what it would about have reached;
    anything else that was not measured earns nothing.
    """

    baseline: float
    tolerance: float = 0.01
    patience: float = 15.0
    best_ratio: float = 4.0

    @property
    def lost(self) -> float:
        """How far below the baseline an accuracy is worth next to nothing, a share of 1."""
        return self.tolerance * self.patience

    @property
    def reference(self) -> Point:
        """Where a candidate is worth nothing: that inaccurate, or no faster (`search/front.py`)."""
        return self.baseline - self.lost, 0.0

    def __call__(self, outcome: Outcome) -> float:
        """Return the reward of `outcome`."""
        if not isinstance(outcome, Scored | Pruned):
            return 0.0
        if outcome.accuracy is None or outcome.ratio is None:
            return 0.0
        loss = max(self.baseline - self.tolerance - outcome.accuracy, 0.0)
        kept = max(1.0 - loss / (self.patience * self.tolerance), 0.0)
        speed = min(max(log(max(outcome.ratio, 1e-6)) / log(self.best_ratio), 0.0), 1.0)
        return kept * (0.5 + 0.5 * speed)
