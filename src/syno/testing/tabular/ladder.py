"""What a ladder of fidelities saves: seconds of training until most of a front is known.

The ladder is that of a search (`syno.run.ladder.Climb`), with the rungs of the table. Only a long
training says what a candidate is worth; all else says which candidates get one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from syno.run.ladder import RUNGS, Climb
from syno.search.outcome import Scored
from syno.testing.tabular.front import Front
from syno.testing.tabular.table import Row

NEEDED = tuple(f"{rung}_{what}" for rung in RUNGS for what in ("accuracy", "seconds"))
"""The columns that a climb reads, besides ratio, flops and parameters."""


@dataclass(frozen=True)
class Event:
    """A row whose long training ended when `seconds` of training had been spent in all."""

    seconds: float
    row: Row


@dataclass(frozen=True)
class Trained:
    """What came of a search: its long trainings, and all seconds of training."""

    events: tuple[Event, ...]
    seconds: float


def train_all(rows: Iterable[Row]) -> Trained:
    """Return what comes of the long training of every row, in this order."""
    spent, found = 0.0, list[Event]()
    for row in rows:
        spent += row["long_seconds"]
        found.append(Event(spent, row))
    return Trained(tuple(found), spent)


def climb(rows: Iterable[Row], ladder: Climb) -> Trained:
    """Return what comes of a ladder on rows that come in this order, one at a time.

    As in a search, every rung begins with a fit; the seconds of a long training contain it.
    """
    spent, found = 0.0, list[Event]()
    for number, row in enumerate(rows):
        counts = int(row["flops"]), int(row["parameters"])
        for rung in RUNGS:
            spent += row[f"{rung}_seconds"] + (row["fit_seconds"] if rung == "short" else 0.0)
            reached = Scored(row[f"{rung}_accuracy"], row["ratio"], *counts)
            told = ladder.judge(number, rung, reached)
            if isinstance(told, Scored):
                found.append(Event(spent, row))
            if told is not None:
                break
    return Trained(tuple(found), spent)


def seconds_to(events: Sequence[Event], front: Front, least: float) -> float | None:
    """Return the seconds until at least so much is covered; None where it never is."""
    growth = front.growth(event.row for event in events)
    pairs = zip(events, growth, strict=True)
    return next((event.seconds for event, covered in pairs if covered >= least), None)
