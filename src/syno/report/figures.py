"""All figures of a study as plain data: what the page shows and what the JSON beside it holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from syno.run.ranking import MARGIN, summary
from syno.run.study import Failed, Pruned, Record, Scored, Study, TimedOut

Row = dict[str, Any]
_UNDER = {"eager": "in plain PyTorch", "compile": "under torch.compile"}
CLOSE_POINTS = 100 * MARGIN


def collect(study: Study) -> dict[str, Any]:
    """Return the figures of `study`; `baseline` is None where it has not been trained.

    Accuracies lie in [0, 1] and are of the validation set; a change is in points (hundredths)
    against the original, from training by the same recipe and seed.
    """
    found = summary(study)
    records, baseline = study.records(), _baseline(found)
    chosen = {key: {row["number"] for row in found[key]} for key in ("front", "finalists")}
    confirmed, timed = study.noted("confirmed") or {}, study.noted("timed") or {}
    rows = [
        _row(record, record.outcome, baseline, confirmed, timed)
        for record in records
        if isinstance(record.outcome, Scored)
    ]
    for row in rows:
        row["on_front"] = row["number"] in chosen["front"]
        row["finalist"] = row["number"] in chosen["finalists"]
        known = bool(row["timed"]) or row["confirmed"] is not None
        row["detailed"] = row["on_front"] or row["finalist"] or known
    rows.sort(key=lambda row: -row["ratio"])
    question = found["question"] or {}
    return {
        "identity": found["identity"],
        "question": question,
        "headline": headline(found["identity"].get("model", "the network"), baseline, rows),
        "baseline": baseline,
        "trained": rows,
        "outcomes": outcomes(records),
    }


def headline(model: str, baseline: Row | None, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the one sentence that a hurried reader takes away, and the number it speaks of."""
    if baseline is None:
        return _say("Nothing has been measured yet: the original network is still to be trained.")
    if not rows:
        return _say(
            f"The original {model} reaches {_percent(baseline['accuracy'])} on validation; no "
            "operator has been trained yet."
        )
    good = [row for row in rows if change(row) >= -CLOSE_POINTS and speed(row) > 1]
    if good:
        best = max(good, key=speed)
        return _say(f"Operator #{best['number']} makes {model} {_claim(best, baseline)}", best)
    best = max(rows, key=change)
    return _say(
        f"No operator came within {CLOSE_POINTS:g} point of the original. The nearest, "
        f"#{best['number']}, makes {model} {_claim(best, baseline)}",
        best,
    )


def speed(row: Mapping[str, Any]) -> float:
    """Return how many times as fast: by the careful timing where there is one.

    It counts under the mode that the search timed candidates in.
    """
    found: float = row["timed"].get(row["mode"], row)["ratio"]
    return found


def change(row: Mapping[str, Any]) -> float:
    """Return the change in points: over fresh seeds where there are some."""
    found: float = (row["confirmed"] or row)["change"]
    return found


def outcomes(records: Sequence[Record]) -> dict[str, Any]:
    """Return how many candidates came to which end, and why."""
    failed = [each.outcome for each in records if isinstance(each.outcome, Failed)]
    pruned = [each.outcome for each in records if isinstance(each.outcome, Pruned)]
    reasons = Counter(re.sub(r"\d+(\.\d+)?", "…", each.reason) for each in pruned)
    messages = Counter((each.kind, _first_line(each.message)) for each in failed)
    return {
        "candidates": len(records),
        "trained": sum(isinstance(each.outcome, Scored) for each in records),
        "pruned": len(pruned),
        "pruned_reasons": dict(reasons.most_common()),
        "failed": len(failed),
        "failed_kinds": dict(Counter(each.kind for each in failed).most_common()),
        "failures": [
            {"kind": kind, "message": text, "count": count}
            for (kind, text), count in messages.most_common()
        ],
        "timed_out": sum(isinstance(each.outcome, TimedOut) for each in records),
        "seconds": sum(each.seconds for each in records),
    }


