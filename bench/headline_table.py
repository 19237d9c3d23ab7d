"""The headline table: what bench/headline.py and bench/language.py measured, for people."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cells import Figures, write

from syno.evaluate.recipes import FULL_RECIPES
from syno.ir.errors import SynoError
from syno.ir.files import write_atomically

SCRIPT = "python bench/headline.py"
PAGE = """\
# Headline figures

Written by `{script} --table` from the cells beside this page, each with its commit, date, machine
and versions; [headline.json](headline.json) has the same figures.
[How to make them](../../how-to/headline.md).

The original and every row were trained by the same recipe and the same seeds, from random weights
unless the row says otherwise. Test accuracy is that of the last epoch, never of the best; the test
set was opened once for each training, at its end. After a mean stands the standard deviation over
the seeds; after a difference to the original its standard error, sqrt(s1^2/n1 + s2^2/n2).
Multiply-adds count one for each, in convolutions and linear layers, for one image. A ratio is how
many times faster the whole network is than the original on one image, the two timed in turns: the
median of the rounds, with its quartiles.

Below each table stand the commands that make its cells. They repeat no cell that is there: to make
one anew, delete it, or choose another --folder. With the programs-*.json of its row, a training on
the same kind of processor ends at the same figures to the last bit.
"""
PAPER = """\
## Beside the paper

Zhuo, Su, Zhao, Gao (Syno, ASPLOS 2025) report no accuracy on CIFAR-10, so that no figure of theirs
stands beside these. Theirs are of ImageNet: 1.37 (TorchInductor) to 2.06 times as fast (TVM) on a
mobile CPU, the geometric mean over five networks at 224x224 and batch 1, with a loss below one
point of top-1 and every candidate trained for 100 epochs.
"""
LANGUAGE = """\
Validation loss in nats a token, less the original's (below 0 is better), after as many tokens and
after as many seconds of training; the test part stays closed. `step` is how many times faster a
training step is. Another text and a smaller network than the paper's: not comparable.
"""
FITTED = "fitted, then taught by a trained original: the original has no such help"


def write_table(folder: Path, language: Path) -> str:
    """Write README.md and headline.json from all cells of a folder, and return the page.

    Raises SynoError where there is no cell, or where trainings of a group differ in their recipe.
    """
    cells = [found for file in sorted(folder.glob("*/*/*.json")) if (found := _cell(file))]
    groups = [summary(group) for group in _grouped(cells).values()]
    texts = [json.loads(each.read_text()) for each in sorted(language.glob("*/summary.json"))]
    if not groups and not texts:
        raise SynoError(f"There are no cells in {folder} yet: choose a --model.")
    page = "\n".join(
        [PAGE.format(script=SCRIPT), *map(section, groups), *map(language_section, texts), PAPER]
    )
    write(folder / "headline.json", {"groups": groups, "language": texts})
    write_atomically(folder / "README.md", page)
    return page


def _cell(file: Path) -> Figures | None:
    """Return a cell with the name of its row; None for what is none."""
    found: Figures = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found.get("identity"), dict):
        return None
    return {**found, "name": file.parent.name, "folder": str(file.parent)}


def _grouped(cells: Sequence[Figures]) -> dict[tuple[str, str], list[Figures]]:
    """Return what may be compared: the cells of a model and a setting, with all its timings."""
    groups: dict[tuple[str, str], list[Figures]] = {}
    for each in cells:
        if each["identity"]["kind"] == "training":
            key = each["identity"]["model"], each["identity"]["setting"]
            groups.setdefault(key, []).append(each)
    for (model, _), group in groups.items():
        names = {each["name"] for each in group}
        group.extend(
            each
            for each in cells
            if each["identity"]["kind"] == "latency"
            and each["identity"]["model"] == model
            and each["name"] in names
        )
    return groups


def summary(cells: Sequence[Figures]) -> Figures:
    """Return the figures of one group of comparable cells."""
    trained = [each for each in cells if each["identity"]["kind"] == "training"]
    identity = trained[0]["identity"]
    recipe = {**identity["recipe"], "distillation": 0.0}
    for each in trained:
        if {**each["identity"]["recipe"], "distillation": 0.0} != recipe:
            raise SynoError(f"The cells of {identity['setting']} in {each['folder']} do not agree.")
    found: dict[tuple[str, str], list[Figures]] = {}
    for each in trained:
        found.setdefault((each["name"], each["identity"]["start"]), []).append(each)
    order = sorted(found, key=lambda key: (key[0] != "original", key[0], key[1] != "random"))
    rows = [_row(found[key], cells) for key in order]
    plain = rows[0] if order[0][0] == "original" else None
    for row in rows:
        row["difference"] = None if row is plain or plain is None else _apart(row, plain)
    about = {"model": identity["model"], "data": identity["data"], "setting": identity["setting"]}
    about |= {"recipe": recipe, "full_epochs": FULL_RECIPES[identity["data"]].epochs}
    return {**about, **_circumstances(trained), "rows": rows}


def _row(trained: Sequence[Figures], cells: Sequence[Figures]) -> Figures:
    """Return the figures of one row."""
    first = trained[0]
    done = {each["identity"]["seed"]: each for each in trained if "test_accuracy" in each}
    seeds = {seed: done[seed]["test_accuracy"] for seed in sorted(done)}
    timed = [each for each in cells if each["name"] == first["name"] and "latency" in each]
    return {
        "name": first["name"],
        "text": first["identity"]["row"],
        "start": first["identity"]["start"],
        "folder": first["folder"],
        "test_accuracy": seeds,
        "mean": fmean(seeds.values()) if seeds else None,
        "deviation": stdev(seeds.values()) if len(seeds) > 1 else None,
        "validation_accuracy": {n: done[n]["result"]["validation_accuracy"] for n in seeds},
        "failed": {
            each["identity"]["seed"]: each["failed"] for each in trained if "failed" in each
        },
        **{key: first[key] for key in ("parameters", "multiply_adds", "replaced", "left_alone")},
        "latency": [each["latency"] for each in timed],
        "seconds": fmean(each["result"]["seconds"] for each in done.values()) if done else None,
        "processor_seconds": fmean(each["processor_seconds"] for each in trained),
    }


def _apart(row: Figures, plain: Figures) -> Figures | None:
    """Return how far the mean of a row is from the original's, with its standard error."""
    if row["mean"] is None or plain["mean"] is None:
        return None
    error = None
    if row["deviation"] is not None and plain["deviation"] is not None:
        parts = (each["deviation"] ** 2 / len(each["test_accuracy"]) for each in (row, plain))
        error = sqrt(sum(parts))
    return {"mean": row["mean"] - plain["mean"], "standard_error": error}


