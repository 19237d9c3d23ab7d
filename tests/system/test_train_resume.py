"""A full training that is killed goes on with the same command, to the same last bit."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import started, syno, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def command(file: Path | None) -> list[str]:
    kept = [] if file is None else ["--checkpoint", str(file)]
    return ["train", "--full", "--epochs", "0.5", *kept, "--json"]


def result(*arguments: str) -> dict[str, Any]:
    done = syno(*arguments)
    assert done.code == 0, done.err
    return {key: value for key, value in done.json.items() if key != "seconds"}


def test_a_killed_training_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    with started(*command(file)) as process:
        assert until(file.exists, 60), "no checkpoint was written"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert result(*command(file)) == result(*command(None))
