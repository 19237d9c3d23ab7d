"""What a tree search remembers of a state or a choice, and the bounds it makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

_LARGEST_VARIANCE = 0.25  # of a reward in [0, 1]


@dataclass(slots=True)
class Average:
    """A sum of rewards and their number."""

    visits: int = 0
    total: float = 0.0

    def add(self, reward: float) -> None:
        """Count one reward."""
        self.visits += 1
        self.total += reward

    def shrunk(self, prior: float, weight: float) -> float:
        """Return the mean with `weight` rewards more, each of them `prior`.

        This blends two means as RAVE does (Gelly, Silver 2011, "Monte-Carlo tree search and rapid
        action value estimation", section 4.3), at beta = weight / (weight + visits).
        """
        return (self.total + weight * prior) / (self.visits + weight)


@dataclass(slots=True)
class Statistics(Average):
    """Rewards, the sum of their squares, and walks without a reward: in flight, or in vain."""

    squares: float = 0.0
    flying: int = 0
    vain: int = 0

    def add(self, reward: float) -> None:
        """Count one reward."""
        self.visits += 1
        self.total += reward
        self.squares += reward * reward

    @property
    def walks(self) -> int:
        """Number of walks, with a reward or without."""
        return self.visits + self.flying + self.vain

    @property
    def mean(self) -> float:
        """Mean reward; 0 before the first."""
        return self.total / self.visits if self.visits else 0.0

    @property
    def variance(self) -> float:
        """Variance of the rewards; the largest there can be before the first."""
        if not self.visits:
            return _LARGEST_VARIANCE
        return max(self.squares / self.visits - self.mean**2, 0.0)


def spread(variance: float, walks: float, walks_above: float) -> float:
    """Return what UCB1-tuned adds to a mean of `walks` rewards, out of `walks_above`.

    Auer, Cesa-Bianchi, Fischer 2002, "Finite-time analysis of the multiarmed bandit problem",
    section 4.
    """
    rate = log(max(walks_above, 2.0)) / walks
    return sqrt(rate * min(_LARGEST_VARIANCE, variance + sqrt(2 * rate)))
