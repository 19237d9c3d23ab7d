"""Which candidates of a study stand out, and the study's state as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syno.run.settings import FINALISTS
from syno.run.study import Record, Study
from syno.search.outcome import Scored

MARGIN = 0.01  # "almost the accuracy of the original", as a share of 1: the design's one point
_ROUNDING = 1e-9  # exactly one point is within one point


def finalists(study: Study, count: int) -> list[Record]:
    """Return up to `count` candidates worth a closer look.

    They are the Pareto front of those within one point of the baseline, the fastest and the most
    accurate included; then the next front, and so on; then the most accurate of the others.
    """
    baseline = study.noted("baseline") or {"accuracy": 0.0}
    scored = [each for each in study.records() if isinstance(each.outcome, Scored)]
    least = baseline["accuracy"] - MARGIN - _ROUNDING
    close = [each for each in scored if accuracy(each) >= least]
    rest = sorted((each for each in scored if each not in close), key=lambda each: -accuracy(each))
    found: list[Record] = []
    while close and len(found) < count:
        front = pareto_front(close)
        found += _spread(front, count - len(found))
        close = [each for each in close if each not in front]
    return [*found, *rest][:count]


def _spread(front: list[Record], count: int) -> list[Record]:
    """Return `count` members of a front, evenly spaced, its two ends first of all."""
    if len(front) <= count:
        return front
    places = [round(i * (len(front) - 1) / max(count - 1, 1)) for i in range(count)]
    return [front[place] for place in places]


def accuracy(record: Record) -> float:
    """Return the accuracy of a scored record."""
    assert isinstance(record.outcome, Scored)
    return record.outcome.accuracy


def ratio(record: Record) -> float:
    """Return the latency ratio of a scored record."""
    assert isinstance(record.outcome, Scored)
    return record.outcome.ratio


def pareto_front(records: list[Record]) -> list[Record]:
    """Return the scored records that no other one beats in both accuracy and ratio."""
    scored = [each for each in records if isinstance(each.outcome, Scored)]
    scored.sort(key=lambda each: (-ratio(each), -accuracy(each)))
    front: list[Record] = []
    for each in scored:
        if not front or accuracy(each) > accuracy(front[-1]):
            front.append(each)
    return front


def summary(study: Study) -> dict[str, Any]:
    """Return the state of a study as plain data."""
    records = study.records()
    kinds: dict[str, int] = {}
    for record in records:
        name = type(record.outcome).__name__.lower()
        kinds[name] = kinds.get(name, 0) + 1
    confirmed, timed = study.noted("confirmed") or {}, study.noted("timed") or {}
    front = [_row(record, confirmed, timed) for record in pareto_front(records)]
    best = [_row(record, confirmed, timed) for record in finalists(study, FINALISTS)]
    return {
        "identity": study.identity,
        "question": study.noted("question"),
        "baseline": study.noted("baseline"),
        "baseline_confirmed": confirmed.get("baseline", {}),
        "outcomes": kinds,
        "front": front,
        "finalists": best,
    }


def _row(record: Record, confirmed: Mapping[str, Any], timed: Mapping[str, Any]) -> dict[str, Any]:
    outcome = record.outcome
    assert isinstance(outcome, Scored)
    return {
        "number": record.number,
        "operator": record.operator,
        "accuracy": outcome.accuracy,
        "ratio": outcome.ratio,
        "flops": outcome.flops,
        "parameters": outcome.parameters,
        "confirmed": confirmed.get(record.operator, {}),
        "timed": timed.get(record.operator, {}),
    }


__all__ = ["MARGIN", "accuracy", "finalists", "pareto_front", "ratio", "summary"]
