"""The page of the table of measured operators, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from syno.testing.tabular import Table

Figures = Mapping[str, Any]

TRUTHS = {
    "long_training": "an epoch from the fitted weights",
    "longer_training": "more epochs from random weights",
    "scratch_training": "an epoch from random weights",
}
FIDELITIES = {
    "layer_fit_sample": "layer fit, residual of one site of each shape",
    "layer_fit": "layer fit, residual of all sites",
    "layer_fit_network": "layer fit, residual of the scores",
    "fit_accuracy": "accuracy of the fitted network",
    "short_training": "short training",
    "long_training": "an epoch from the fitted weights",
    "scratch_training": "an epoch from random weights",
    "params": "parameters",
    "flops": "multiply-adds",
    "synflow": "SynFlow",
    "naswot": "NASWOT",
    "gradient_norm": "gradient norm",
}
KINDS = {
    "ladder": "ladder, gain of {}",
    "halving": "successive halving, one in {}",
    "all": "all, order of {}",
}
RUNGS = {
    "ratio": "latency",
    "sample_seconds": "layer fit of one site of each shape",
    "fit_seconds": "layer fit of all sites",
    "short_seconds": "short training",
    "long_seconds": "an epoch from the fitted weights",
    "scratch_seconds": "an epoch from random weights",
    "longer_seconds": "more epochs from random weights",
}


def page(table: Table, found: Figures) -> str:
    """Return the page."""
    parts = [_head(table), _rungs(table), *_fidelities(found)]
    parts += [*_strategies(found), *_ladder(found)]
    return "\n\n".join(parts) + "\n"


def _head(table: Table) -> str:
    about = table.provenance
    machine = about.get("machine", {})
    asked = f"{about.get('model')} on {about.get('data')}"
    searched = about.get("source") == "search"
    folder = "docs/results/tabular" + ("/searched" if searched else "")
    reading = f"--folder {folder} " if searched else ""
    title = "What one search trained" if searched else "A table of measured operators"
    rows = (
        f"trained for long by one search of {asked}, in the order in which it asked for them"
        if searched
        else f"drawn at random from the space that a search of {asked} sees"
    )
    return (
        f"# {title}\n\n"
        f"{len(table.rows)} operators, {rows}; each stands at all of its sites. "
        f"Made by `{about.get('command')}` ([settings](table.json); last filled "
        f"{about.get('date', '')[:10]}, {machine.get('processor', 'processor unknown')}, one "
        f"thread); this page by `python bench/tabular.py {reading}--out {folder}`. All "
        "figures are in [figures.json](figures.json), all measurements in "
        "[operators.csv](operators.csv)."
    )


def _rungs(table: Table) -> str:
    rows = []
    for column, name in RUNGS.items():
        known = table.with_all(column)
        seconds = [row[column] for row in known] if column.endswith("seconds") else []
        spent = f"{fmean(seconds):.1f}" if seconds else ""
        truth = column.replace("_seconds", "_accuracy")
        own = f"{100 * table.baseline[truth]:.1f} %" if truth in table.baseline and seconds else ""
        rows.append((name, str(len(known)), spent, own))
    head = ("measured", "operators", "seconds each, of the processor", "the original reaches")
    return _markdown(head, rows)


def _fidelities(found: Figures) -> Iterator[str]:
    known = found["spearman"]
    counts = {truth: max(each["n"] for each in known[truth].values()) for truth in TRUTHS}
    shown = [truth for truth in TRUTHS if counts[truth] >= 10]
    yield "## What a cheap judgement says of an expensive one"
    yield (
        "Rank correlation (Spearman) with the accuracy after a training, with the 95 % interval of "
        "a bootstrap over the operators, and their number."
    )
    rows = [
        (name, *("" if truth == fidelity else _rho(known[truth].get(fidelity)) for truth in shown))
        for fidelity, name in FIDELITIES.items()
    ]
    yield _markdown(
        ("judged by", *(TRUTHS[truth] for truth in shown)), [r for r in rows if any(r[1:])]
    )
    if known["seeds"]["rho"] is not None:
        yield f"Two seeds of an epoch from the fitted weights: {_rho(known['seeds'])}."
    yield "![each fidelity against an epoch from the fitted weights](fidelities.svg)"


def _rho(each: Figures | None) -> str:
    if each is None or each["rho"] is None:
        return ""
    return f"{each['rho']:+.2f} ({each['low']:+.2f} to {each['high']:+.2f}), {each['n']}"


def _strategies(found: Figures) -> Iterator[str]:
    if "strategies" not in found:
        return
    yield "## Strategies"
    reference = found["reference"]
    yield (
        f"{found['searched']} operators with latency and an accuracy ({reference['judged_by']}), "
        f"searched with {found['seeds']} seeds each. The share of the hypervolume (accuracy above "
        f"{100 * reference['accuracy']:.1f} % against the logarithm of the latency ratio above 1) "
        "after so many evaluations, and the evaluations until 95 % of it: median (quartiles)."
    )
    strategies = found["strategies"]
    places = list(next(iter(strategies.values()))["share"])[:-1]
    rows = [
        (
            name,
            *(_spread(each["share"][place], 100, " %") for place in places),
            _spread(each["evaluations_to_95"]),
        )
        for name, each in strategies.items()
    ]
    yield _markdown(("strategy", *(f"after {place}" for place in places), "to 95 %"), rows)
    yield "![share of the hypervolume against evaluations](strategies.svg)"


def _ladder(found: Figures) -> Iterator[str]:
    ladder = found.get("ladder", {"rows": 0})
    if not ladder["rows"]:
        return
    yield "## What the ladder saves"
    yield (
        f"The {ladder['rows']} operators that are {ladder['least_ratio']} times as fast or more. "
        "Each is trained for long, in random order or as the default strategy asks, or they come "
        "to the ladder of a search in random order, where the best of a batch climb for so large "
        "an expected gain, or to successive halving. "
        "Seconds of training until 95 % of the hypervolume of all of them: median (quartiles) over "
        "the seeds, never where a seed ends before."
    )
    rows = []
    for name, each in ladder.items():
        if not isinstance(each, dict):
            continue
        kind, _, rest = name.partition("_")
        said = KINDS[kind].format(f"{100 * float(rest):g} %" if kind == "ladder" else rest)
        less = each.get("times_less")
        row = (said, _spread(each["seconds_to"]["0.95"]), _spread(each["seconds"]))
        row += (_spread(each["trained"]), _spread(each["share"], 100, " %"))
        row += (f"{each['came_to_95']} of {found['seeds']}",)
        rows.append((*row, _times(less)))
    head = (
        "trained",
        "seconds to 95 %",
        "seconds in all",
        "trained for long",
        "share reached",
        "seeds that came to 95 %",
        "times less",
    )
    yield _markdown(head, rows)
    known = [each for each in found.get("resampled", []) if each["rows"]]
    if known:
        yield (
            "A simulation of more operators, drawn with replacement from these by every seed anew, "
            "each with noise (a point of accuracy, a twentieth of an octave of speed): the long "
            "training of all in random order, and the ladder with the gain of a search."
        )
        head = ("operators", "all, seconds to 95 %", "ladder", "seeds that came to 95 %")
        parts = [(each, each["seconds_to_95"]) for each in known]
        rows = [
            (
                str(each["rows"]),
                *(_spread(spent[name]) for name in ("all_random", "ladder")),
                f"{each['came_to_95']} of {found['seeds']}",
                _times(each["times_less"]),
            )
            for each, spent in parts
        ]
        yield _markdown((*head, "times less"), rows)


def _times(less: float | None) -> str:
    return "" if less is None else f"{less:.1f}"


def _spread(quartiles: Sequence[float | None], scale: float = 1.0, unit: str = "") -> str:
    low, middle, high = ("never" if q is None else f"{scale * q:.0f}" for q in quartiles)
    return f"{middle}{unit} ({low} to {high})"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
