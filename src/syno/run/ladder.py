"""The ladder in a search: cheap judgements first, the costly one for the best alone.

A candidate is judged by a layer fit, then by short training from the fitted weights, then by long
training from them (`evaluate/fidelities.py`). After each of the first two it climbs on only where
it may be expected to extend the front of accuracy and speed that long trainings have shown: the
hypervolume that it would add, were it as accurate as its judgement lets one hope.

Successive halving (Li et al. 2018, "Massively parallel hyperparameter tuning") asks instead whether
a candidate is among the best by one number. On the table of measured operators it missed a part of
the front in nearly every order (docs/results/README.md): no one number wants all of a front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from syno.search.front import Point, hypervolume, point
from syno.search.outcome import Outcome, Pruned, Scored
from syno.search.reward import Reward

Rung = Literal["fit", "short", "long", "scratch"]
RUNGS: tuple[Rung, ...] = ("fit", "short", "long")  # a search without a ladder trains from scratch


@dataclass(frozen=True)
class Prior:
    """What is thought of a rung before candidates have been to the last one.

    Of the accuracy that a candidate lacks there, the share `slope` is still lacking in the end;
    `deviation` is how far that is off. `hope` is how many deviations better a candidate may turn
    out to be than the line says.
    """

    slope: float
    deviation: float
    hope: float


# Read off docs/results/tabular; worth two candidates each.
PRIORS: Mapping[str, Prior] = {"fit": Prior(0.3, 0.04, 1.0), "short": Prior(0.5, 0.015, 0.5)}
_WORTH = 2


class Climb:
    """Decides who climbs, and says what those who don't would about have reached.

    A candidate goes on where it would add the share `least_gain` or more to the hypervolume. Where
    a candidate lies is told as in `reward`: accuracy, down to where it earns nothing, and the
    logarithm of the latency ratio. All that is kept are the candidates that came to the last rung,
    so that a continued search knows what an uninterrupted one would.
    """

    def __init__(self, reward: Reward, least_gain: float) -> None:
        self.reward = reward
        self.least_gain = least_gain
        self._judged: dict[int, dict[str, Any]] = {}
        self._timings: dict[int, Scored] = {}
        self._pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in PRIORS}
        self._front: list[Point] = []

    def judge(self, number: int, rung: Rung, outcome: Outcome) -> Outcome | None:
        """Return what became of a candidate at a rung; None: it goes on to the next.

        Outcomes other than a score end the climb. `extra["rungs"]` of the last one holds the
        accuracy at each rung.
        """
        judged = self._judged.setdefault(number, {})
        if not isinstance(outcome, Scored):
            self._leave(number)
            return outcome
        outcome = self._timed(number, outcome)
        judged[rung] = {"accuracy": outcome.accuracy, "seconds": outcome.extra.get("seconds")}
        if rung == RUNGS[-1]:
            self._learn(judged, outcome.ratio)
            self._leave(number)
            return replace(outcome, extra={**outcome.extra, "rungs": judged})
        if self.climbs(number, rung, outcome):
            return None
        self._leave(number)
        extra = {**outcome.extra, "rungs": judged}
        told = f"{100 * outcome.accuracy:.2f} % after {TITLES[rung]}: it would add too little"
        return Pruned(told, extra, self.estimate(rung, outcome.accuracy), outcome.ratio)

    def remember(self, outcome: Outcome) -> None:
        """Learn from a candidate of an earlier run."""
        rungs = getattr(outcome, "extra", {}).get("rungs", {})
        if isinstance(outcome, Scored) and RUNGS[-1] in rungs:
            self._learn(rungs, outcome.ratio)

    def estimate(self, rung: Rung, accuracy: float) -> float:
        """Return the accuracy on the last rung that one on `rung` leads to, about.

        A line through the candidates judged by both, and what is thought of the rung beforehand.
        """
        slope, start, _ = self._line(rung)
        return float(min(max(start + slope * accuracy, 0.0), 1.0))

    def climbs(self, _number: int, rung: Rung, outcome: Scored) -> bool:
        """Tell whether a candidate goes on from a rung."""
        return self.gain(rung, outcome.accuracy, outcome.ratio) >= self.least_gain

    def gain(self, rung: Rung, accuracy: float, ratio: float) -> float:
        """Return the share of the hypervolume that a candidate may be hoped to add, 0 to 1."""
        slope, start, deviation = self._line(rung)
        hoped = start + slope * accuracy + PRIORS[rung].hope * deviation
        before = hypervolume(self._front, self.reward.reference)
        after = hypervolume([*self._front, point(hoped, ratio)], self.reward.reference)
        return (after - before) / after if after > before else 0.0

    def _line(self, rung: Rung) -> tuple[float, float, float]:
        """Return slope and start of the line to the last rung, and the deviation from it."""
        prior, pairs, best = PRIORS[rung], self._pairs[rung], self.reward.baseline
        thought = [(best, best), (best - 0.5, best - 0.5 * prior.slope)]
        low, high = np.array([*thought, *pairs]).T
        slope, start = np.polyfit(low, high, 1)
        if slope < 0:
            slope, start = 0.0, high.mean()
        apart = (high - start - slope * low)[len(thought) :]
        squares = _WORTH * prior.deviation**2 + float(np.square(apart).sum())
        return float(slope), float(start), (squares / (_WORTH + len(pairs))) ** 0.5

    def _timed(self, number: int, outcome: Scored) -> Scored:
        """Return an outcome with the ratio of the first rung, where it was timed."""
        first = self._timings.setdefault(number, outcome)
        latency = {name: first.extra[name] for name in ("latency",) if name in first.extra}
        return replace(outcome, ratio=first.ratio, extra={**outcome.extra, **latency})

    def _learn(self, judged: Mapping[str, Any], ratio: float) -> None:
        last = judged[RUNGS[-1]]["accuracy"]
        self._front.append(point(last, ratio))
        for rung, pairs in self._pairs.items():
            if rung in judged:
                pairs.append((judged[rung]["accuracy"], last))

    def _leave(self, number: int) -> None:
        self._judged.pop(number, None)
        self._timings.pop(number, None)


TITLES: Mapping[str, str] = {
    "fit": "the layer fit",
    "short": "short training",
    "long": "long training",
}


def after(rung: Rung) -> Rung:
    """Return the next rung."""
    return RUNGS[RUNGS.index(rung) + 1]
