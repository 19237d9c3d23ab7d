"""Compares two real searches: seconds of training until 95 % of the hypervolume that both reach.

Run two searches of the same model, data and seed, one with the ladder and one in which all
candidates are trained for long, each to its own study:

    syno search --model convnet --data digits --minutes 20 --finalists 0 \
        --ladder --least-gain 0 --study full.db
    syno search --model convnet --data digits --minutes 20 --finalists 0 --ladder --study ladder.db
    python bench/ladder.py --full full.db --ladder ladder.db --json

Only candidates that were trained for long count for the hypervolume, in both; what the ladder
spent on the others counts for its seconds (of the processor, one thread). What it spent on those
that failed or had not ended counts from the beginning. Two things are left out: the teacher's
training, which is kept for all searches, and what was being judged when a search ended.
`times_less` compares the seconds until the share of what both found together;
`to_what_full_found` those until the share of what the full search found by itself. `--out FILE`
keeps both searches: each judgement in its order, (seconds, hypervolume, trained) so far. Prints one
JSON object as its last line.

Two searches come upon different candidates, and that is chance. `--same FOLDER` leaves it out: a
table of the candidates of the full search with their fits and short trainings, which
`bench/tabular_build.py --study full.db --folder FOLDER --rungs sample fit` makes. The figures
`same_candidates` are the seconds until the share of the hypervolume of these candidates, each
trained for long or led by a ladder, in the order in which the search asked for them and in random
orders (three quartiles).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from search import quartiles

from syno.ir.files import write_atomically
from syno.run.ladder import Climb
from syno.run.settings import SearchSettings
from syno.run.study import Record, Study, read_study
from syno.search.front import Point, hypervolume, point
from syno.search.outcome import Scored
from syno.search.reward import Reward
from syno.testing.tabular import (
    NEEDED,
    Front,
    Row,
    Table,
    Trained,
    climb,
    read_table,
    seconds_to,
    train_all,
)


@dataclass(frozen=True)
class Judged:
    """One judgement of a candidate, when it was known; `reached` is where a long training led."""

    finished: str
    seconds: float
    reached: Point | None


def judgements(records: Sequence[Record]) -> list[Judged]:
    """Return what was trained, on all rungs, in the order in which it was known.

    A best candidate climbs when others have been judged after it: its number says nothing.
    """
    found: list[Judged] = []
    for record in records:
        outcome = record.outcome
        extra = getattr(outcome, "extra", {})
        rungs = list(extra.get("rungs", {"": extra}).values())
        costs = [(each.get("finished") or "", float(each.get("seconds") or 0.0)) for each in rungs]
        found += [Judged(*cost, None) for cost in costs[:-1]]
        trained = isinstance(outcome, Scored)
        reached = point(outcome.accuracy, outcome.ratio) if trained else None
        found.append(Judged(*costs[-1], reached))
    return sorted(found, key=lambda each: each.finished)


def growth(
    records: Sequence[Record], reference: Point, seconds: float = 0.0
) -> list[tuple[float, float, int]]:
    """Return (seconds so far, hypervolume so far, trained so far) after each judgement.

    `seconds` are those spent before the first one.
    """
    points: list[Point] = []
    found = []
    for each in judgements(records):
        seconds += each.seconds
        points += [] if each.reached is None else [each.reached]
        found.append((seconds, hypervolume(points, reference), len(points)))
    return found


def until(curve: Sequence[tuple[float, float, int]], least: float) -> float | None:
    """Return the seconds after which a curve reaches `least`; None where it does not."""
    return next((seconds for seconds, reached, _ in curve if reached >= least), None)


def compare(studies: Mapping[str, Study], share: float) -> dict[str, Any]:
    """Return the figures of both searches and their curves, of the studies `full` and `ladder`."""
    reference = Reward(studies["full"].noted("baseline")["accuracy"]).reference
    records = {name: study.records() for name, study in studies.items()}
    before = {name: study.noted("unfinished") or 0.0 for name, study in studies.items()}
    curves = {name: growth(part, reference, before[name]) for name, part in records.items()}
    outcomes = [each.outcome for part in records.values() for each in part]
    points = [point(o.accuracy, o.ratio) for o in outcomes if isinstance(o, Scored)]
    whole = hypervolume(points, reference)
    found: dict[str, Any] = {"share": share, "hypervolume": round(whole, 5)}
    to_whole = {name: until(curve, share * whole) for name, curve in curves.items()}
    to_full = {name: until(curve, share * curves["full"][-1][1]) for name, curve in curves.items()}
    for name, curve in curves.items():
        found[name] = {
            "candidates": len(records[name]),
            "trained": curve[-1][2],
            "seconds": round(curve[-1][0], 1),
            "reached": round(curve[-1][1] / whole, 4),
            "seconds_to_share": _rounded(to_whole[name]),
        }
    found["times_less"] = _times(*to_whole.values())
    found["to_what_full_found"] = {
        "seconds": {name: _rounded(each) for name, each in to_full.items()},
        "times_less": _times(*to_full.values()),
    }
    return {"figures": found, "curves": curves}


def same_candidates(table: Table, share: float, seeds: int) -> dict[str, Any]:
    """Return what the candidates of one search cost, all trained for long or led by a ladder."""
    rows = table.with_all("flops", "parameters", "ratio", *NEEDED)
    front = Front(table.original("long_accuracy"))
    reward, least = Reward(front.baseline), share * front.covered(rows)

    def ladder(order: Sequence[Row]) -> Trained:
        return climb(order, Climb(reward, SearchSettings.least_gain))

    shuffled = [Random(seed).sample(rows, len(rows)) for seed in range(seeds)]
    found: dict[str, Any] = {"candidates": len(rows), "hypervolume": round(least / share, 5)}
    for name, orders in {"as_asked": [rows], "random_orders": shuffled}.items():
        ways = {"full": map(train_all, orders), "ladder": map(ladder, orders)}
        spent = {way: _spent(runs, front, least) for way, runs in ways.items()}
        middles = (each["seconds_to_share"][1] for each in spent.values())
        found[name] = {**spent, "times_less": _times(*middles)}
    return found


def _spent(runs: Iterable[Trained], front: Front, least: float) -> dict[str, Any]:
    known = list(runs)
    times = [seconds_to(each.events, front, least) for each in known]
    return {
        "seconds_to_share": [_rounded(each) for each in quartiles(times)],
        "came_to_share": sum(each is not None for each in times),
        "seconds": [_rounded(each) for each in quartiles([each.seconds for each in known])],
        "trained": quartiles([len(each.events) for each in known]),
    }


def keep(file: Path, study: Study, found: Mapping[str, Any]) -> None:
    """Write what was asked in `study`, the figures, and the curves of both searches."""
    asked = study.noted("question") or {}
    about = {name: asked.get(name) for name in ("model", "data", "recipe", "mode", "machine")}
    curves = {
        name: [
            (round(seconds, 1), round(reached, 5), trained) for seconds, reached, trained in curve
        ]
        for name, curve in found["curves"].items()
    }
    baseline = study.noted("baseline")["accuracy"]
    kept = {**about, "baseline": baseline, "figures": found["figures"], "curves": curves}
    write_atomically(file, json.dumps(kept) + "\n")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _times(one: float | None, two: float | None) -> float | None:
    return None if not one or not two else round(one / two, 2)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", type=Path, required=True, help="study of a search without ladder")
    parser.add_argument("--ladder", type=Path, required=True, help="study of a search with one")
    parser.add_argument("--share", type=float, default=0.95)
    parser.add_argument("--same", type=Path, help="table of the candidates of the full search")
    parser.add_argument("--seeds", type=int, default=20, help="random orders of these")
    parser.add_argument("--out", type=Path, help="file to keep the figures and curves in")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    chosen = parser.parse_args()
    studies = {"full": read_study(chosen.full), "ladder": read_study(chosen.ladder)}
    both = compare(studies, chosen.share)
    if chosen.same is not None:
        table = read_table(chosen.same / "operators.csv")
        both["figures"]["same_candidates"] = same_candidates(table, chosen.share, chosen.seeds)
    if chosen.out is not None:
        keep(chosen.out, studies["full"], both)
    found = both["figures"]
    if not chosen.json:
        for name in ("full", "ladder"):
            print(f"{name}: {found[name]}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
