"""Headline figures: a network with operators beside the original, by one full recipe and seeds.

    syno data fetch cifar10
    python bench/headline.py --model resnet20 --name 'grouped-convolution g=4' --epochs 10 --table

Trains the original and every row (`--name`, `--operator`, `--assignment`, each may be repeated)
with as many seeds as asked, from random weights, by the recipe of a full training; `--epochs`
scales its schedule. The test set is opened once for each training, when it is over, with the
weights of the last epoch. Then both networks are timed in turns, end to end, for each backend.
`--table` writes README.md and headline.json from all cells of the folder, also without `--model`.

A cell (one training, or one timing) is a JSON file, FOLDER/MODEL/ROW/..., written when it is
finished and not made again. A training that is killed goes on from its checkpoint, which lies in
the cache folder, with the same command. The command may run several times at once: each takes the
cells that no other is at.

`--estimate` makes a few steps of each training and says how many hours all will take.

On a processor the operators are given the programs that train fastest here, once for a row: they
are kept in its folder, so that a cell made again is the same to the last bit. On CUDA: bfloat16,
channels last, torch.compile.

`--start fitted` adds what is no fair comparison, and a row of its own: operators fitted to a
trained original, then taught by it. The original has no such help.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

if "--threads" in sys.argv:  # before torch is loaded: threads that wait by spinning slow each other
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from cells import Figures, cell, finished, say, write
from headline_table import write_table
from torch import nn

from syno.cli.app import default_data
from syno.cli.operators import parse_sizes
from syno.evaluate.assignment import read_selection
from syno.evaluate.batches import normalized
from syno.evaluate.benchmark import Replaced, replace_assigned, replace_sites
from syno.evaluate.checkpoint import Checkpoint
from syno.evaluate.descent import autocast
from syno.evaluate.fidelities import Ladder
from syno.evaluate.latency import compare, compiler_named
from syno.evaluate.models import build, info
from syno.evaluate.packages import cache_folder
from syno.evaluate.recipes import Recipe, recipe_for
from syno.evaluate.splits import DataSplits
from syno.evaluate.training import Diverged, Execution, NotANumber, accuracy_on, train
from syno.ir.errors import StudyError, SynoError
from syno.ir.files import write_atomically
from syno.ir.operator import Operator
from syno.nn.module import SynthesizedOperator
from syno.nn.sites import find_sites, select_sites
from syno.nn.substitution import count_parameters
from syno.nn.tuning import tune_for_training
from syno.run.candidate import data_for
from syno.run.lock import lock_beside
from syno.run.quiet import quiet, wait_for_quiet
from syno.space.networks import COEFFICIENTS
from syno.zoo.bound import bound

FOLDER = Path("docs/results/headline")
STARTS = ("random", "fitted")
ESTIMATED = 12  # steps
DISTILLATION = 0.9  # of the loss, in a training from fitted weights
QUICK = {
    "model": "convnet",
    "name": ["grouped-convolution g=4"],
    "epochs": 1.0,
    "seeds": 2,
    "backends": ["torch"],
    "rounds": 3,
    "table": True,
}


@dataclass(frozen=True)
class Row:
    """A line of the table: its folder, what it says, and the operators at sites by name.

    `option` is what the command line calls it, `left_alone` why it does not stand everywhere.
    """

    name: str
    text: str
    assignment: Mapping[str, Operator]
    option: tuple[str, str] | None = None
    left_alone: Mapping[str, str] | None = None


ORIGINAL = Row("original", "original", {})


def operator_row(model: str, text: str, sizes: Mapping[str, int]) -> Row:
    """Return the row of one operator at the sites of a model where it fits."""
    known, network, example = bound(text, sizes), build(model), info(model).example_input()
    chosen = select_sites(find_sites(network, example), info(model).sites, model)
    made = replace_sites(network, known.operator, chosen, example, coefficients={})
    taken = {site.name: known.operator for place in made.places for site in place.sites}
    formula = known.name.startswith("[")
    name = f"formula-{digest(known.name)[:8]}" if formula else slug(known.name)
    option = ("--operator" if formula else "--name", known.name)
    return Row(name, known.name, taken, option, made.left_alone)


def assignment_row(path: Path) -> Row:
    """Return the row of an assignment that `syno assign` wrote."""
    selection = read_selection(path)
    name = f"assignment-{digest(selection.to_dict()['groups'])[:8]}"
    return Row(name, str(selection), selection.assignment, ("--assignment", str(path)))


class Clock:
    """Seconds of the processor, kept beside a checkpoint: an interruption loses half a minute."""

    def __init__(self, file: Path) -> None:
        self._file, self._start, self._kept = file, time.process_time(), time.monotonic()
        self._before = float(file.read_text()) if file.exists() else 0.0

    @property
    def seconds(self) -> float:
        """All so far, with what was done twice because it was lost."""
        return self._before + time.process_time() - self._start

    def keep(self) -> None:
        """Write them if it is time."""
        if time.monotonic() - self._kept > 30:
            write_atomically(self._file, f"{self.seconds}")
            self._kept = time.monotonic()


@dataclass(frozen=True)
class Lab:
    """What all cells of a command share."""

    model: str
    recipe: Recipe
    device: str
    threads: int
    folder: Path

    @property
    def data(self) -> str:
        """The name of the data set."""
        return default_data(self.model, None)

    @property
    def kind(self) -> str:
        """What the device is: cpu or cuda."""
        return torch.device(self.device).type

    @property
    def setting(self) -> str:
        """What trainings that may be compared have in common, as the name of a file."""
        return f"{self.recipe.epochs:g}-epochs-{self.conditions}"

    @property
    def conditions(self) -> str:
        """How a training computes, as part of the name of a file."""
        return f"{self.kind}-{self.recipe.precision}{self.spoken_threads}"

    @property
    def spoken_threads(self) -> str:
        """The number of threads as part of the name of a file, where it is not 1."""
        return "" if self.threads == 1 else f"-{self.threads}-threads"

    @cached_property
    def splits(self) -> DataSplits:
        """The data set."""
        return data_for(self.model, self.data)

    def replaced(self, row: Row, seed: int) -> Replaced:
        """Return the model with fresh weights, and its copy with the operators of a row."""
        original, example = build(self.model, seed=seed), info(self.model).example_input()
        if not row.assignment:
            return Replaced(original, original, (), {}, {})
        return replace_assigned(original, row.assignment, example, seed=1000 * seed)

    def costs(self, row: Row) -> Figures:
        """Return parameters and multiply-adds of the network of a row, and what it replaces."""
        made = self.replaced(row, 0)
        sites = find_sites(made.original, info(self.model).example_input())
        before, after = made.multiply_adds
        return {
            "parameters": count_parameters(made.changed),
            "multiply_adds": sum(site.flops for site in sites) - before + after,
            "replaced": len(row.assignment),
            "left_alone": dict(row.left_alone or {}),
        }

    def file(self, row: Row, name: str) -> Path:
        """Return the file of a cell."""
        return self.folder / self.model / row.name / f"{name}.json"

    def aside(self, name: str, *parts: object) -> Path:
        """Return where something lies until a cell is finished; other parts are another file."""
        own = digest([self.model, self.setting, self.recipe.to_dict(), *parts])
        return cache_folder() / "headline" / f"{self.model}-{name}-{own[:12]}.pt"


# ------------------------------------------------------------------------------------- programs


def use_programs(lab: Lab, row: Row, network: nn.Module) -> str:
    """Give the operators of a network the programs of its row and return their digest.

    They are those that train fastest, chosen where the folder has none yet.
    """
    identity = {"kind": "programs", "model": lab.model, "row": row.text, "device": lab.kind}
    identity |= {"precision": lab.recipe.precision, "batch": lab.recipe.batch_size}
    file = lab.file(row, f"programs-{lab.conditions}")
    made = finished(file, identity)
    made = made or cell(file, identity, lambda: {"programs": chosen_programs(lab, network)})
    found = made["programs"]
    for place, number in found["uses"].items():
        operator = network.get_submodule(place)
        assert isinstance(operator, SynthesizedOperator)
        operator.use_source(found["sources"][number])
    return digest(found)


def chosen_programs(lab: Lab, network: nn.Module) -> Figures:
    """Return the sources of the operators of a network, tuned on a processor."""
    if lab.kind == "cpu":  # torch.compile writes its own kernels
        batch = normalized(lab.splits.train.images[: lab.recipe.batch_size], lab.splits)
        tune_for_training(network, batch, context=lambda: autocast(lab.recipe.precision))
    uses = {
        name: module.source
        for name, module in network.named_modules()
        if isinstance(module, SynthesizedOperator)
    }
    sources = list(dict.fromkeys(uses.values()))
    return {"sources": sources, "uses": {name: sources.index(each) for name, each in uses.items()}}


# ------------------------------------------------------------------------------------- trainings


def train_cell(lab: Lab, row: Row, seed: int, start: str) -> None:
    """Make the cell of one training, unless it is finished or another process is at it."""
    recipe = lab.recipe if start == "random" else replace(lab.recipe, distillation=DISTILLATION)
    identity = {"kind": "training", "model": lab.model, "data": lab.data, "row": row.text}
    identity |= {"setting": lab.setting, "start": start, "seed": seed, "recipe": recipe.to_dict()}
    file = lab.file(row, f"{lab.setting}-{start}-seed-{seed}")
    if finished(file, identity) is not None:
        cell(file, identity, dict)  # says so
        return
    programs = "" if row is ORIGINAL else use_programs(lab, row, lab.replaced(row, 0).changed)
    aside = lab.aside(f"{row.name}-{start}-seed-{seed}", programs, row.text, start, seed)
    try:
        lock = lock_beside(aside)
    except StudyError:
        say(f"{file}: another process is at it")
        return
    with lock:
        cell(file, identity, lambda: trained(lab, row, seed, start, recipe, aside))
        for suffix in ("", ".clock", ".lock"):
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)


def trained(lab: Lab, row: Row, seed: int, start: str, recipe: Recipe, aside: Path) -> Figures:
    """Train a network and test it once; a divergence is a result as well."""
    network, teacher, about = lab.replaced(row, seed).changed, None, lab.costs(row)
    if start == "fitted":
        ladder = Ladder(lab.model, lab.data, {})
        network, teacher = fitted(lab, row, ladder), ladder.teacher
    if row is not ORIGINAL:
        about["programs"] = use_programs(lab, row, network)
    clock, splits = Clock(aside.with_name(aside.name + ".clock")), lab.splits
    began = time.monotonic()

    def on_progress(_step: int, _steps: int) -> None:
        wait_for_quiet()
        clock.keep()

    def on_epoch(epoch: int, accuracy: float) -> None:
        reached = f"epoch {epoch} of {recipe.epochs:g}, validation accuracy {100 * accuracy:.2f} %"
        say(f"  {row.name}, seed {seed}: {reached}, {time.monotonic() - began:.0f} s")

    execution = Execution(lab.device, compiled=lab.kind == "cuda", on_epoch=on_epoch)
    options: Any = {"teacher": teacher, "checkpoint": Checkpoint(aside), "execution": execution}
    try:
        result = train(network, splits, recipe, seed=seed, on_progress=on_progress, **options)
        reason = f"headline: {row.name}, {lab.setting}, {start}, seed {seed}"
        tested = accuracy_on(network, splits.final_test(reason), splits)
    except (NotANumber, Diverged) as error:
        return {**about, "failed": str(error), "processor_seconds": round(clock.seconds, 1)}
    return {
        **about,
        "test_accuracy": tested,
        "processor_seconds": round(clock.seconds, 1),
        "result": asdict(result),
    }


def fitted(lab: Lab, row: Row, ladder: Ladder) -> nn.Module:
    """Return the network of a row with weights that imitate a trained original: once for a row.

    They are kept in the cache, because a fit made again may differ in the last digits.
    """
    if unknown := row.assignment.keys() - {site.name for site in ladder.sites}:
        raise SynoError(f"Only what a search replaces is fitted, and {min(unknown)} is not.")
    network, file = lab.replaced(row, 0).changed, lab.aside(f"{row.name}-fitted", row.text)
    if not file.exists():
        say(f"  {row.name}: fitting")
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.partial")
        torch.save(ladder.fitted(row.assignment).network.state_dict(), partial)
        partial.replace(file)
    network.load_state_dict(torch.load(file, weights_only=True))
    return network


def estimate(lab: Lab, row: Row, seeds: int) -> str:
    """Return what the trainings of a row will take, from a few steps of one."""
    now = time.process_time if lab.kind == "cpu" else time.perf_counter
    network, images = lab.replaced(row, 0).changed, len(lab.splits.train)
    if row is not ORIGINAL:
        use_programs(lab, row, network)
    each, ends = lab.recipe.steps_per_epoch(images), [now()]
    few = replace(lab.recipe, epochs=min(each, ESTIMATED) / each)
    execution = Execution(lab.device, compiled=lab.kind == "cuda")
    options: Any = {"on_progress": lambda *_: ends.append(now()), "execution": execution}
    train(network, lab.splits, few, seed=0, **options)
    validation = now() - ends[-1]  # what follows the last step, and each epoch
    step = median(end - begin for begin, end in pairwise(ends[2:]))
    hours = lab.recipe.epochs * (each * step + validation) / 3600
    return (
        f"{row.name}: {lab.recipe.batch_size / step:.0f} images/s; {hours:.2f} h for one training "
        f"of {lab.recipe.epochs:g} epochs, {seeds * hours:.2f} h for {seeds} seeds"
    )


# ------------------------------------------------------------------------------------- latency


def time_cell(lab: Lab, row: Row, backend: str, rounds: int) -> None:
    """Make the cell of one timing: the original and the network of a row, in turns."""
    identity = {"kind": "latency", "model": lab.model, "row": row.text, "backend": backend}
    identity |= {"threads": lab.threads, "rounds": rounds, "batch": 1}
    file = lab.file(row, f"latency-{backend}{lab.spoken_threads}")

    def work() -> Figures:
        made, example = lab.replaced(row, 0), info(lab.model).example_input(1)
        options: Any = {"threads": lab.threads, "rounds": rounds, "alone": quiet}
        pair = made.original.eval(), made.changed.eval()
        return {"latency": compare(*pair, example, backend=backend, **options).to_dict()}

    cell(file, identity, work)


# ------------------------------------------------------------------------------------- the command


def digest(data: object) -> str:
    """Return a short name of plain data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def slug(text: str) -> str:
    """Return text as a name of a file."""
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def rows_of(options: argparse.Namespace) -> list[Row]:
    """Return the rows that the command asks for, without the original."""
    sizes = {**COEFFICIENTS, **parse_sizes(options.size)}
    texts = [*options.name, *options.operator]
    return [operator_row(options.model, text, sizes) for text in texts] + [
        kept(options, assignment_row(path)) for path in options.assignment
    ]