def _baseline(found: Mapping[str, Any]) -> Row | None:
    known = found["baseline"]
    if known is None:
        return None
    keys = ("accuracy", "flops", "parameters")
    seeds = found["baseline_confirmed"]
    confirmed = _spread(list(seeds.values())) | {"seeds": seeds} if seeds else None
    return {**{key: known[key] for key in keys}, "confirmed": confirmed}


def _row(
    record: Record,
    outcome: Scored,
    baseline: Row | None,
    confirmed: Mapping[str, Any],
    timed: Mapping[str, Any],
) -> Row:
    latency = outcome.extra.get("latency", {})
    lines = record.operator.splitlines()
    return {
        "number": record.number,
        "operator": record.operator,
        "short": lines[-1] if lines else "",
        "accuracy": outcome.accuracy,
        "change": _points(outcome.accuracy, baseline["accuracy"]) if baseline else 0.0,
        "ratio": outcome.ratio,
        "ratio_low": latency.get("ratio_low"),
        "ratio_high": latency.get("ratio_high"),
        "latency": latency or None,
        "mode": latency.get("mode", "eager"),
        "flops": outcome.flops,
        "flops_share": _share(outcome.flops, baseline, "flops"),
        "parameters": outcome.parameters,
        "parameters_share": _share(outcome.parameters, baseline, "parameters"),
        "seconds": record.seconds,
        "confirmed": _confirmed(confirmed.get(record.operator, {}), baseline),
        "timed": timed.get(record.operator, {}),
    }


def _confirmed(seeds: Mapping[str, float], baseline: Row | None) -> Row | None:
    """Compare with the original on the seeds that both were trained with."""
    if not seeds or baseline is None or baseline["confirmed"] is None:
        return None
    both = [seed for seed in seeds if seed in baseline["confirmed"]["seeds"]]
    if not both:
        return None
    original = [baseline["confirmed"]["seeds"][seed] for seed in both]
    found = _spread([seeds[seed] for seed in both])
    return {
        **found,
        "seeds": {seed: seeds[seed] for seed in both},
        "original": fmean(original),
        "change": _points(found["mean"], fmean(original)),
    }


def _spread(values: Sequence[float]) -> Row:
    return {"mean": fmean(values), "low": min(values), "high": max(values), "count": len(values)}


def _points(value: float, original: float) -> float:
    return round(100 * (value - original), 6)  # exactly one point is one point


def _share(value: int, baseline: Row | None, key: str) -> float | None:
    return value / baseline[key] if baseline and baseline[key] else None


def _claim(row: Row, baseline: Row) -> str:
    """Return speed and accuracy of an operator with what each of them stands on."""
    mode, timed = row["mode"], row["timed"]
    careful = timed.get(mode, row)
    fast = f"{careful['ratio']:.2f} times as fast {_UNDER[mode]}"
    if careful["ratio_low"] is not None:
        fast += f" (quartiles {careful['ratio_low']:.2f} to {careful['ratio_high']:.2f})"
    for other in timed.keys() - {mode}:
        fast += f", {timed[other]['ratio']:.2f} times {_UNDER[other]}"
    sure = row["confirmed"]
    mine, other = row["accuracy"], baseline["accuracy"]
    if sure:
        mine, other = sure["mean"], sure["original"]
    return (
        f"{fast}, at {_percent(mine)} validation accuracy against {_percent(other)}: "
        f"{signed(change(row))} points, {_stands_on(sure)}."
    )


def _stands_on(sure: Row | None) -> str:
    if sure is None:
        return "from one training each, not yet confirmed with fresh seeds"
    count = sure["count"]
    return "from one fresh seed" if count == 1 else f"the mean of {count} fresh seeds"


def signed(points: float) -> str:
    """Return points with their sign, as in +0.28."""
    text = f"{points:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _first_line(text: str) -> str:
    lines = text.splitlines()
    return lines[0][:200] if lines else ""


def _say(text: str, row: Row | None = None) -> dict[str, Any]:
    if row is None:
        return {"text": text, "number": None}
    return {"text": text, "number": row["number"], "ratio": speed(row), "change": change(row)}


__all__ = ["CLOSE_POINTS", "change", "collect", "headline", "outcomes", "signed", "speed"]
