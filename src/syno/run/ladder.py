"""The ladder in a search: cheap judgements first, the costly one for the best alone.

A candidate is judged by a layer fit, then by short training from fitted weights, then by long
training from them (`evaluate/fidelities.py`). What long trainings have shown is a front of accuracy
and speed, and who climbs is who is expected to extend it the most: the hypervolume that it would
add, in the mean over what it may turn out to reach. (Emmerich, Giannakoglou, Naujoks 2006,
"Single- and multiobjective evolutionary optimization assisted by Gaussian random field metamodels",
for the expected improvement of a hypervolume.) So that the first ones are not those that happened
to come first, a batch of candidates is fitted before the best of them climb.

Successive halving (Li et al. 2018, "Massively parallel hyperparameter tuning") asks instead whether
a candidate is among the best by one number. On the table of measured operators it missed a part of
the front in nearly every order (docs/results/README.md): no one number wants all of a front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean
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

    A candidate with the score `perfect` (None: the accuracy of the original) is as accurate as the
    original in the end. Of what a score lacks to that, accuracy lacks the share `slope`;
    `deviation` is how far that is off.
    """

    perfect: float | None
    slope: float
    deviation: float


# Read off docs/results/tabular, where accuracy is worth something; worth two candidates each.
PRIORS: Mapping[str, Prior] = {"fit": Prior(1.0, 0.25, 0.025), "short": Prior(None, 0.4, 0.015)}
_WORTH = 2
_QUANTILES = [NormalDist().inv_cdf((place + 0.5) / 10) for place in range(10)]


@dataclass(frozen=True)
class Gain:
    """The hypervolume that a candidate is expected to add, and its share of what is then there."""

    area: float
    share: float


