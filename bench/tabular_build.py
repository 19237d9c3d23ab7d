"""Builds the tabular benchmark: a few hundred operators of ResNet-20, judged by every fidelity.

Run: python bench/tabular_build.py --operators 300 --rungs proxies fit long ratio (hours; it may be
killed at any moment, and the same command goes on; `--minutes` ends it). Operators are drawn at
random from the space that a search of ResNet-20 on CIFAR-10 sees. The rungs:

- `proxies`: zero-cost ones, at random start;
- `sample`: layer fit of the first site of each shape;
- `fit`: layer fit of all sites, then short training from the fitted weights;
- `long`: an epoch from the fitted weights, seed 0; `long-1`: the same, seed 1;
- `scratch`: an epoch from random weights; `longer`: the same, more epochs;
- `ratio`: latency compiled by Inductor, one thread, batch 1, beside the original; trainings wait
  meanwhile.

With `--study`, the operators are those that a real search trained, in the order in which it asked
for them; latency and long training are taken from there. It is a study of `syno search --ladder
--least-gain 0`, which trains all for long; give it a `--folder` of its own:

    python bench/tabular_build.py --study full.db --folder docs/results/tabular/searched \
        --rungs sample fit --workers 1

`--first` restricts all of them to the first so many operators, `--least-ratio 1.05` to those which
a search would train. Seconds are those of the processor, one thread, so that what else the machine
does is left out. Writes docs/results/tabular: in operators.csv one row an operator, in table.json
settings, baseline, machine and versions. Prints the counts of filled cells as JSON in its last
line.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from cells import circumstances

from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.run.executor import Executor
from syno.run.quiet import quiet, wait_for_quiet
from syno.run.search import question
from syno.run.settings import ProcessLimits
from syno.run.study import read_study
from syno.search.outcome import Outcome, Scored
from syno.space.space import SynthesisSpace

MODEL, DATA = "resnet20", "cifar10"
LEAST_FLOPS = 0.05
LONGER_EPOCHS = 4
ROUNDS = 31
BACKEND = "inductor"
FOLDER = Path("docs/results/tabular")
COLUMNS = (
    "operator",
    "flops",
    "parameters",
    "ratio",
    "ratio_low",
    "ratio_high",
    "sample_residual",
    "sample_seconds",
    "fit_residual",
    "fit_network_residual",
    "fit_accuracy",
    "fit_seconds",
    "short_accuracy",
    "short_seconds",
    "long_accuracy",
    "long_seconds",
    "long_accuracy_1",
    "scratch_accuracy",
    "scratch_seconds",
    "longer_accuracy",
    "longer_seconds",
    "synflow",
    "naswot",
    "gradient_norm",
    "failure",
)
RUNGS = {
    "sample": "sample_residual",
    "fit": "short_accuracy",
    "long": "long_accuracy",
    "long-1": "long_accuracy_1",
    "scratch": "scratch_accuracy",
    "longer": "longer_accuracy",
    "proxies": "synflow",
    "ratio": "ratio",
}
CHANCE = 0.1
LIMITS = ProcessLimits(seconds=5_400.0)
MANY = 4  # failures in a row: the builder is broken, not the operators
GRACE = 60.0  # seconds after the end in which what is in flight may finish


def drawn(count: int, seed: int) -> list[Operator]:
    """Return distinct operators of the space that a search sees, in the order drawn."""
    spec, _, flops = question(MODEL)
    limits = replace(spec.limits, flops=(int(LEAST_FLOPS * flops), flops - 1))
    space, rng = SynthesisSpace(replace(spec, limits=limits), by_length=True), Random(seed)
    found: dict[Operator, None] = {}
    while len(found) < count:
        passed = space.roll_out(space.root(), rng)
        operator = space.result(passed[-1]) if passed else None
        if operator is not None and _affordable(operator):
            found[operator] = None
    return list(found)


def searched(file: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return rows and baseline of what a search trained for long, in the order it asked for."""
    study = read_study(file)
    known = [(record.operator, record.outcome) for record in study.records()]
    trained = {text: each for text, each in known if isinstance(each, Scored)}
    if any(set(each.extra.get("rungs", {})) != {"long"} for each in trained.values()):
        raise SystemExit(f"{file}: not a search with --ladder --least-gain 0: not all are trained.")
    original = study.noted("baseline")
    rows = {text: {"operator": text, **_searched_cells(each)} for text, each in trained.items()}
    baseline = {
        "ratio": 1.0,
        "long_accuracy": original["accuracy"],
        "long_seconds": round(original["extra"]["seconds"], 1),
    }
    return rows, baseline


