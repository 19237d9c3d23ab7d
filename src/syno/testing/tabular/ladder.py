"""What a ladder of fidelities saves: seconds of training until most of a front is known.

The ladder is that of a search (`syno.run.ladder.Climb`), with the rungs of the table. Only a long
training says what a candidate is worth; all else says which candidates get one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from syno.run.ladder import RUNGS, Climb, Rung, explained
from syno.search.outcome import Scored
from syno.testing.tabular.front import Front
from syno.testing.tabular.table import Row

SCORES: Mapping[Rung, tuple[str, Callable[[float], float]]] = {
    "fit": ("sample_residual", explained),
    "short": ("short_accuracy", float),
    "long": ("long_accuracy", float),
}
"""What each rung says of a row: the column, and what is made of it."""

SECONDS: Mapping[Rung, tuple[str, ...]] = {
    "fit": ("sample_seconds",),
    "short": ("fit_seconds", "short_seconds"),
    "long": ("long_seconds",),
}
"""What each rung costs; the seconds of a long training contain those of its fit."""

NEEDED = (*(column for column, _ in SCORES.values()), *chain(*SECONDS.values()))
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
    """Return what comes of a ladder on rows that come in this order, judged one at a time."""
    spent, found = 0.0, list[Event]()
    fresh, known = enumerate(rows), dict[int, Row]()
    more = True
    while True:
        ladder.give_up()
        chosen = ladder.advance(more)
        if chosen is None:
            number, row = next(fresh, (-1, None))
            if row is None:
                if not more:
                    return Trained(tuple(found), spent)
                more = False
                continue
            known[number], chosen = row, (number, RUNGS[0])
        number, rung = chosen
        row = known[number]
        spent += sum(row[column] for column in SECONDS[rung])
        column, made = SCORES[rung]
        counts = int(row["flops"]), int(row["parameters"])
        told = ladder.judge(number, rung, Scored(made(row[column]), row["ratio"], *counts))
        if isinstance(told, Scored):
            found.append(Event(spent, row))


def seconds_to(events: Sequence[Event], front: Front, least: float) -> float | None:
    """Return the seconds until at least so much is covered; None where it never is."""
    growth = front.growth(event.row for event in events)
    pairs = zip(events, growth, strict=True)
    return next((event.seconds for event, covered in pairs if covered >= least), None)
