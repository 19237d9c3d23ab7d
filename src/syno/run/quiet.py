"""Timing on a quiet machine: while one worker times a candidate, the others hold their training.

Two workers share the caches and the cores, and a timing beside a training can be wrong by several
times. One file lock serves all workers; it goes with the process that holds it, so that a worker
that dies while it times stops nobody. Where there are no such locks (Windows), nothing waits.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_VARIABLE = "SYNO_QUIET_LOCK"


def share(path: str) -> None:
    """Let this process and its children take turns through the file at `path`."""
    os.environ[_VARIABLE] = path


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold the trainings of the other workers while the block runs; one block at a time."""
    path = os.environ.get(_VARIABLE)
    if path is None or sys.platform == "win32":
        yield
        return
    import fcntl

    with open(path, "ab") as file:  # noqa: PTH123 -- a descriptor of its own for every lock
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def wait_for_quiet() -> None:
    """Return when nobody times; called by a training after each step."""
    with quiet():
        pass