def _searched_cells(outcome: Scored) -> dict[str, Any]:
    latency, long = outcome.extra["latency"], outcome.extra["rungs"]["long"]
    return {
        "flops": outcome.flops,
        "parameters": outcome.parameters,
        **{name: round(latency[name], 4) for name in ("ratio", "ratio_low", "ratio_high")},
        "long_accuracy": outcome.accuracy,
        "long_seconds": round(long["seconds"], 1),
    }


def _affordable(operator: Operator) -> bool:
    flops = costs(operator)["flops"]
    whole = question_flops()
    return LEAST_FLOPS * whole <= flops < whole


@lru_cache(maxsize=1)
def question_flops() -> int:
    """Return the multiply-adds of all sites of the original."""
    return question(MODEL)[2]


@lru_cache(maxsize=1)
def ladder() -> Any:
    """Return what all candidates of a process share."""
    from syno.evaluate.fidelities import Ladder

    spec, _, _ = question(MODEL)
    coefficients = {name: spec.bindings[0][name] for name in spec.coefficients}
    return Ladder(MODEL, DATA, coefficients)


def costs(operator: Operator) -> dict[str, int]:
    """Return multiply-adds and parameters at all sites."""
    from math import prod

    from syno.nn.substitution import site_flops, sizes_at

    found = ladder()
    shapes = [
        operator.weight_shapes(sizes_at(operator, site, found.coefficients)) for site in found.sites
    ]
    return {
        "flops": sum(site_flops(operator, site, found.coefficients) for site in found.sites),
        "parameters": sum(prod(shape) for each in shapes for shape in each.values()),
    }


def measure(task: tuple[str, str | None]) -> Outcome:
    """Return the cells of one rung; runs in a process of its own. No text: the baseline."""
    import torch

    torch.set_num_threads(1)
    return Scored(0.0, 1.0, 0, 0, cells_of(*task))


def cells_of(rung: str, text: str | None) -> dict[str, Any]:
    """Return the cells of one rung of an operator."""
    found = ladder()
    assignment = found.everywhere(parse(text)) if text else {}
    if rung == "sample":
        return _sample(found, assignment)
    if rung == "fit":
        return _fit(found, assignment)
    if rung == "proxies":
        return _proxies(found, assignment)
    if rung == "ratio":
        return _ratio(found, assignment)
    _ = found.captured, found.tutor  # shared by all candidates: no part of the price of one
    start = time.process_time()
    if rung.startswith("long-") or rung == "long":
        seed = int(rung == "long-1")
        network = found.fitted(assignment, seed=seed).network
        result = found.long(network, seed=seed, on_progress=give_way)
    else:
        scratch = found.settings.scratch
        longer = replace(scratch, epochs=LONGER_EPOCHS)
        chosen = scratch if rung == "scratch" else longer
        result = found.scratch(assignment, recipe=chosen, on_progress=give_way)
    seconds = round(time.process_time() - start, 1)
    name = rung.replace("-", "_accuracy_") if "-" in rung else f"{rung}_accuracy"
    cells = {name: result.validation_accuracy}
    return cells if rung == "long-1" else {**cells, f"{rung}_seconds": seconds}


def give_way(_step: int, _steps: int) -> None:
    """Hold a training while another process times."""
    wait_for_quiet()


