"""What a search is asked to do. Every default stands here; the command line takes it from here."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path

from syno.ir.errors import SynoError
from syno.search.registry import STRATEGIES

FINALISTS = 4


@dataclass(frozen=True)
class ProcessLimits:
    """Limits of one evaluation; memory is not limited on Windows, which offers no such limit."""

    seconds: float = 1_800.0
    megabytes: int = 6_000


@dataclass(frozen=True)
class SearchSettings:
    """What a search is asked to do; model, data and recipe make the identity of its study.

    `study` is a file or a database URL, `minutes` the time of this run, `trials` the number of
    trained candidates in the study after which the search is over. Strategy, seed, workers and
    limits are no part of the identity: a study may be continued with others. Raises SynoError for
    numbers that ask for nothing.

    Candidates are timed under `mode` (eager or compile; None: as the model's registry row says).
    With `ladder` a candidate is judged by a layer fit and a short training first, and trained for
    long only where it is expected to add the share `least_gain` to the front (`run/ladder.py`);
    that belongs to the identity too. With a least gain of 0 all are trained for long, from fitted
    weights: what a ladder is compared with.
    One is not trained if it is less than `least_ratio` times as fast as the original, or needs less
    than the share `least_flops` of its multiply-adds: so little never was enough.
    """

    model: str
    data: str
    study: str | Path
    strategy: str = "mcts"
    seed: int = 0
    minutes: float = 60.0
    trials: int = 1_000
    workers: int = 2
    mode: str | None = None
    least_ratio: float = 1.05
    least_flops: float = 0.05
    finalists: int = FINALISTS
    confirm_seeds: int = 2
    batch: int = 1
    epochs: float | None = None
    ladder: bool = False
    least_gain: float = 0.005
    limits: ProcessLimits = ProcessLimits()

    def __post_init__(self) -> None:
        if self.mode not in {None, "eager", "compile"}:
            raise SynoError(f"--mode is eager or compile, not {self.mode!r}.")
        if self.strategy not in STRATEGIES:
            known = ", ".join(sorted(STRATEGIES))
            raise SynoError(f"There is no strategy called {self.strategy!r}; known are: {known}.")
        counts = {"trials": self.trials, "workers": self.workers, "batch": self.batch}
        numbers: dict[str, float] = {"minutes": self.minutes, **counts}
        numbers["limit-seconds"] = self.limits.seconds
        numbers["limit-megabytes"] = self.limits.megabytes
        for name, value in numbers.items():
            if not 0 < value < inf:
                raise SynoError(f"--{name} has to be a number above 0; it is {value}.")
        if not 0 <= self.least_gain < 1:
            raise SynoError(f"--least-gain is a share, from 0 to below 1; it is {self.least_gain}.")
        if self.finalists < 0 or self.confirm_seeds < 0:
            raise SynoError(f"--finalists has to be 0 or more; it is {self.finalists}.")
