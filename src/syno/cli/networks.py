"""syno train, bench: a network with an operator in its convolutions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from syno.cli.app import Data, Json, Model, Sizes, app, default_data, emit, err, out
from syno.cli.operators import parse_sizes, resolve
from syno.ir.errors import SynoError
from syno.run.progress import plain_progress

if TYPE_CHECKING:
    from syno.evaluate.latency import Mode

_OPERATOR = "for all sites: a formula in quotes, or a name such as paper-operator-1"


@app.command()
def train(
    model: Model = "convnet",
    data: Data = None,
    operator: Annotated[
        str | None,
        typer.Option(help=f"Operator {_OPERATOR}.", show_default="the original network"),
    ] = None,
    size: Sizes = None,
    epochs: Annotated[
        float | None,
        typer.Option(help="Epochs; may be a fraction.", show_default="the recipe of the data"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = 0,
    test: Annotated[
        bool, typer.Option("--test", help="Also report accuracy on the test set.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model, or the model with an operator in its convolutions, and report its accuracy.

    The operator replaces the same layers as in a search. Its sizes come from the layers; k=3, s=2
    and g=4 are set; --size sets other symbols of the formula.

    Example: syno train --operator separable-convolution --epochs 2
    """
    from dataclasses import replace

    import torch

    from syno.evaluate.training import accuracy_on, recipe_for
    from syno.evaluate.training import train as run_training
    from syno.run.candidate import Task, build, data_for

    data = default_data(model, data)
    recipe = recipe_for(data)
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    splits = data_for(model, data)
    torch.set_num_threads(1)
    text, coefficients = _placed(model, operator, size)
    network, flops = build(Task(model, data, text, coefficients, asdict(recipe), seed=seed))
    with plain_progress(err, "training") as step:
        result = run_training(network, splits, recipe, seed=seed, on_progress=step)
    answer: dict[str, Any] = {"model": model, "data": data, "operator": text, "seed": seed}
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
    operator: Annotated[str, typer.Option(help=f"Operator {_OPERATOR}.")],
    model: Model = "resnet20",
    size: Sizes = None,
    mode: Annotated[str, typer.Option(help="eager, compile (torch.compile) or both.")] = "both",
    batch: Annotated[int, typer.Option(min=1, help="Batch size.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds; each times the original, then the operator.")
    ] = 25,
    as_json: Json = False,
) -> None:
    """Time a model against itself with an operator in its convolutions, interleaved in one run.

    The ratio is how many times faster the model becomes: the median over the rounds, with its
    quartiles.

    Example: syno bench --operator separable-convolution --model resnet20
    """
    from syno.evaluate.latency import compare, machine
    from syno.evaluate.models import info
    from syno.run.candidate import Task, build
    from syno.run.quiet import quiet

    modes = _modes(mode)
    text, coefficients = _placed(model, operator, size)
    original, before = build(Task(model, "", None, coefficients, {}))
    changed, after = build(Task(model, "", text, coefficients, {}))
    example = info(model).example_input(batch)
    rows = {}
    table = Table("mode", "original ms", "operator ms", "ratio", "quartiles")
    with plain_progress(err, "timing") as step:
        for number, each in enumerate(modes):
            step(number, len(modes))
            options = {"threads": threads, "rounds": rounds}
            found = compare(original, changed, example, mode=each, alone=quiet, **options)
            rows[each] = found.to_dict()
            times = f"{found.original_ms:.3f}", f"{found.candidate_ms:.3f}", f"{found.ratio:.2f}x"
            table.add_row(each, *times, f"{found.ratio_low:.2f} to {found.ratio_high:.2f}")
    out.print(table, soft_wrap=False)
    out.print(f"multiply-adds at the sites: {before:,} before, {after:,} after")
    answer = {"model": model, "operator": text, "site_flops": [before, after]}
    emit(as_json, {**answer, "latency": rows, "machine": machine()})


def _modes(mode: str) -> tuple[Mode, ...]:
    known: dict[str, tuple[Mode, ...]] = {
        "both": ("eager", "compile"),
        "eager": ("eager",),
        "compile": ("compile",),
    }
    if mode not in known:
        raise SynoError(f"--mode is eager, compile or both, not {mode!r}.")
    return known[mode]


def _placed(
    model: str, operator: str | None, size: list[str] | None
) -> tuple[str | None, dict[str, int]]:
    """Return the formula to stand in a model's sites, and the numbers the sites do not have.

    The search's coefficients come before a known operator's own sizes, --size before both.
    """
    from syno.run.search import question

    spec, given = question(model)[0], parse_sizes(size or [])
    ours = {name: spec.bindings[0][name] for name in spec.coefficients}
    text, sizes = (None, {}) if operator is None else resolve(operator, {})
    return text, {**sizes, **ours, **given}
