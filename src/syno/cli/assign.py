"""syno assign: one operator for each group of a network's layers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

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
from syno.cli.comparisons import comparisons, wide
from syno.cli.operators import parse_sizes
from syno.ir.errors import SynoError
from syno.run.progress import plain_progress

if TYPE_CHECKING:
    from syno.evaluate.assignment import Choice, Group, Selection
    from syno.evaluate.choices import Timing
    from syno.evaluate.fidelities import Ladder
    from syno.zoo.bound import BoundOperator

_SHOWN = 20  # rows of the front


@app.command()
def assign(
    operator: Annotated[
        list[str],
        typer.Option(
            help="An operator to choose from: a formula, or a name, perhaps with sizes, as in "
            "'grouped-convolution g=2'. Repeat it."
        ),
    ],
    model: Model = "convnet",
    data: Data = None,
    size: Sizes = None,
    by: Annotated[str, typer.Option(help="What makes a group: stage, kind or shape.")] = "stage",
    budget: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Choose the fastest assignment of this predicted loss or less.",
            show_default="none is chosen",
        ),
    ] = None,
    loss: Annotated[
        str, typer.Option(help="What predicts the loss: cross-entropy, residual or accuracy.")
    ] = "cross-entropy",
    backend: Annotated[
        str, typer.Option(help="What compiles what is timed: torch (eager), inductor, ...")
    ] = "torch",
    batch: Annotated[int, typer.Option(min=1, help="Batch size of what is timed.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of what is timed.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison.")] = 15,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the chosen assignment to this file.", show_default="nowhere"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Choose one operator, or none, for each group of a trained network's layers.

    Every operator is timed against the layers of every group, and put there alone into the trained
    original, fitted to imitate the layers: how much worse the original then gets is the predicted
    loss. The second table holds all assignments that no other beats in both time and loss. The
    first call for a model trains the original, and keeps it.

    Example: syno assign --operator separable-convolution --operator 'grouped-convolution g=4'
    --budget 0.05 --output assignment.json
    """
    if output is not None and budget is None:
        raise SynoError("Which assignment to write? Give --budget, the loss that you can bear.")
    wait_passively(threads)
    from syno.evaluate.assignment import choose, groups, pareto
    from syno.evaluate.choices import Timing, check_loss
    from syno.evaluate.latency import compiler_named, machine
    from syno.run.quiet import quiet

    data = default_data(model, data)
    timing = Timing(compiler_named(backend).name, batch, threads, rounds, quiet)
    operators, ladder = _operators(operator, size), _ladder(model, data)
    check_loss(loss)
    found = groups(ladder.sites, by)
    _train(ladder)
    choices = _measured(ladder, found, operators, loss, timing)
    front = pareto(found, choices)
    wide().print(choices_table(found, operators, choices))
    wide().print(front_table(front, operators))
    if doubts := doubtful(choices, operators):
        out.print(f"quartiles of the time saved on both sides of 0: {', '.join(doubts)}")
    answer: dict[str, Any] = {"model": model, "data": data, "by": by, "loss": loss}
    answer |= {"budget": budget, "backend": timing.backend, "batch": batch, "machine": machine()}
    answer |= {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    chosen = None if budget is None else choose(front, at_most=budget)
    written = {} if chosen is None else _told(chosen, ladder, timing)
    if output is not None:
        _write(output, {**written, "about": answer})
    rows = {
        "choices": [choice.to_dict() for choice in choices],
        "front": [selection.to_dict() for selection in front],
        "chosen": written or None,
        "file": str(output) if output else None,
    }
    emit(as_json, {**answer, **rows})


def choices_table(
    groups: Sequence[Group], operators: Sequence[BoundOperator], choices: Sequence[Choice]
) -> Table:
    """Return the table of groups and operators: milliseconds saved, predicted loss."""
    heads = [f"#{number} {op.label}" for number, op in enumerate(operators, start=1)]
    table = Table("group", "layers", *heads, title="ms saved, predicted loss")
    known = {(choice.group, choice.operator.name): choice for choice in choices}
    for group in groups:
        row = [known.get((group.name, op.name)) for op in operators]
        cells = ["does not fit" if each is None else _figures(each) for each in row]
        table.add_row(group.name, str(len(group.sites)), *cells)
    return table


def doubtful(choices: Sequence[Choice], operators: Sequence[BoundOperator]) -> list[str]:
    """Return choices of which the quartiles do not tell whether they save or cost time."""
    numbers = {op.name: f"#{number}" for number, op in enumerate(operators, start=1)}
    return [
        f"{numbers[each.operator.name]} at {each.group}"
        for each in choices
        if each.details["saved_low_ms"] < 0 < each.details["saved_high_ms"]
    ]


def front_table(front: Sequence[Selection], operators: Sequence[BoundOperator]) -> Table:
    """Return the table of the assignments that no other beats, some of them where they are many."""
    numbers = {op.name: f"#{number}" for number, op in enumerate(operators, start=1)}
    last, shown = len(front) - 1, min(len(front), _SHOWN)
    places = sorted({round(n * last / max(1, shown - 1)) for n in range(shown)})
    title = f"the front: {len(front)} assignments"
    title += f", {shown} of them shown" if shown < len(front) else ""
    table = Table("ms saved", "predicted loss", "operators", title=title)
    for each in (front[place] for place in places):
        said = [f"{name} {numbers[op.name]}" for name, op in each.chosen.items()]
        table.add_row(f"{each.saved_ms:.3f}", f"{each.loss:+.4f}", "; ".join(said) or "none")
    return table


def _figures(choice: Choice) -> str:
    return f"{choice.saved_ms:.3f} ms, {choice.loss:+.4f}"


def _operators(texts: Sequence[str], sizes: list[str] | None) -> list[BoundOperator]:
    from syno.space.networks import COEFFICIENTS
    from syno.zoo.bound import bound

    coefficients = {**COEFFICIENTS, **parse_sizes(sizes or [])}
    found = {op.name: op for op in (bound(text, coefficients) for text in texts)}
    return list(found.values())


def _ladder(model: str, data: str) -> Ladder:
    import torch

    from syno.evaluate.fidelities import Ladder
    from syno.run.candidate import data_for

    torch.set_num_threads(1)
    data_for(model, data)  # which says whether they fit each other
    return Ladder(model, data, {})


def _train(ladder: Ladder) -> None:
    """Train the original, unless it has been."""
    from syno.evaluate.teacher import teacher

    with plain_progress(err, "the original, trained once") as step:
        teacher(ladder.model, ladder.data_name, on_progress=step)


def _measured(
    ladder: Ladder,
    groups: Sequence[Group],
    operators: Sequence[BoundOperator],
    loss: str,
    timing: Timing,
) -> list[Choice]:
    from syno.evaluate.choices import measure_choices

    with plain_progress(err, "timing and fitting") as step:
        return measure_choices(
            ladder, groups, operators, loss=loss, timing=timing, on_progress=step
        )


def _told(chosen: Selection, ladder: Ladder, timing: Timing) -> dict[str, Any]:
    """Print the chosen assignment, with the whole network timed, and return it as plain data."""
    from syno.evaluate.choices import time_network

    out.print(str(chosen))
    found = time_network(ladder, chosen.assignment, timing)
    out.print(comparisons({timing.backend: found.to_dict()}), soft_wrap=False)
    return {**chosen.to_dict(), "latency": found.to_dict()}


def _write(output: Path, data: dict[str, Any]) -> None:
    from syno.ir.files import write_atomically

    write_atomically(output, json.dumps(data, indent=1) + "\n")
    out.print(f"wrote {output}")
