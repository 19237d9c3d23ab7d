"""The command line as a user types it, and what its processes leave behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYNO = (sys.executable, "-m", "syno")


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of the output."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


def syno(*arguments: str | Path, timeout: float = 170, **options: Any) -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        [*SYNO, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def started(*arguments: str | Path, **options: Any) -> Any:
    """Start a command in a process group of its own; nothing of it is left at the end.

    It hears Ctrl-C even where the tests run in the background of a shell, which ignores it there.
    """
    process = subprocess.Popen(
        [*SYNO, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_hear_interrupts,  # noqa: PLW1509 -- it sets a signal and takes no lock
        **options,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition` holds, `seconds` at most; tell whether it does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, _, process_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                found.append(int(entry.name))
    return found
