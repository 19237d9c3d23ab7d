"""The ladder in a search: cheap judgements first, the costly one for the best alone.

A candidate is judged by a layer fit, then by short training from the fitted weights, then by long
training from them (`evaluate/fidelities.py`). After each of the first two it climbs on
only while it is among the best share of those that came so far: successive halving, as Optuna's
pruner does it without waiting for anyone (Li et al. 2018, "Massively parallel hyperparameter
tuning"). The best are those whose reward would be the greatest: accuracy on a low rung is first
turned into what it would become on the last, so that speed weighs there as it does in the search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any, Literal

import numpy as np
import optuna

from syno.search.outcome import Outcome, Pruned, Scored
from syno.search.reward import Reward

Rung = Literal["fit", "short", "long", "scratch"]
RUNGS: tuple[Rung, ...] = ("fit", "short", "long")  # a search without a ladder trains from scratch
_BIT = 1e-3  # of the accuracy, on top of the reward: orders those that earn nothing
_FEW = 5  # pairs of judgements below which no line is drawn through them


class Climb:
    """Decides who climbs, and says what those who don't would about have reached.

    Of those that come to a rung one in `share` goes on: those with the greatest `reward`, the one
    of the search. Everything follows from the outcomes it is told, so that a continued search only
    has to tell them again.
    """

    def __init__(self, reward: Reward, share: int = 4) -> None:
        self.reward = reward
        self.share = share
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=share)
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._field = optuna.create_study(direction="maximize", pruner=pruner)
        optuna.logging.set_verbosity(level)
        self._climbers: dict[int, optuna.Trial] = {}
        self._judged: dict[int, dict[str, Any]] = {}
        self._timings: dict[int, Scored] = {}
        self._pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in RUNGS[:-1]}

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
            self._learn(judged)
            self._leave(number)
            return replace(outcome, extra={**outcome.extra, "rungs": judged})
        if self._climbs(number, rung, outcome):
            return None
        self._leave(number)
        extra = {**outcome.extra, "rungs": judged}
        told = f"{100 * outcome.accuracy:.2f} % after {TITLES[rung]}: others did better"
        return Pruned(told, extra, self.estimate(rung, outcome.accuracy), outcome.ratio)

    def remember(self, number: int, outcome: Outcome) -> None:
        """Learn from a candidate of an earlier run."""
        rungs = getattr(outcome, "extra", {}).get("rungs")
        if not rungs:
            return
        ratio = getattr(outcome, "ratio", None) or 1.0
        for rung, found in rungs.items():
            if rung != RUNGS[-1]:
                self._climbs(number, rung, Scored(found["accuracy"], ratio, 0, 0))
        if RUNGS[-1] in rungs:
            self._learn(rungs)
        self._leave(number)

    def estimate(self, rung: Rung, accuracy: float) -> float:
        """Return the accuracy on the last rung that one on `rung` leads to, about.

        A line through the candidates judged by both; where there are few, their median distance.
        """
        pairs = self._pairs[rung]
        if not pairs:
            return accuracy
        low, high = (np.array(each) for each in zip(*pairs, strict=True))
        if len(pairs) < _FEW or np.ptp(low) == 0:
            found = accuracy + median(high - low)
        else:
            slope, start = np.polyfit(low, high, 1)
            found = start + max(slope, 0.0) * accuracy
        return float(min(max(found, 0.0), 1.0))

    def _timed(self, number: int, outcome: Scored) -> Scored:
        """Return an outcome with the ratio of the first rung, where it was timed."""
        first = self._timings.setdefault(number, outcome)
        latency = {name: first.extra[name] for name in ("latency",) if name in first.extra}
        return replace(outcome, ratio=first.ratio, extra={**outcome.extra, **latency})

    def _climbs(self, number: int, rung: Rung, outcome: Scored) -> bool:
        if number not in self._climbers:
            self._climbers[number] = self._field.ask()
        trial = self._climbers[number]
        expected = self.estimate(rung, outcome.accuracy)
        value = self.reward(replace(outcome, accuracy=expected)) + _BIT * expected
        trial.report(value, self.share ** RUNGS.index(rung))
        return not trial.should_prune()

    def _learn(self, judged: Mapping[str, Any]) -> None:
        last = judged[RUNGS[-1]]["accuracy"]
        for rung, pairs in self._pairs.items():
            if rung in judged:
                pairs.append((judged[rung]["accuracy"], last))

    def _leave(self, number: int) -> None:
        trial = self._climbers.pop(number, None)
        self._judged.pop(number, None)
        self._timings.pop(number, None)
        if trial is not None:
            self._field.tell(trial, state=optuna.trial.TrialState.PRUNED)


TITLES: Mapping[str, str] = {
    "fit": "the layer fit",
    "short": "short training",
    "long": "long training",
}


def after(rung: Rung) -> Rung:
    """Return the next rung."""
    return RUNGS[RUNGS.index(rung) + 1]