def _circumstances(cells: Iterable[Figures]) -> Figures:
    """Return what cells have to be read beside, each of it once."""
    cells = list(cells)
    machines = [
        each["machine"]["accelerator"] or each["machine"]["processor"]
        if each["identity"].get("setting", "").find("-cuda-") > 0
        else each["machine"]["processor"]
        for each in cells
    ]
    return {
        "machines": sorted(set(machines)),
        "commits": sorted({str(each["commit"]) for each in cells}),
        "dates": sorted({each["date"][:10] for each in cells}),
        "torch": sorted({each["machine"]["torch"] for each in cells}),
    }


# ------------------------------------------------------------------------------------- the page


def section(group: Figures) -> str:
    """Return the table of one group, with what has to be said about it."""
    rows, recipe = group["rows"], group["recipe"]
    backends = sorted({_backend(each) for row in rows for each in row["latency"]})
    head = ["network", "test accuracy, %", "each seed", "difference, points", "parameters"]
    head += ["multiply-adds", *backends, "epochs", "training, processor (wall)"]
    table = [head, ["---"] * len(head), *(_line(row, rows[0], backends, recipe) for row in rows)]
    where = f"Trained on {', '.join(group['machines'])} in {recipe['precision']}, torch "
    where += f"{', '.join(group['torch'])}, commit {', '.join(group['commits'])}, "
    where += " to ".join(dict.fromkeys((group["dates"][0], group["dates"][-1])))
    lines = [
        f"## {group['model']} on {group['data']}: {_epochs(group)}",
        "",
        _length(recipe["epochs"], group["full_epochs"]),
        "",
        *("| " + " | ".join(cells) + " |" for cells in table),
        "",
        *(note for row in rows for note in _notes(row)),
        f"{where}.",
        "",
        *_commands(group),
    ]
    return "\n".join(lines)


def _epochs(group: Figures) -> str:
    return f"{group['recipe']['epochs']:g} of {group['full_epochs']:g} epochs"


def _length(epochs: float, full: float) -> str:
    """Say plainly how short a training was."""
    if epochs >= full:
        return "The full recipe."
    return (
        f"**A short training: {epochs:g} of the recipe's {full:g} epochs.** Both networks reach "
        "less than they can, and the difference may be another one after a full training."
    )


