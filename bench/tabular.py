"""What the table of measured operators says about fidelities, strategies and the ladder.

Run: python bench/tabular.py [--json] [--out DIR] (a minute for 300 rows). Reads
docs/results/tabular, which bench/tabular_build.py fills; rows that lack a cell are left out where
it is needed. Prints a summary, or one JSON object; `--out docs/results/tabular` also writes that as
figures.json, with the page and its plots:

- `spearman`: rank correlation of every fidelity with the long and the longer training, with the
  95 % interval of a bootstrap over the rows; `seeds` is that of two seeds of the long training,
  which no fidelity can be expected to exceed.
- `top`: how many of the truly best tenth are in the first 10, 20 and 30 % by each fidelity.
- `strategies`: over seeds, the quartiles of the share of the hypervolume (accuracy against the
  logarithm of the latency ratio; see `syno.testing.tabular.Front`) after so many evaluations, and
  of the evaluations until 95 % of it. Strategies are rewarded as in a search; they are told the
  accuracy after short training, which more rows have than the long one (`--judged-by`).
- `ladder`: over seeds, the quartiles of the seconds of training until 80, 90 and 95 % of the
  hypervolume, of the seconds in all, and of the share reached in the end: with a long training of
  every candidate, in random order or as `mcts` asks, and with the ladder of a search, where a
  candidate climbs for so large a gain (`--gains`), or with successive halving, in random order.
  `times_less` is how many times less it needs for 95 %, median over median. What is not
  `--least-ratio` times as fast is not trained anywhere, as in a search.
- `resampled`: the same for so many operators (`--resampled`) as a simulation has it, in which
  every seed draws them anew from the measured ones, each a little different: what the ladder might
  save where there are more, and what its settings save where they were not chosen.

A quartile is null where that many seeds never come so far.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import log2
from pathlib import Path
from random import Random
from typing import Any

import optuna
from networks import spec_of
from search import quartiles
from tabular_page import page
from tabular_plots import draw_fidelities, draw_strategies

from syno.ir.files import write_atomically
from syno.run.ladder import RUNGS, Climb, Rung
from syno.run.settings import SearchSettings
from syno.search.outcome import Outcome, Scored
from syno.search.registry import STRATEGIES
from syno.search.reward import Reward
from syno.space.space import SynthesisSpace
from syno.testing.tabular import (
    FIDELITIES,
    NEEDED,
    Front,
    Row,
    Table,
    TableSpace,
    Trained,
    climb,
    correlation,
    evaluations_to,
    judged,
    order_asked,
    read_table,
    seconds_to,
    top_found,
    train_all,
)

FOLDER = Path("docs/results/tabular")
TRUTHS = {
    "long_training": "long_accuracy",
    "scratch_training": "scratch_accuracy",
    "longer_training": "longer_accuracy",
}
JUDGES = ("short_accuracy", "long_accuracy")
GAINS = [0.002, SearchSettings.least_gain, 0.02]
SHARES = (2, 4)  # of successive halving
LEVELS = (0.8, 0.9, 0.95)
SEARCHED = ("ratio", "flops", "parameters")  # and an accuracy
Figures = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """The table as strategies see it: what can be reached, and what there is to find."""

    table: Table
    space: TableSpace
    front: Front

    @property
    def rows(self) -> dict[object, Row]:
        """Return the rows of the space by their operators."""
        known = {row.operator: row for row in self.table.rows}
        return {op: known[op] for op in self.space.operators}  # type: ignore[index]


def question(table: Table, accuracy: str) -> Question | None:
    """Return the question that rows with accuracy and latency ratio pose; None without an answer.

    `accuracy` is the column that strategies are told.
    """
    rows = table.with_all(accuracy, *SEARCHED)
    if not rows:
        return None
    space = SynthesisSpace(spec_of(table.provenance["model"]))
    found = TableSpace(space, [row.operator for row in rows])
    posed = Question(table, found, Front(table.original(accuracy), accuracy))
    nothing = posed.front.covered(posed.rows.values()) <= 0  # faster and near enough
    return None if nothing else posed


# ------------------------------------------------------------------------------------- fidelities


def correlations(table: Table) -> Figures:
    """Return the rank correlations with each truth."""
    found: Figures = {}
    for truth, column in TRUTHS.items():
        found[truth] = {}
        for name, (judge, _) in FIDELITIES.items():
            rows = table.with_all(judge, column)
            values = [judged(row, name) for row in rows], [row[column] for row in rows]
            found[truth][name] = asdict(correlation(*values))
    rows = table.with_all("long_accuracy", "longer_accuracy")
    values = [row["long_accuracy"] for row in rows], [row["longer_accuracy"] for row in rows]
    found["longer_training"]["long_training"] = asdict(correlation(*values))
    rows = table.with_all("long_accuracy", "long_accuracy_1")
    values = [row["long_accuracy"] for row in rows], [row["long_accuracy_1"] for row in rows]
    return {**found, "seeds": asdict(correlation(*values))}


def tops(table: Table) -> Figures:
    """Return how many of the truly best tenth are among the first by each fidelity."""
    found: Figures = {}
    for name, (judge, _) in FIDELITIES.items():
        rows = table.with_all(judge, "long_accuracy")
        if not rows:
            continue
        values = [judged(row, name) for row in rows], [row["long_accuracy"] for row in rows]
        counts = {f"{share:.0%}": top_found(*values, share)[0] for share in (0.1, 0.2, 0.3)}
        found[name] = {"of": top_found(*values, 0.1)[1], "n": len(rows), **counts}
    return found


# ------------------------------------------------------------------------------------- strategies


def asked(posed: Question, name: str, seeds: int) -> list[list[Row]]:
    """Return for each seed the rows in the order in which a strategy asks for them."""
    make, rows, front = STRATEGIES[name], posed.rows, posed.front
    ask = partial(order_asked, make, posed.space, rows, front.baseline, accuracy=front.accuracy)
    return [ask(seed=seed) for seed in range(seeds)]


def shares(posed: Question, orders: Iterable[Sequence[Row]]) -> list[list[float]]:
    """Return for each order the share of the hypervolume after each evaluation.

    A search that ends early keeps what it has.
    """
    count, whole = len(posed.rows), posed.front.covered(posed.rows.values())
    found = []
    for order in orders:
        growth = [each / whole for each in posed.front.growth(order)]
        found.append(growth + growth[-1:] * (count - len(growth)))
    return found


def strategy_figures(grown: Sequence[Sequence[float]]) -> Figures:
    """Return the quartiles over seeds of the share covered, and of evaluations to 95 %."""
    count = len(grown[0])
    at = [places for k in range(12) if (places := 5 * 2**k) < count] + [count]
    to_95 = [evaluations_to(each, LEVELS[-1]) for each in grown]
    return {
        "share": {str(place): _middle([each[place - 1] for each in grown]) for place in at},
        "evaluations_to_95": quartiles(to_95),
    }


# ----------------------------------------------------------------------------------------- ladder


def ladder(
    posed: Question, orders: Sequence[Sequence[Row]], least: float, gains: Sequence[float]
) -> Figures:
    """Return what the long training of all costs and what the ladder does.

    `orders` are those in which the default strategy asks, one for each seed.
    """
    rows = [row for row in posed.rows.values() if row.has(*NEEDED) and row["ratio"] >= least]
    if not rows:
        return {"rows": 0}
    shuffled = [Random(seed).sample(rows, len(rows)) for seed in range(len(orders))]
    members = {row.operator for row in rows}
    chosen = [[row for row in order if row.operator in members] for order in orders]
    whole = posed.front.covered(rows)
    found = {
        "rows": len(rows),
        "least_ratio": least,
        "all_random": _spent(posed.front, whole, map(train_all, shuffled)),
        f"all_{SearchSettings.strategy}": _spent(posed.front, whole, map(train_all, chosen)),
    }
    reward = Reward(posed.front.baseline)
    rivals: dict[str, Callable[[], Climb]] = {
        **{f"ladder_{gain:g}": partial(Climb, reward, gain) for gain in gains},
        **{f"halving_{share}": partial(Halving, reward, share) for share in SHARES},
    }
    for name, rival in rivals.items():
        found[name] = _spent(posed.front, whole, (climb(each, rival()) for each in shuffled))
        to_95 = (found[each]["seconds_to"][str(LEVELS[-1])] for each in ("all_random", name))
        found[name]["times_less"] = _times_less(*to_95)
    return found


def resampled(posed: Question, count: int, seeds: int, least: float) -> Figures:
    """Return what the long training of `count` operators drawn anew costs, and the ladder."""
    rows = [row for row in posed.rows.values() if row.has(*NEEDED) and row["ratio"] >= least]
    if not rows:
        return {"rows": 0}
    reward, front = Reward(posed.front.baseline), posed.front
    spent: dict[str, list[float | None]] = {"all_random": [], "ladder": []}
    for seed in range(seeds):
        drawn = _drawn_anew(rows, count, Random(seed))
        least_covered = LEVELS[-1] * front.covered(drawn)
        found = {
            "all_random": train_all(drawn),
            "ladder": climb(drawn, Climb(reward, SearchSettings.least_gain)),
        }
        for name, trained in found.items():
            spent[name].append(seconds_to(trained.events, front, least_covered))
    middles = {name: quartiles(each) for name, each in spent.items()}
    came = sum(each is not None for each in spent["ladder"])
    less = _times_less(*middles.values())
    return {"rows": count, "seconds_to_95": middles, "came_to_95": came, "times_less": less}


def _drawn_anew(rows: Sequence[Row], count: int, rng: Random) -> list[Row]:
    """Return rows drawn with replacement, each with noise that all of its judgements share."""
    found = []
    for row in rng.choices(rows, k=count):
        better = rng.gauss(0, 0.01)
        changed = {
            "sample_residual": max(row["sample_residual"] - 2 * better + rng.gauss(0, 0.02), 0.0),
            "short_accuracy": row["short_accuracy"] + better + rng.gauss(0, 0.002),
            "long_accuracy": row["long_accuracy"] + better,
            "ratio": row["ratio"] * 2 ** rng.gauss(0, 0.05),
        }
        found.append(replace(row, values={**row.values, **changed}))
    return found


class Halving(Climb):
    """Successive halving by Optuna's pruner, what the ladder of a search is compared with.

    Of those that come to a rung one in `share` climbs, the best by expected accuracy on the last
    rung, where twice as fast makes up for five points.
    """

    def __init__(self, reward: Reward, share: int) -> None:
        super().__init__(reward, 0.0, batch=1)
        self.share = share
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=share)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.field = optuna.create_study(direction="maximize", pruner=pruner)
        self.trials: dict[int, optuna.Trial] = {}

    def give_up(self) -> dict[int, Outcome]:
        """Return nobody: one that climbs is asked once."""
        return {}

    def climbs(self, number: int, rung: Rung, outcome: Scored) -> bool:
        """Tell whether a candidate goes on from a rung."""
        if number not in self.trials:
            self.trials[number] = self.field.ask()
        trial = self.trials[number]
        value = self.estimate(rung, outcome.accuracy) + 0.05 * log2(outcome.ratio)
        trial.report(value, self.share ** RUNGS.index(rung))
        if not trial.should_prune():
            return True
        self.field.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return False


def _times_less(one: Sequence[float | None], two: Sequence[float | None]) -> float | None:
    """Return how many times less `two` is than `one`, by the medians of these quartiles."""
    slow, fast = one[1], two[1]
    return round(slow / fast, 2) if slow and fast else None


def _spent(front: Front, whole: float, runs: Iterable[Trained]) -> Figures:
    """Return quartiles over runs; `whole` is the hypervolume of all rows."""
    known = list(runs)
    reached = [front.covered(event.row for event in each.events) / whole for each in known]
    return {
        "seconds_to": {
            str(level): quartiles([seconds_to(each.events, front, level * whole) for each in known])
            for level in LEVELS
        },
        "seconds": _middle([each.seconds for each in known]),
        "trained": _middle([float(len(each.events)) for each in known]),
        "share": _middle(reached),
        "came_to_95": sum(each >= LEVELS[-1] for each in reached),
    }


def _middle(values: Sequence[float]) -> list[float | None]:
    return [None if each is None else round(each, 4) for each in quartiles(list(values))]


# ------------------------------------------------------------------------------------------- main


def lines(found: Figures) -> list[str]:
    """Return the figures as text."""
    text = [f"{found['rows']} rows, {found['searched']} searched, {found['unreached']} unreached"]
    for truth in TRUTHS:
        for name, each in found["spearman"][truth].items():
            if each["rho"] is not None:
                interval = f"{each['low']:+.2f} to {each['high']:+.2f}"
                text.append(f"{truth}: {name} {each['rho']:+.2f} ({interval}), {each['n']} rows")
    text.append(f"two seeds: {found['spearman']['seeds']}")
    text += [f"top: {name}: {each}" for name, each in found["top"].items()]
    for part in ("strategies", "ladder"):
        text += [f"{part}: {name}: {each}" for name, each in found.get(part, {}).items()]
    text += [f"resampled: {each}" for each in found.get("resampled", [])]
    return text


def figures(table: Table, posed: Question | None, chosen: argparse.Namespace) -> Figures:
    """Return all figures, and write the page where it is asked for."""
    found: Figures = {
        "rows": len(table.rows),
        "seeds": chosen.seeds,
        "searched": len(posed.space.operators) if posed else 0,
        "unreached": len(posed.space.unreached) if posed else 0,
        "spearman": correlations(table),
        "top": tops(table),
    }
    grown: dict[str, list[list[float]]] = {}
    if posed is not None:
        orders = {name: asked(posed, name, chosen.seeds) for name in sorted(STRATEGIES)}
        grown = {name: shares(posed, each) for name, each in orders.items()}
        found["reference"] = {
            "judged_by": posed.front.accuracy,
            "accuracy": posed.front.baseline - posed.front.lost,
            "ratio": 1.0,
            "hypervolume": posed.front.covered(posed.rows.values()),
        }
        found["strategies"] = {name: strategy_figures(each) for name, each in grown.items()}
    trained = question(table, TRUTHS["long_training"])
    if trained is not None:
        orders_long = asked(trained, SearchSettings.strategy, chosen.seeds)
        found["ladder"] = ladder(trained, orders_long, chosen.least_ratio, chosen.gains)
        found["resampled"] = [
            resampled(trained, count, chosen.seeds, chosen.least_ratio)
            for count in chosen.resampled
        ]
    if chosen.out is not None:
        write(chosen.out, table, found, grown)
    return found


def write(folder: Path, table: Table, found: Figures, grown: Mapping[str, Any]) -> None:
    """Write the page, its figures and its plots."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "figures.json", json.dumps(found, indent=1) + "\n")
    write_atomically(folder / "README.md", page(table, found))
    draw_fidelities(table, folder / "fidelities.svg")
    if grown:
        draw_strategies(grown, folder / "strategies.svg")


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--out", type=Path, help="folder for figures, page and plots")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--judged-by", default="short_accuracy", choices=JUDGES, help="what strategies are told"
    )
    parser.add_argument("--least-ratio", type=float, default=SearchSettings.least_ratio)
    parser.add_argument(
        "--gains", nargs="+", type=float, default=GAINS, help="for which one climbs"
    )
    parser.add_argument(
        "--resampled", nargs="*", type=int, default=[130, 300], help="operators of a simulation"
    )
    return parser.parse_args()


def main() -> None:
    """Read, compute, print."""
    chosen = parsed()
    table = read_table(chosen.folder / "operators.csv")
    one_search = table.provenance.get("source") == "search"  # what it asked for is no space
    posed = None if one_search else question(table, chosen.judged_by)
    found = figures(table, posed, chosen)
    show: Callable[[Figures], str] = json.dumps if chosen.json else lambda f: "\n".join(lines(f))
    print(show(found))


if __name__ == "__main__":
    main()
