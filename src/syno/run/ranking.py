"""Which candidates of a study stand out, and the study's state as plain data."""

from __future__ import annotations

from typing import Any

from syno.run.study import Record, Study
from syno.search.outcome import Scored

_MARGIN = 0.01


def finalists(study: Study, count: int) -> list[Record]:
    """Return the fastest candidates within one point of the baseline, then the most accurate."""
    baseline = study.noted("baseline") or {"accuracy": 0.0}
    scored = [each for each in study.records() if isinstance(each.outcome, Scored)]
    least = baseline["accuracy"] - _MARGIN
    close = [each for each in scored if accuracy(each) >= least]
    close.sort(key=lambda each: -ratio(each))
    rest = sorted((each for each in scored if each not in close), key=lambda each: -accuracy(each))
    return [*close, *rest][:count]


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
    front = [_row(study, record) for record in pareto_front(records)]
    best = [_row(study, record) for record in finalists(study, 3)]
    return {
        "identity": study.identity,
        "question": study.noted("question"),
        "baseline": study.noted("baseline"),
        "baseline_confirmed": (study.noted("confirmed") or {}).get("baseline", {}),
        "outcomes": kinds,
        "front": front,
        "finalists": best,
    }


def _row(study: Study, record: Record) -> dict[str, Any]:
    outcome = record.outcome
    assert isinstance(outcome, Scored)
    return {
        "number": record.number,
        "operator": record.operator,
        "accuracy": outcome.accuracy,
        "ratio": outcome.ratio,
        "flops": outcome.flops,
        "parameters": outcome.parameters,
        "confirmed": (study.noted("confirmed") or {}).get(record.operator, {}),
        "timed": (study.noted("timed") or {}).get(record.operator, {}),
    }


__all__ = ["accuracy", "finalists", "pareto_front", "ratio", "summary"]
