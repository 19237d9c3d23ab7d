"""Writing files so that a crash, a full disk or a read-only folder loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

from syno.ir.errors import FileError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` beside `path`, then rename: a reader sees the old file or the new one.

    Raises FileError where the folder is missing or read-only, or the disk is full; the old file
    stays.
    """
    data = content.encode() if isinstance(content, str) else content
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        _forget(aside)
        raise FileError(
            f"{path} could not be written: {error.strerror or error}. What stood there before is "
            "untouched; free some space or choose another folder, and run the command again."
        ) from None


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # the folder that refused the file may refuse this too
        return
