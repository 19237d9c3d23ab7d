"""One process times, the others wait; whoever dies stops nobody, and nobody waits for ever."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syno.run import quiet as module
from syno.run.quiet import quiet, wait_for_quiet

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")

HOLD = "import sys, time, syno.run.quiet as q\nwith q.quiet():\n    print('held', flush=True)\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module.tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input ends."""
    code = HOLD + "    sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def waiting() -> threading.Thread:
    thread = threading.Thread(target=wait_for_quiet)
    thread.start()
    return thread


def test_a_training_waits_while_another_process_times(holder: subprocess.Popen[str]) -> None:
    thread = waiting()
    thread.join(0.3)
    assert thread.is_alive()
    assert holder.stdin is not None
    holder.stdin.close()
    thread.join(30)
    assert not thread.is_alive()


def test_who_dies_while_it_times_stops_nobody(holder: subprocess.Popen[str]) -> None:
    thread = waiting()
    holder.kill()
    thread.join(30)
    assert not thread.is_alive()


def test_nobody_waits_for_ever(
    holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.2)
    wait_for_quiet()
    with quiet():
        assert holder.poll() is None


def test_trainings_do_not_wait_for_each_other() -> None:
    with module._locked(exclusive=False):
        wait_for_quiet()


def test_a_link_in_its_place_is_not_followed(folder: Path) -> None:
    import os

    target = folder / "precious"
    (folder / f"syno-quiet-{os.getuid()}").symlink_to(target)
    wait_for_quiet()
    with quiet():
        pass
    assert not target.exists()
