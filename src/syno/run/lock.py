"""One runner a study: a lock on a file that goes with its process, however that ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from syno.ir.errors import StudyError


def lock_beside(path: Path) -> IO[str]:
    """Return the open, locked file beside `path`; closing it lets others in.

    Raises StudyError where the folder cannot be written or another process holds the lock.
    """
    if not path.name:
        raise StudyError(f"'{path}' is no file for a study: choose one with --study.")
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = beside.open("w")
    except OSError as error:
        raise StudyError(
            f"The study {path} cannot be written: {error.strerror or error}. Choose another place "
            "with --study."
        ) from None
    try:
        _lock(lock)
    except (BlockingIOError, PermissionError):
        lock.close()
        raise StudyError(
            f"The study {path} is in use by another search. Wait for it to end, or choose another "
            "file with --study."
        ) from None
    except OSError as error:
        lock.close()
        raise StudyError(
            f"The study {path} cannot be locked: {error.strerror or error}. Choose a place on a "
            "local disk with --study."
        ) from None
    return lock


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
