"""syno search: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from syno.cli.app import Data, Json, Model, app, default_data, emit, err, out, place
from syno.run.progress import Live
from syno.run.settings import ProcessLimits, SearchSettings
from syno.search.registry import STRATEGIES


@app.command()
def search(
    model: Model = "convnet",
    data: Data = None,
    minutes: Annotated[
        float,
        typer.Option(
            help="Time of this run, wall clock; a continued study gets as much again. Timing the "
            "finalists at its end may take a minute or two more."
        ),
    ] = SearchSettings.minutes,
    trials: Annotated[
        int, typer.Option(help="The search is over when the study has so many trained candidates.")
    ] = SearchSettings.trials,
    study: Annotated[
        str | None,
        typer.Option(
            help="File of the study, or a database URL; made where there is none, else continued.",
            show_default="MODEL-DATA.db in this folder",
        ),
    ] = None,
    strategy: Annotated[
        str, typer.Option(help=f"What chooses the candidates: {', '.join(sorted(STRATEGIES))}.")
    ] = SearchSettings.strategy,
    seed: Annotated[int, typer.Option(help="Seed of the strategy.")] = SearchSettings.seed,
    workers: Annotated[
        int, typer.Option(help="Candidates evaluated at the same time, one thread each.")
    ] = SearchSettings.workers,
    epochs: Annotated[
        float | None,
        typer.Option(
            help="Epochs of training for each candidate; may be a fraction.",
            show_default="the recipe of the data",
        ),
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder",
            help="Judge candidates by how well they imitate the trained layers, then by a short "
            "training; only those expected to extend the front are trained for long.",
        ),
    ] = SearchSettings.ladder,
    least_gain: Annotated[
        float,
        typer.Option(
            help="With --ladder, a candidate climbs to the next rung where it is expected to add "
            "so large a share to the front of accuracy and speed; 0 trains all of them for long.",
        ),
    ] = SearchSettings.least_gain,
    finalists: Annotated[
        int,
        typer.Option(
            help="The best so many are trained again with fresh seeds, beside the original, and "
            "timed as compiled by Inductor; 0 for none."
        ),
    ] = SearchSettings.finalists,
    mode: Annotated[
        str | None,
        typer.Option(
            help="Time candidates under eager or compile (Inductor, parameters frozen).",
            show_default="compile; eager for convnet",
        ),
    ] = SearchSettings.mode,
    batch: Annotated[
        int, typer.Option(help="Batch size of the latency measurement.")
    ] = SearchSettings.batch,
    limit_seconds: Annotated[
        float, typer.Option(help="Time limit of one candidate, which is stopped then.")
    ] = ProcessLimits.seconds,
    limit_megabytes: Annotated[
        int, typer.Option(help="Memory limit of one candidate (not on Windows).")
    ] = ProcessLimits.megabytes,
    as_json: Json = False,
) -> None:
    """Search for operators that are faster than a model's convolutions at almost its accuracy.

    Every candidate replaces all convolutions with a window but the first (the stem), is timed
    against the original (interleaved, one thread) and trained by a short recipe. Only validation
    accuracy is seen; the test set stays closed.

    Interrupt it or kill it at any time: the same command continues, and loses no more than the
    candidates in the making. Model, data, epochs, batch and mode belong to the study and stay;
    strategy, seed, workers and limits may change from run to run.

    Example: syno search --model convnet --data digits --minutes 5
    """
    from syno.run.search import Search

    data = default_data(model, data)
    settings = SearchSettings(
        model,
        data,
        place(study or f"{model}-{data}.db"),
        strategy=strategy,
        seed=seed,
        minutes=minutes,
        trials=trials,
        workers=workers,
        finalists=finalists,
        epochs=epochs,
        ladder=ladder,
        least_gain=least_gain,
        batch=batch,
        mode=mode,
        limits=ProcessLimits(limit_seconds, limit_megabytes),
    )
    with Live(err) as live:
        result = Search(settings, live.on_event).run()
    _print_summary(result)
    out.print(_closing(result, settings))
    out.print(f"The study is {settings.study}. For a page: syno report --study {settings.study}")
    emit(as_json, result)


def _closing(result: Mapping[str, Any], settings: SearchSettings) -> str:
    """Say why the search ended and what the same command would do."""
    new = f"{result['new']} new candidates, {result['known'] + result['new']} in all."
    if result["ended"] == "trials":
        done = f"The study has the {settings.trials} trained candidates of --trials"
        if result["new"]:
            return f"{new} {done}."
        return f"{done}: nothing was left to search. With a higher --trials it goes on."
    if result["ended"] == "space":
        return f"{new} The strategy finds no operator that the study does not hold already."
    return f"{new} The time is up: the same command goes on, for --minutes {settings.minutes:g}."


def _print_summary(result: Mapping[str, Any]) -> None:
    base = result["baseline"]
    table = Table("", "validation", "faster", "confirmed", "compiled", title="Pareto front")
    row = ("original", f"{100 * base['accuracy']:.2f} %", "1.00x")
    table.add_row(*row, _spread(result["baseline_confirmed"]), "1.00x")
    for each in result["front"]:
        compiled = each["timed"].get("compile", {}).get("ratio")
        table.add_row(
            f"#{each['number']}",
            f"{100 * each['accuracy']:.2f} %",
            f"{each['ratio']:.2f}x",
            _spread(each["confirmed"]),
            f"{compiled:.2f}x" if compiled else "",
        )
    out.print(table, soft_wrap=False)
    for each in result["front"]:
        out.print(f"#{each['number']:<4}{each['operator'].splitlines()[-1]}")


def _spread(confirmed: Mapping[str, float]) -> str:
    return " ".join(f"{100 * value:.2f}" for value in confirmed.values())
