"""What a ladder of fidelities saves: seconds of training until most of a front is known.

Successive halving (Jamieson, Talwalkar 2016, "Non-stochastic best arm identification and
hyperparameter optimization") with the rungs of the table: all candidates of a batch are fitted, the
best of them trained shortly, the best of these trained for long. Only a long training says what a
candidate is worth; all else says which candidates get one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, log

from syno.testing.tabular.fidelity import judged
from syno.testing.tabular.front import Front, by_fronts
from syno.testing.tabular.table import Row

RUNGS = ("fit_seconds", "short_seconds", "long_seconds")


@dataclass(frozen=True)
class Halving:
    """Shares that go up a rung, of batches as they come; the last batch may be smaller.

    The best are those of the first fronts of (what the rung says, latency ratio): a rung need not
    say it in points of accuracy.
    """

    batch: int = 50
    short: float = 1 / 3
    long: float = 1 / 3
    fit: str = "layer_fit"
    training: str = "short_training"


@dataclass(frozen=True)
class Event:
    """A row whose long training ended when `seconds` of training had been spent in all."""

    seconds: float
    row: Row


def train_all(rows: Iterable[Row]) -> list[Event]:
    """Return the events of the long training of every row, in this order."""
    spent, found = 0.0, list[Event]()
    for row in rows:
        spent += row["long_seconds"]
        found.append(Event(spent, row))
    return found


def climb(rows: Sequence[Row], halving: Halving) -> list[Event]:
    """Return the events of the ladder on rows that come in this order."""
    spent, found = 0.0, list[Event]()
    for start in range(0, len(rows), halving.batch):
        fitted = rows[start : start + halving.batch]
        spent += sum(row["fit_seconds"] for row in fitted)
        trained = _best(fitted, halving.fit, halving.short)
        spent += sum(row["short_seconds"] for row in trained)
        for row in _best(trained, halving.training, halving.long):
            spent += row["long_seconds"]
            found.append(Event(spent, row))
    return found


def _best(rows: Sequence[Row], fidelity: str, share: float) -> list[Row]:
    """Return the share of rows that goes on, rounded up."""
    ordered = by_fronts(rows, lambda row: (judged(row, fidelity), log(row["ratio"])))
    return ordered[: ceil(share * len(ordered))]


def seconds_to(events: Sequence[Event], front: Front, least: float) -> float | None:
    """Return the seconds until at least so much is covered; None where it never is."""
    growth = front.growth(event.row for event in events)
    pairs = zip(events, growth, strict=True)
    return next((event.seconds for event, covered in pairs if covered >= least), None)
