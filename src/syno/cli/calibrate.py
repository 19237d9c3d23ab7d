"""syno calibrate: what kernels cost on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from syno.cli.app import Json, app, emit, err, out, wait_passively
from syno.run.progress import plain_progress


@app.command()
def calibrate(
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    scale: Annotated[
        float, typer.Option(min=0.01, max=10.0, help="How many kernels to measure, 1 for all.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Measure what convolutions, matrix products and copies cost on this machine.

    From these times plans are chosen: which sums come first, and what becomes a library call. Takes
    about two minutes on a machine that does nothing else, once; without it, times that come with
    Syno are used. The table shows how far times of kernels that were left out of the fit are from
    the prediction: 1.2 means a fifth more or less, for the middle kernel of its kind.

    Example: syno calibrate
    """
    wait_passively(threads)
    import torch

    from syno.evaluate.calibration import calibrate as calibrated
    from syno.lower.machine import calibrated_file, save, this_machine
    from syno.run.quiet import quiet

    torch.set_num_threads(threads)
    with plain_progress(err, "measuring kernels") as step, quiet():
        found, factors = calibrated(scale=scale, on_progress=step)
    path = calibrated_file(threads)
    save(found, path)
    this_machine.cache_clear()
    table = Table("kernel", "typical error", "of nine in ten")
    for kind, (middle, most) in factors.items():
        table.add_row(kind, f"{middle:.2f}x", f"{most:.2f}x")
    out.print(table, soft_wrap=False)
    out.print(f"wrote {path}")
    emit(as_json, {"file": str(path), "errors": factors, "about": dict(found.about)})