def _sample(found: Any, assignment: Mapping[str, Operator]) -> dict[str, Any]:
    _ = found.captured  # shared by all candidates
    start = time.process_time()
    fitted = found.sampled(assignment)
    seconds = round(time.process_time() - start, 2)
    return {"sample_residual": round(fitted.residual, 6), "sample_seconds": seconds}


def _fit(found: Any, assignment: Mapping[str, Operator]) -> dict[str, Any]:
    _ = found.captured, found.tutor  # shared by all candidates: no part of the price of one
    start = time.process_time()
    fitted = found.fitted(assignment)
    middle = time.process_time()
    accuracy = found.accuracy(fitted.network)
    begin = time.process_time()
    result = found.short(fitted.network, on_progress=give_way)
    end = time.process_time()
    return {
        "fit_residual": round(fitted.fit.residual, 6),
        "fit_network_residual": round(fitted.fit.network_residual, 6),
        "fit_accuracy": accuracy,
        "fit_seconds": round(middle - start, 2),
        "short_accuracy": result.validation_accuracy,
        "short_seconds": round(end - begin, 2),
    }


def _network(found: Any, assignment: Mapping[str, Operator]) -> Any:
    from syno.evaluate.models import build

    original = build(MODEL)
    return original, found.substituted(original, assignment) if assignment else original


def _proxies(found: Any, assignment: Mapping[str, Operator]) -> dict[str, Any]:
    from syno.evaluate.models import info
    from syno.evaluate.proxies import gradient_norm, naswot, synflow
    from syno.evaluate.training import normalized

    _, network = _network(found, assignment)
    images = normalized(found.data.train.images[:64], found.data)
    return {
        "synflow": synflow(network, info(MODEL).input_shape),
        "naswot": naswot(network, images),
        "gradient_norm": gradient_norm(network, images, found.data.train.labels[:64]),
    }


def _ratio(found: Any, assignment: Mapping[str, Operator]) -> dict[str, Any]:
    from syno.evaluate.latency import compare
    from syno.evaluate.models import info

    if not assignment:
        return {"ratio": 1.0}
    example = info(MODEL).example_input(1)
    pair = _network(found, assignment)
    timed = compare(*pair, example, backend=BACKEND, rounds=ROUNDS, alone=quiet)
    return {
        "ratio": round(timed.ratio, 4),
        "ratio_low": round(timed.ratio_low, 4),
        "ratio_high": round(timed.ratio_high, 4),
    }


# ----------------------------------------------------------------------------------- the table


