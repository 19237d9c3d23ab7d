"""What a cheap judgement of candidates says about an expensive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, pearsonr, rankdata, spearmanr

from syno.testing.tabular.table import Row

FIDELITIES: Mapping[str, tuple[str, int]] = {
    "layer_fit_sample": ("sample_residual", -1),
    "layer_fit": ("fit_residual", -1),
    "layer_fit_network": ("fit_network_residual", -1),
    "fit_accuracy": ("fit_accuracy", 1),
    "short_training": ("short_accuracy", 1),
    "scratch_training": ("scratch_accuracy", 1),
    "params": ("parameters", 1),
    "flops": ("flops", 1),
    "synflow": ("synflow", 1),
    "naswot": ("naswot", 1),
    "gradient_norm": ("gradient_norm", 1),
}
"""Each by its column and its sign: 1 where more is thought to be better."""

_LEAST = 10  # rows from which on a rank correlation is worth a number
_RESAMPLES = 2_000

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Correlation:
    """A rank correlation over `n` rows, with the 95 % interval of a bootstrap over the rows.

    None where there are fewer than ten rows, or where one of the two does not vary.
    """

    n: int
    rho: float | None = None
    low: float | None = None
    high: float | None = None


def judged(row: Row, fidelity: str) -> float:
    """Return what a fidelity says of a row; more is thought to be better."""
    column, sign = FIDELITIES[fidelity]
    return sign * row[column]


def correlation(one: Sequence[float], two: Sequence[float], *, seed: int = 0) -> Correlation:
    """Return Spearman's rank correlation of two measurements of the same rows.

    The interval is that of percentiles (Efron, Tibshirani 1993, chapter 13).
    """
    x, y = rankdata(one), rankdata(two)  # of ranks, so that infinite values count as any other
    if len(x) < _LEAST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(len(x))
    interval = bootstrap(
        (x, y),
        _rank_correlation,
        paired=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    found = spearmanr(x, y).statistic, interval.low, interval.high
    return Correlation(len(x), *(round(float(each), 4) for each in found))


def _rank_correlation(x: Values, y: Values, axis: int = -1) -> Values:
    """Return Spearman's correlation along an axis: many resamples in one call.

    A resample in which one side does not vary says nothing: it counts as 0.
    """
    ranks = rankdata(x, axis=axis), rankdata(y, axis=axis)
    moving = (np.ptp(ranks[0], axis=axis) > 0) & (np.ptp(ranks[1], axis=axis) > 0)
    found = np.zeros(moving.shape)
    found[moving] = pearsonr(ranks[0][moving], ranks[1][moving], axis=-1).statistic
    return found


def top_found(
    fidelity: Sequence[float], truth: Sequence[float], share: float, best: float = 0.1
) -> tuple[int, int]:
    """Return how many of the truly best are among the first by a fidelity, and how many there are.

    `best` is the share that counts as the truly best, `share` that of the first. Of equal values,
    those that come earlier count as better.
    """
    first, wanted = _leading(fidelity, share), _leading(truth, best)
    return len(first & wanted), len(wanted)


def _leading(values: Sequence[float], share: float) -> set[int]:
    order = sorted(range(len(values)), key=lambda place: -values[place])
    return set(order[: max(round(share * len(values)), 1)])
