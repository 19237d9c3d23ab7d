"""Timing on a quiet machine: while one process times a candidate, trainings hold.

Processes share the caches and the cores, and a timing beside a training can be wrong by several
times. One file lock serves all of a user's searches on a machine. It goes with the process that
holds it, so that one that dies while it times stops nobody; and nobody waits for ever, since one
may hang. Where there are no such locks (Windows), nothing waits.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.01


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold trainings and other timings while the block runs."""
    with _locked(exclusive=True):
        yield


def wait_for_quiet() -> None:
    """Return when nobody times; called by a training after each step."""
    with _locked(exclusive=False):
        return


@contextlib.contextmanager
def _locked(*, exclusive: bool) -> Iterator[None]:
    file = _open()
    if file is None:
        yield
        return
    try:
        _wait(file, exclusive)
        yield
    finally:
        os.close(file)  # the lock goes with it


def _open() -> int | None:
    """Return a descriptor of the one lock file, or None where there can be none."""
    if sys.platform == "win32":
        return None
    path = Path(tempfile.gettempdir()) / f"syno-quiet-{os.getuid()}"
    with contextlib.suppress(OSError):  # a temporary folder that cannot be written: no turns
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return None


def _wait(file: int, exclusive: bool) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return
        time.sleep(_POLL_SECONDS)