class Table:
    """The rows, written whole after every cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "operators.csv"
        self.notes = folder / "table.json"
        self.rows: dict[str, dict[str, Any]] = {}
        self.about: dict[str, Any] = {"baseline": {}}
        if self.file.exists():
            with self.file.open(newline="", encoding="utf-8") as stream:
                self.rows = {row["operator"]: row for row in csv.DictReader(stream)}
        if self.notes.exists():
            self.about = json.loads(self.notes.read_text(encoding="utf-8"))

    def fill(self, text: str | None, cells: Mapping[str, Any]) -> None:
        """Add cells to a row, or to the baseline, and write the file."""
        row = self.about["baseline"] if text is None else self.rows[text]
        row.update(cells)
        self.write()

    def enter(self, rows: Mapping[str, Mapping[str, Any]], baseline: Mapping[str, Any]) -> None:
        """Take over measurements from elsewhere; cells that are filled already stay beside them."""
        self.rows = {text: {**self.rows.get(text, {}), **cells} for text, cells in rows.items()}
        self.about["baseline"].update(baseline)

    def write(self) -> None:
        """Write both files, each in one piece."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows.values())
        partial.replace(self.file)
        partial.write_text(json.dumps(self.about, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.notes)

    def missing(self, rung: str, first: int, least_ratio: float) -> list[str | None]:
        """Return the operators whose cells of a rung are empty; None is the baseline.

        With a `least_ratio`, only those that were measured to be so fast.
        """
        column = RUNGS[rung]
        ratios = {text: float(row.get("ratio") or 0.0) for text, row in self.rows.items()}
        texts = [text for text in list(self.rows)[:first] if ratios[text] >= least_ratio]
        found: list[str | None] = [text for text in texts if self.rows[text].get(column, "") == ""]
        return found if column in self.about["baseline"] else [None, *found]


def describe(table: Table, seed: int, study: Path | None) -> None:
    """Say in table.json how the rows were made."""
    from syno.evaluate.fidelities import LadderSettings
    from syno.evaluate.teacher import TEACHER_RECIPES

    drawn_by = {"seed": seed, "least_flops": LEAST_FLOPS}
    table.about.update(
        {
            **circumstances(),
            "command": "python bench/tabular_build.py" + (" --study FILE" if study else ""),
            "model": MODEL,
            "data": DATA,
            **({"source": "search"} if study else {"source": "drawn", **drawn_by}),
            "settings": asdict(LadderSettings()),
            "longer_epochs": LONGER_EPOCHS,
            "teacher": asdict(TEACHER_RECIPES[DATA]),
            "latency": {"backend": BACKEND, "threads": 1, "batch": 1, "rounds": ROUNDS},
        }
    )
    table.write()


def run(table: Table, tasks: list[tuple[str, str | None]], workers: int, end: float) -> None:
    """Measure what is missing, and write each result as it comes."""
    waiting, failures = iter(tasks), Counter[str]()
    with Executor(workers, LIMITS) as pool:
        while True:
            while pool.has_room and time.monotonic() < end:
                task = next(waiting, None)
                if task is None:
                    break
                pool.submit(task, measure, task)
            if not pool.flying or time.monotonic() > end + GRACE:
                return  # what is in flight is done again next time
            done = pool.next_done(5.0)
            if done is not None:
                (rung, text), outcome = done
                failures[rung] = 0 if isinstance(outcome, Scored) else failures[rung] + 1
                if failures[rung] == MANY:
                    raise SystemExit(f"{rung} failed {MANY} times in a row, at last with {outcome}")
                table.fill(text, _cells(rung, outcome))
                print(
                    f"{rung}: {table.rows[text] if text else table.about['baseline']}", flush=True
                )


def _cells(rung: str, outcome: Outcome) -> dict[str, Any]:
    """Return the cells of a row; a training that fails has the accuracy of chance."""
    if isinstance(outcome, Scored):
        return dict(outcome.extra)
    empty = {RUNGS[rung]: CHANCE} if "accuracy" in RUNGS[rung] else {}
    return {**empty, "failure": f"{rung}: {outcome}"[:300]}


def main() -> None:
    """Measure what is missing and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operators", type=int, default=300)
    parser.add_argument("--rungs", nargs="+", choices=RUNGS, default=["proxies", "fit", "long"])
    parser.add_argument("--first", type=int, help="only the first so many operators")
    parser.add_argument("--least-ratio", type=float, default=0.0, help="only what is so fast")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--study", type=Path, help="what a search trained, instead of a draw")
    chosen = parser.parse_args()
    if chosen.study and chosen.folder == FOLDER:
        parser.error("--study needs a --folder of its own: the table there is drawn at random.")
    end = time.monotonic() + 60 * chosen.minutes
    table = Table(chosen.folder)
    if chosen.study:
        table.enter(*searched(chosen.study))
    elif len(table.rows) < chosen.operators:
        for operator in drawn(chosen.operators, chosen.seed):
            table.rows.setdefault(str(operator), {"operator": str(operator), **costs(operator)})
    describe(table, chosen.seed, chosen.study)
    first = chosen.first or len(table.rows)
    missing = {rung: table.missing(rung, first, chosen.least_ratio) for rung in chosen.rungs}
    order: list[str | None] = [None, *table.rows]
    tasks = [(rung, text) for text in order for rung in chosen.rungs if text in missing[rung]]
    run(table, tasks, chosen.workers, end)
    counts = {
        rung: sum(row.get(column, "") != "" for row in table.rows.values())
        for rung, column in RUNGS.items()
    }
    print(json.dumps({"operators": len(table.rows), **counts}))


if __name__ == "__main__":
    main()
