"""syno train, bench: a network with an operator in its layers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syno.cli.app import (
    Data,
    Json,
    Model,
    Sizes,
    app,
    default_data,
    emit,
    err,
    out,
    wait_passively,
)
from syno.cli.comparisons import comparisons, places, totals, wide
from syno.cli.operators import parse_sizes, resolve
from syno.ir.errors import SynoError
from syno.run.progress import plain_progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from syno.evaluate.benchmark import Replaced

_BACKENDS = ("torch", "inductor")
_OPERATOR = "for all sites: a formula in quotes, or a name such as paper-operator-1"
_ASSIGNMENT = "In the place of an operator: a file of syno assign, which says what stands where."


@app.command()
def train(
    model: Model = "convnet",
    data: Data = None,
    operator: Annotated[
        str | None,
        typer.Option(help=f"Operator {_OPERATOR}.", show_default="the original network"),
    ] = None,
    assignment: Annotated[Path | None, typer.Option(help=_ASSIGNMENT)] = None,
    size: Sizes = None,
    epochs: Annotated[
        float | None,
        typer.Option(help="Epochs; may be a fraction.", show_default="the recipe of the data"),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Train by the long recipe of the data set, for a figure to report.",
        ),
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the training in this file, so that the same command goes on if it is "
            "stopped.",
            show_default="none",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = 0,
    test: Annotated[
        bool, typer.Option("--test", help="Also report accuracy on the test set.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model, or the model with an operator in its convolutions, and report its accuracy.

    The operator replaces the same layers as in a search. Its sizes come from the layers; k=3, s=2
    and g=4 are set; --size sets other symbols of the formula. An assignment of syno assign puts
    several operators into one network. A full training says its validation accuracy after each
    epoch; what counts is that of the last.

    Example: syno train --operator separable-convolution --epochs 2
    """
    from dataclasses import replace

    import torch

    from syno.evaluate.checkpoint import Checkpoint
    from syno.evaluate.recipes import recipe_for
    from syno.evaluate.training import Execution, accuracy_on
    from syno.evaluate.training import train as run_training
    from syno.run.candidate import data_for

    if operator is not None and assignment is not None:
        raise SynoError("Give either --operator or --assignment, not both.")
    data = default_data(model, data)
    recipe = recipe_for(data, full=full)
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    execution = Execution(device, on_epoch=_say_epoch if full else None)
    splits = data_for(model, data)
    torch.set_num_threads(1)
    asked, network, flops = _trained(model, data, operator, assignment, size, seed)
    with plain_progress(err, "training") as step:
        result = run_training(
            network,
            splits,
            recipe,
            seed=seed,
            on_progress=step,
            checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
            execution=execution,
        )
    answer: dict[str, Any] = {"model": model, "data": data, **asked, "seed": seed}
    answer |= {"recipe": asdict(recipe), "site_flops": flops, **asdict(result)}
    out.print(
        f"validation accuracy {100 * result.validation_accuracy:.2f} % in {result.seconds:.0f} s"
    )
    if test:
        found = accuracy_on(network, splits.final_test("syno train --test"), splits)
        answer["test_accuracy"] = found
        out.print(f"test accuracy {100 * found:.2f} %")
    emit(as_json, answer)


def _trained(
    model: str,
    data: str,
    operator: str | None,
    assignment: Path | None,
    size: list[str] | None,
    seed: int,
) -> tuple[dict[str, Any], nn.Module, int]:
    """Return what is asked, the network to train and the multiply-adds of its sites."""
    from syno.run.candidate import Task, build

    if assignment is not None:
        if size:
            raise SynoError("An assignment says which sizes: leave out --size.")
        asked, made, _ = _assigned(model, assignment, 1, seed)
        _, flops = build(Task(model, data, None, {}, {}))
        before, after = made.multiply_adds
        return asked, made.changed, flops - before + after
    text, coefficients = (None, {}) if operator is None else _placed(operator, size)
    network, flops = build(Task(model, data, text, coefficients, {}, seed=seed))
    return {"operator": text, "assignment": None}, network, flops


def _say_epoch(epoch: int, accuracy: float) -> None:
    err.print(f"epoch {epoch}: validation accuracy {100 * accuracy:.2f} %")


