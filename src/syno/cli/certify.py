"""syno certify: whether the exact rules lose an operator or leave one twice."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from syno.cli.app import NOT_EXACT, Json, SmallSpec, app, emit, err, out
from syno.run.progress import plain_progress


@app.command()
def certify(
    spec: SmallSpec = "pool1d",
    depth: Annotated[int, typer.Option(min=1, help="Most steps of an operator.")] = 5,
    processes: Annotated[
        int, typer.Option(min=1, max=2, help="2 runs the two enumerations at a time.")
    ] = 2,
    as_json: Json = False,
) -> None:
    """Compare the operators found with the exact rules to those found without any.

    A small spec is enumerated twice, prunes off: with every spelling a state of its own, and with
    states and operators in canonical form. Operators are put into classes by fingerprint. Nothing
    may be lost and nothing may be there twice; where it is not so, the exit code is 1. Four steps
    take seconds, each further one about six times as long.

    Example: syno certify --spec image --depth 4
    """
    from syno.space.certificate import certify as certified
    from syno.space.specs import small_spec

    chosen = small_spec(spec)
    with plain_progress(err, f"certifying {chosen.name} up to {depth} steps"):
        found = certified(chosen, depth, processes=processes)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    table.add_column()
    rows = {
        "spellings, all rules off": found.raw_operators,
        "classes of them: different functions": found.classes,
        "operators, the rules on": found.canonical_operators,
        "lost": found.lost,
        "there twice": found.redundant,
        "that the rules leave twice; their fingerprints tell": found.redundant_by_rules,
        "states expanded, all rules off": found.raw_states,
        "states expanded, the rules on": found.canonical_states,
    }
    for name, number in rows.items():
        table.add_row(f"{number:,}", name)
    out.print(table)
    for text in found.lost_operators:
        out.print(f"lost: {text.splitlines()[-1]}")
    verdict = "exact: one operator for each class" if found.exact else "not exact: a rule is wrong"
    out.print(verdict)
    emit(as_json, found.as_dict())
    if not found.exact:
        raise typer.Exit(NOT_EXACT)