def kept(options: argparse.Namespace, row: Row) -> Row:
    """Copy the file of an assignment into the folder of its row, which then is its option."""
    assert row.option is not None
    file = options.folder / options.model / row.name / "assignment.json"
    write(file, read_selection(Path(row.option[1])).to_dict())
    return replace(row, option=("--assignment", str(file)))


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Return the recipe of a full training, as long and as precise as asked."""
    recipe = recipe_for(default_data(options.model, None), full=True)
    precision = options.precision or ("float32" if options.device == "cpu" else "bfloat16")
    return replace(recipe, epochs=options.epochs or recipe.epochs, precision=precision)


def run(options: argparse.Namespace) -> None:
    """Make what is missing: seed by seed, so that what is finished can be compared early."""
    device, threads = options.device, options.threads
    lab = Lab(options.model, recipe_of(options), device, threads, options.folder)
    rows = rows_of(options)
    if options.estimate:
        for row in (ORIGINAL, *rows):
            say(estimate(lab, row, options.seeds))
        return
    for seed in range(options.seeds):
        if "random" in options.start:
            for row in (ORIGINAL, *rows):
                train_cell(lab, row, seed, "random")
        for row in rows if "fitted" in options.start else ():
            train_cell(lab, row, seed, "fitted")
    for row in rows:
        for backend in options.backends:
            time_cell(lab, row, backend, options.rounds)


def read_options(words: Sequence[str]) -> argparse.Namespace:
    """Return the options; those of a quick run come before the defaults, and after what is said."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="one with a data set, such as resnet20")
    parser.add_argument("--name", nargs="*", default=[], help="known operators, with sizes")
    parser.add_argument("--operator", nargs="+", default=[], help="formulas")
    parser.add_argument("--assignment", nargs="+", type=Path, default=[], help="of syno assign")
    parser.add_argument("--size", nargs="+", default=[], help="of symbols, such as g=8")
    parser.add_argument("--epochs", type=float, help="in the place of the recipe's")
    parser.add_argument("--seeds", type=int, default=3, help="0 times without training")
    parser.add_argument("--start", nargs="+", choices=STARTS, default=["random"])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    parser.add_argument("--precision", help="float32 or bfloat16; by the device")
    parser.add_argument("--backends", nargs="*", help="compilers to time; torch and inductor")
    parser.add_argument("--rounds", type=int, default=25, help="of a timing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--language", type=Path, default=Path("docs/results/language"))
    parser.add_argument("--estimate", action="store_true", help="only say what it will take")
    parser.add_argument("--quick", action="store_true", help="digits, one epoch, two seeds")
    parser.add_argument("--table", action="store_true", help="write the table of all cells")
    if parser.parse_args(words).quick:
        parser.set_defaults(**QUICK)
    options = parser.parse_args(words)
    if not options.model and not options.table:
        parser.error("choose a --model, or write the --table of what is there")
    if options.device != "cpu" and options.backends:
        parser.error("only the processor is timed here: leave out --backends with --device cuda")
    if options.backends is None:
        options.backends = ["torch", "inductor"] if options.device == "cpu" else []
    return options


def main() -> None:
    """Make what is missing, and the table where it is asked for."""
    options = read_options(sys.argv[1:])
    torch.set_num_threads(options.threads)
    try:
        for name in options.backends:
            compiler_named(name)  # told before hours of training
        if options.model:
            run(options)
        if options.table and not options.estimate:
            print(write_table(options.folder, options.language))
    except SynoError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on")


if __name__ == "__main__":
    main()