class Climb:
    """Decides who climbs, and says what those who don't would about have reached.

    A candidate goes on as long as the expected gain is the share `least_gain` of the hypervolume or
    more. Where a candidate lies is told as in `reward`: accuracy, down to where it earns nothing,
    and the logarithm of the latency ratio. `judge` takes in what was measured, `advance` says whose
    turn it is: the best of those that wait, once `batch` new ones are `fitted`. Of what
    climbs at the same time it is believed that it reaches its estimate (Ginsbourger, Le Riche,
    Carraro 2010, "Kriging is well-suited to parallelize optimization").

    All that is known of the field are the candidates that came to the last rung, so that a
    continued search knows what an uninterrupted one would. What waits is lost with the process.
    """

    def __init__(self, reward: Reward, least_gain: float, batch: int = 64) -> None:
        self.reward = reward
        self.least_gain = least_gain
        self.batch = batch
        self.waiting: dict[int, tuple[Rung, Scored]] = {}
        self._climbing: dict[int, Point] = {}
        self.fitted = 0
        self._failed = 0.0
        self._judged: dict[int, dict[str, Any]] = {}
        self._timings: dict[int, Scored] = {}
        self._pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in PRIORS}
        self._front: list[Point] = []

    def judge(self, number: int, rung: Rung, outcome: Outcome) -> Outcome | None:
        """Return what became of a candidate at a rung; None: it waits for the next one.

        The accuracy of a score is what the rung says of a candidate: the share of its layers that
        it explains at `fit`. Outcomes other than a score end the climb. `extra["rungs"]` of the
        last one holds what each rung said, what that cost and when it was known.
        """
        judged = self._judged.setdefault(number, {})
        self._climbing.pop(number, None)
        if not isinstance(outcome, Scored):
            self._failed += _seconds(judged)
            self._leave(number)
            return outcome
        outcome = self._timed(number, outcome)
        cost = {name: outcome.extra.get(name) for name in ("seconds", "finished")}
        judged[rung] = {"score": outcome.accuracy, **cost}
        self.fitted += rung == RUNGS[0]
        if rung == RUNGS[-1]:
            self._learn(judged, outcome.ratio)
            self._leave(number)
            return replace(outcome, extra={**outcome.extra, "rungs": judged})
        if self.climbs(number, rung, outcome):
            self.waiting[number] = rung, outcome
            return None
        return self._given_up(number, rung, outcome)

    def advance(self, more: bool = True, *, patient: bool = True) -> tuple[int, Rung] | None:
        """Return who climbs now, and to which rung; None: it is the turn of a new candidate.

        `more` tells whether new ones are to be had; where not, and nobody waits, all is done.
        Without patience those that wait climb before the batch is complete.
        """
        if more and patient and self.fitted < self.batch:
            return None
        if not self.waiting:
            if not self._climbing:  # who climbs may wait again
                self.fitted = 0
            return None
        believed = [*self._front, *self._climbing.values()]
        gains = {number: self._gain(number, believed) for number in self.waiting}
        number = max(gains, key=lambda each: gains[each].area)
        if self._climbing and gains[number].share < self.least_gain:
            return None  # until it is known what those that climb have reached
        rung, outcome = self.waiting.pop(number)
        self._climbing[number] = point(self.estimate(rung, outcome.accuracy), outcome.ratio)
        return number, after(rung)

    def said(self, number: int) -> str:
        """Return in words what is thought of a candidate that waits."""
        rung, outcome = self.waiting[number]
        reached = 100 * self.estimate(rung, outcome.accuracy)
        return f"about {reached:.1f} % by {TITLES[rung]}, {outcome.ratio:.2f}x: it may climb"

    def give_up(self) -> dict[int, Outcome]:
        """Return what became of those that wait no longer: others have made them superfluous."""
        lost = [
            (number, rung, outcome)
            for number, (rung, outcome) in self.waiting.items()
            if not self.climbs(number, rung, outcome)
        ]
        return {number: self._given_up(number, rung, outcome) for number, rung, outcome in lost}

    @property
    def unfinished(self) -> float:
        """The seconds spent on candidates that failed as they climbed, and on those that wait."""
        return self._failed + sum(map(_seconds, self._judged.values()))

    def remember(self, outcome: Outcome) -> None:
        """Learn from a candidate of an earlier run."""
        rungs = getattr(outcome, "extra", {}).get("rungs", {})
        if isinstance(outcome, Scored) and RUNGS[-1] in rungs:
            self._learn(rungs, outcome.ratio)

    def estimate(self, rung: Rung, score: float) -> float:
        """Return the accuracy on the last rung that a score on `rung` leads to, about.

        A line through the candidates judged by both, and what is thought of the rung beforehand.
        """
        slope, start, _ = self._line(rung)
        return float(min(max(start + slope * score, 0.0), 1.0))

    def climbs(self, _number: int, rung: Rung, outcome: Scored) -> bool:
        """Tell whether a candidate goes on from a rung."""
        return self.gain(rung, outcome.accuracy, outcome.ratio).share >= self.least_gain

    def gain(
        self, rung: Rung, score: float, ratio: float, front: list[Point] | None = None
    ) -> Gain:
        """Return what a candidate is expected to add to a front, by default the one that is known.

        The mean over ten equally likely accuracies around the estimate.
        """
        slope, start, deviation = self._line(rung)
        known = self._front if front is None else front
        before = hypervolume(known, self.reward.reference)
        reached = (min(start + slope * score + far * deviation, 1.0) for far in _QUANTILES)
        wholes = [
            hypervolume([*known, point(each, ratio)], self.reward.reference) for each in reached
        ]
        areas = [whole - before for whole in wholes]
        shares = [a / whole if a > 0 else 0.0 for a, whole in zip(areas, wholes, strict=True)]
        return Gain(fmean(areas), fmean(shares))

    def _gain(self, number: int, front: list[Point]) -> Gain:
        rung, outcome = self.waiting[number]
        return self.gain(rung, outcome.accuracy, outcome.ratio, front)

    def _given_up(self, number: int, rung: Rung, outcome: Scored) -> Pruned:
        extra = {**outcome.extra, "rungs": self._judged[number]}
        self._leave(number)
        reached = self.estimate(rung, outcome.accuracy)
        told = f"about {100 * reached:.1f} % by {TITLES[rung]}: it would add too little"
        return Pruned(told, extra, reached, outcome.ratio)

    def _line(self, rung: Rung) -> tuple[float, float, float]:
        """Return slope and start of the line to the last rung, and the deviation from it."""
        prior, pairs, best = PRIORS[rung], self._pairs[rung], self.reward.baseline
        perfect = best if prior.perfect is None else prior.perfect
        thought = [(perfect, best), (perfect - 0.5, best - 0.5 * prior.slope)]
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
        last = judged[RUNGS[-1]]["score"]
        self._front.append(point(last, ratio))
        for rung, pairs in self._pairs.items():
            if rung in judged:
                pairs.append((judged[rung]["score"], last))

    def _leave(self, number: int) -> None:
        for kept in (self._judged, self._timings, self.waiting):
            kept.pop(number, None)


def _seconds(judged: Mapping[str, Any]) -> float:
    return sum(each["seconds"] or 0.0 for each in judged.values())


TITLES: Mapping[str, str] = {
    "fit": "the layer fit",
    "short": "short training",
    "long": "long training",
}


def explained(residual: float) -> float:
    """Return the score at `fit` of a relative residual: 1 is all of a layer, 0 a constant."""
    return max(1.0 - residual, 0.0)


def after(rung: Rung) -> Rung:
    """Return the next rung."""
    return RUNGS[RUNGS.index(rung) + 1]