@app.command()
def bench(
    operator: Annotated[
        str | None, typer.Option(help=f"Operator {_OPERATOR}.", show_default="see --assignment")
    ] = None,
    assignment: Annotated[Path | None, typer.Option(help=_ASSIGNMENT)] = None,
    model: Model = "resnet20",
    size: Sizes = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="What compiles both networks: torch (eager), inductor, ...; repeat it, or give a "
            "list with commas.",
            show_default=",".join(_BACKENDS),
        ),
    ] = None,
    sites: Annotated[
        list[str] | None,
        typer.Option(
            help="Layers to replace: conv3x3, conv1x1, grouped, linear, or a name with * for "
            "anything; one with ! before it takes layers away. Repeat it.",
            show_default="the model's",
        ),
    ] = None,
    per_site: Annotated[
        bool, typer.Option(help="Also time each layer alone, with the first backend.")
    ] = True,
    batch: Annotated[int, typer.Option(min=1, help="Batch size.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every backend.")] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds; each times the original, then the operator.")
    ] = 25,
    as_json: Json = False,
) -> None:
    """Time a model against itself with an operator at its sites, interleaved in one run.

    The ratio is how many times faster the model becomes: the median over the rounds, with its
    quartiles. Where the operator does not fit a layer, that is said and the layer left alone.

    An assignment of syno assign puts several operators into one network.

    Example: syno bench --operator separable-convolution --model resnet20 --backend torch
    """
    wait_passively(threads)
    from syno.evaluate.benchmark import compare_places
    from syno.run.quiet import quiet

    backends = _compilers(backend)
    if (operator is None) == (assignment is None):
        raise SynoError("What to put into the model? Give either --operator or --assignment.")
    if assignment is not None:
        if size or sites:
            raise SynoError("An assignment says which layers and sizes: leave out --sites, --size.")
        asked, replaced, example = _assigned(model, assignment, batch)
    else:
        asked, replaced, example = _replaced(model, str(operator), size, sites, batch)
    options: Any = {"threads": threads, "rounds": rounds, "alone": quiet}
    latency = _networks_timed(replaced, example, backends, options)
    out.print(comparisons(latency), soft_wrap=False)
    rows: list[dict[str, Any]] = []
    if per_site:
        with plain_progress(err, "timing sites") as step:
            timed = compare_places(replaced, backend=backends[0], on_progress=step, **options)
            rows = list(timed)
        wide().print(places(rows, backends[0]))
    for line in totals(replaced):
        out.print(line)
    answer = {"model": model, **asked, "coefficients": dict(replaced.coefficients)}
    shape = {"input_shape": list(example.shape)}
    found = {"latency": latency, "sites": rows}
    emit(as_json, {**answer, **shape, **found, **_circumstances(replaced, backends)})


def _compilers(names: list[str] | None) -> list[str]:
    """Return the chosen backends, each of which can compile here; OperatorError otherwise."""
    from syno.evaluate.latency import compiler_named

    given = ",".join(names or _BACKENDS).split(",")
    return [compiler_named(name.strip()).name for name in dict.fromkeys(given)]


def _replaced(
    model: str, operator: str, size: list[str] | None, patterns: list[str] | None, batch: int
) -> tuple[dict[str, Any], Replaced, Tensor]:
    """Return what is asked, a model and its copy with an operator, and an example input."""
    from syno.evaluate.benchmark import replace_sites
    from syno.evaluate.models import build, info
    from syno.ir.parser import parse
    from syno.nn.sites import find_sites, select_sites

    text, coefficients = _placed(operator, size)
    op, row, network = parse(text), info(model), build(model)
    example = row.example_input(batch)
    chosen = select_sites(find_sites(network, example), patterns or row.sites, model)
    made = replace_sites(network.eval(), op, chosen, example, coefficients=coefficients)
    return {"operator": text, "assignment": None}, made, example


def _assigned(
    model: str, path: Path, batch: int, seed: int = 0
) -> tuple[dict[str, Any], Replaced, Tensor]:
    """Return what is asked, a model and its copy with an assignment, and an example input."""
    from syno.evaluate.assignment import read_selection
    from syno.evaluate.benchmark import replace_assigned
    from syno.evaluate.models import build, info

    selection, network = read_selection(path), build(model, seed=seed).eval()
    example = info(model).example_input(batch)
    made = replace_assigned(network, selection.assignment, example, seed=seed)
    return {"operator": None, "assignment": str(selection)}, made, example


def _networks_timed(
    replaced: Replaced, example: Tensor, backends: list[str], options: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    from syno.evaluate.latency import compare

    latency = {}
    with plain_progress(err, "timing") as step:
        for number, name in enumerate(backends):
            step(number, len(backends))
            pair = replaced.original, replaced.changed
            latency[name] = compare(*pair, example, backend=name, **options).to_dict()
    return latency


def _circumstances(replaced: Replaced, backends: list[str]) -> dict[str, Any]:
    """Return what the figures of a benchmark have to be read beside."""
    from syno.evaluate.latency import machine, versions
    from syno.lower.backends import BACKENDS

    needed = {package for name in backends for package in BACKENDS[name].packages}
    return {
        "left_alone": dict(replaced.left_alone),
        "parameters": list(replaced.parameters),
        "parameters_removed": replaced.removed,
        "site_flops": list(replaced.multiply_adds),
        "machine": machine(),
        "versions": versions({*needed, "torchvision", "timm", "transformers"}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _placed(operator: str, size: list[str] | None) -> tuple[str, dict[str, int]]:
    """Return the formula to stand in a model's sites, and the numbers the sites do not have.

    The search's coefficients come before a known operator's own sizes, --size before both.
    """
    from syno.space.networks import COEFFICIENTS

    text, sizes = resolve(operator, {})
    return text, {**sizes, **COEFFICIENTS, **parse_sizes(size or [])}
