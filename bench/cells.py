"""Cells of a table: a JSON file each, written when it is finished and never made a second time.

A cell begins with `identity`, which says what was asked; after what was measured stands what the
figures have to be read beside: commit, date, machine and versions.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from syno.evaluate.latency import machine, versions
from syno.ir.errors import SynoError
from syno.ir.files import write_atomically

Figures = dict[str, Any]


def cell(file: Path, identity: Mapping[str, Any], work: Callable[[], Figures]) -> Figures:
    """Return the figures of a cell: those of its file, or what `work` returns, written there.

    Where two processes were at it, what was written first counts. Raises SynoError where the file
    is of another experiment, FileError where it cannot be written.
    """
    if (found := finished(file, identity)) is not None:
        say(f"{file}: was finished on {found['date']}")
        return found
    say(f"{file}: begins")
    commit()  # before the work, in which the files may change
    made = {"identity": dict(identity), **work(), **circumstances()}
    if (found := finished(file, identity)) is not None:
        return found
    write(file, made)
    return made


def finished(file: Path, identity: Mapping[str, Any]) -> Figures | None:
    """Return the figures of a cell, None where it is not finished; SynoError for another's."""
    if not file.exists():
        return None
    found: Figures = json.loads(file.read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(identity))  # as it comes back from a file
    if found["identity"] != wanted:
        differing = {
            name: (found["identity"].get(name), wanted.get(name))
            for name in sorted({*found["identity"], *wanted})
            if found["identity"].get(name) != wanted.get(name)
        }
        name, (there, here) = next(iter(differing.items()))
        raise SynoError(
            f"{file} holds a cell of another experiment: its {name} is {there}, here it is {here}. "
            "Choose another folder with --folder."
        )
    return found


def write(file: Path, figures: Mapping[str, Any]) -> None:
    """Write plain data as JSON, whole or not at all; FileError where that fails."""
    write_atomically(file, json.dumps(figures, indent=1) + "\n")


@cache
def commit() -> str | None:
    """Return the commit of this process; `-dirty` after it says that files differed from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    here = Path(__file__).parent
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def circumstances() -> Figures:
    """Return what figures have to be read beside."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "accelerator": device},
        "versions": versions(["torch", "torchvision", "numpy"]),
    }


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