def _line(
    row: Figures, plain: Figures, backends: Sequence[str], recipe: Mapping[str, Any]
) -> list[str]:
    name = row["text"] if len(row["text"].splitlines()) == 1 else row["name"]
    name += "" if row["start"] == "random" else f" ({FITTED})"
    if row["failed"]:
        failed, done = len(row["failed"]), len(row["test_accuracy"])
        name += f" (diverged: {failed} of {failed + done})"
    shown = {_backend(each): each for each in row["latency"]}
    known = plain if plain["name"] == "original" else None
    return [
        name,
        _spread(row["mean"], row["deviation"]),
        " ".join(f"{100 * each:.2f}" for each in row["test_accuracy"].values()) or "none",
        _difference(row["difference"]),
        _share(row, known, "parameters", 1e3, "k"),
        _share(row, known, "multiply_adds", 1e6, "M"),
        *(_ratio(shown.get(each), original=row is plain) for each in backends),
        f"{recipe['epochs']:g}",
        f"{_spoken(row['processor_seconds'])} ({_spoken(row['seconds'])})",
    ]


def _backend(latency: Mapping[str, Any]) -> str:
    threads = latency["threads"]
    return latency["backend"] + ("" if threads == 1 else f", {threads} threads")


def _spread(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return "none"
    return f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    error = found["standard_error"]
    return f"{100 * found['mean']:+.2f}" + ("" if error is None else f" ± {100 * error:.2f}")


def _share(row: Figures, plain: Figures | None, key: str, unit: float, sign: str) -> str:
    told = f"{row[key] / unit:.1f} {sign}"
    if plain is None or row is plain:
        return told
    return f"{told} ({100 * row[key] / plain[key]:.0f} %)"


def _ratio(found: Mapping[str, Any] | None, *, original: bool) -> str:
    if found is None:
        return "1" if original else "not timed"
    return f"{found['ratio']:.2f} ({found['ratio_low']:.2f} to {found['ratio_high']:.2f})"


def _spoken(seconds: float | None) -> str:
    if seconds is None:
        return "none"
    for unit, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"


def _notes(row: Figures) -> list[str]:
    """Say what a row is, where its name does not, and where it does not stand."""
    notes = []
    if len(row["text"].splitlines()) > 1:
        notes += [f"`{row['name']}`:", "", "```text", row["text"], "```", ""]
    if row["left_alone"]:
        total = row["replaced"] + len(row["left_alone"])
        notes += [f"{row['name']} fits {row['replaced']} of {total} layers.", ""]
    return notes


def _commands(group: Figures) -> list[str]:
    """Return the command that makes each row anew."""
    lines = []
    for row in group["rows"]:
        if row["name"] != "original":
            words = ["--model", group["model"], *_option(row)]
            words += ["--epochs", f"{group['recipe']['epochs']:g}"]
            words += ["--seeds", str(1 + max([*row["test_accuracy"], *row["failed"]]))]
            words += [] if row["start"] == "random" else ["--start", row["start"]]
            words += [] if "-cpu-" in group["setting"] else ["--device", "cuda"]
            words += ["--precision", group["recipe"]["precision"]]
            words += ["--backends", *dict.fromkeys(each["backend"] for each in row["latency"])]
            lines.append(f"{SCRIPT} {shlex.join(words)}")
    return ["```sh", *lines, "```", ""] if lines else []


def _option(row: Figures) -> list[str]:
    if row["name"].startswith("assignment-"):
        return ["--assignment", f"{row['folder']}/assignment.json"]
    return ["--operator" if row["name"].startswith("formula-") else "--name", row["text"]]


def language_section(found: Figures) -> str:
    """Return the table of a language model, from the summary of bench/language.py."""
    kinds = {"seconds": "at equal seconds", "tokens": "at equal tokens"}
    head = ["operator", "step", "parameters", *kinds.values()]
    table = [head, ["---"] * len(head)]
    for name, row in found["rows"].items():
        shown = [row[kind] for kind in kinds if kind in row]
        counts = [each["parameters"] for each in shown[:1]]
        table.append(
            [
                name,
                _ratio(row["steps"], original=False),
                *(f"{two / 1e6:.2f} M ({100 * two / one:.0f} %)" for one, two in counts),
                *(_loss(row.get(kind)) for kind in kinds),
            ]
        )
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    title = f"## {found['model']} on text, {found['tokens']:,} tokens, {found['seeds']} seeds"
    where = f"Trained on {found['machine']['processor']}, commit {found['commit']}, {found['date']}"
    command = f"python bench/language.py --model {found['model']} --seeds {found['seeds']}"
    command += f" --tokens {found['tokens']} --rows {','.join(found['rows'])}"
    return "\n".join([title, "", LANGUAGE, *lines, "", where + ".", "", f"```sh\n{command}\n```\n"])


def _loss(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "not trained"
    if found["difference"] is None:
        return "diverged"
    spread = "" if found["spread"] is None else f" ± {found['spread']:.3f}"
    return f"{found['difference']:+.3f}{spread}"
