"""syno prunes: what is thought not worth trying, and how often that cuts a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from syno.cli.app import Json, SmallSpec, app, emit, err, out
from syno.run.progress import plain_progress

if TYPE_CHECKING:
    from syno.space.space import SynthesisSpace


@app.command(name="prunes")
def prunes_command(
    spec: SmallSpec = "conv2d",
    rollouts: Annotated[int, typer.Option(min=0, help="Random walks through the spec.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the walks.")] = 0,
    as_json: Json = False,
) -> None:
    """List the prunes: what is thought not worth trying, why, and how often it is met.

    A prune is taste: it rejects operators that are valid. Each is a switch of its own, and a spec
    says which it leaves out. The counts are of random walks from the output to the input: a move
    that several prunes reject counts for the first of them, each time that it is met.

    Example: syno prunes --spec pool1d --rollouts 50
    """
    from syno.space.prunes import PRUNES
    from syno.space.space import SynthesisSpace
    from syno.space.specs import named_spec

    space = SynthesisSpace(named_spec(spec))
    ended = _walk(space, rollouts, seed)
    taste = space.taste
    rows = [
        {
            "name": prune.name,
            "on": taste.has(prune.name),
            "fired": taste.fired.get(prune.name, 0),
            "reason": prune.reason,
        }
        for prune in PRUNES
    ]
    out.print(_table(rows), soft_wrap=False)
    out.print(f"{rollouts:,} walks through {spec} with seed {seed}, {ended:,} to an operator")
    emit(as_json, {"spec": spec, "rollouts": rollouts, "seed": seed, "prunes": rows})


def _walk(space: SynthesisSpace, rollouts: int, seed: int) -> int:
    """Walk from the root, and return how many walks ended in an operator."""
    from syno.search.rollout import walk

    rng, ended = Random(seed), 0
    with plain_progress(err, f"walks through {space.spec.name}") as step:
        for number in range(rollouts):
            step(number, rollouts)
            passed = walk(space, space.root(), rng)
            ended += bool(passed) and space.result(passed[-1]) is not None
    return ended


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table; what is switched off is dim and has no count."""
    table = Table("prune", "on")
    table.add_column("fired", justify="right")
    table.add_column("reason")
    for row in rows:
        on, count = ("yes", f"{row['fired']:,}") if row["on"] else ("no", "")
        table.add_row(row["name"], on, count, row["reason"], style="" if row["on"] else "dim")
    return table
