"""Evaluations that go wrong in every way: a module of its own, so that workers can import it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn
from zlib import crc32

from syno.run.candidate import Task
from syno.search.outcome import Failed, Outcome, Scored

TURNS = "SYNO_TEST_TURNS"


class Unpicklable(Exception):
    """Pickles in the worker and does not unpickle in the parent."""

    def __init__(self, one: str, *, two: str) -> None:
        super().__init__(one + two)


def score(_task: object = None) -> Scored:
    return Scored(0.5, 1.5, 10, 20, {"latency": {"ratio": 1.5}})


def by_rung(task: Task) -> Outcome:
    """Score a candidate by its text: the same order on every rung, nearer to it on the later."""
    text = (task.operator or "").encode()
    drawn, speed = crc32(text) / 2**32, 1.06 + 3 * crc32(text[::-1]) / 2**32
    accuracy = {"fit": 0.2 + 0.3 * drawn, "short": 0.4 + 0.1 * drawn, "long": 0.5 + 0.02 * drawn}
    assert task.rung in accuracy  # a search with a ladder trains nothing from scratch
    ratio = speed if task.rounds else 1.0
    extra = {"latency": {"ratio": ratio}} if task.rounds else {}
    return Scored(accuracy[task.rung], ratio, 10, 20, {**extra, "seconds": 1.0})


def by_rung_sometimes(task: Task) -> Outcome:
    """Fail at short training with half of all candidates."""
    failing = task.rung == "short" and crc32((task.operator or "").encode()) % 2
    return Failed("error", "at short") if failing else by_rung(task)


def hang(_task: object = None) -> NoReturn:
    while True:
        time.sleep(60)


def hang_deaf(_task: object = None) -> NoReturn:
    """Hang and ignore the polite request to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang()


def eat_memory(_task: object = None) -> NoReturn:
    kept = []
    while True:
        kept.append(bytearray(50_000_000))


def eat_memory_in_torch(_task: object = None) -> NoReturn:
    import torch

    kept = []
    while True:
        kept.append(torch.ones(10_000_000))


def return_nan(_task: object = None) -> Outcome:
    return Scored(float("nan"), 1.5, 10, 20)


def kill_itself(_task: object = None) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def crash(_task: object = None) -> NoReturn:
    os.abort()


def fail(_task: object = None) -> NoReturn:
    raise ValueError("there is no such shape")


def fail_unpicklably(_task: object = None) -> NoReturn:
    raise Unpicklable("odd", two="error")


def leave(_task: object = None) -> NoReturn:
    sys.exit(3)


def name_process(_task: object = None) -> Outcome:
    return Scored(0.5, 1.5, os.getpid(), 20)


ONE_OF_EACH = (hang, eat_memory, return_nan, kill_itself, fail)


def in_turn(task: Task) -> Outcome:
    """Go wrong in every way, one after the other, then do well; the baseline does well too."""
    if task.operator is None or not task.train:
        return score()
    turn = _turn(Path(os.environ[TURNS]))
    return ONE_OF_EACH[turn](task) if turn < len(ONE_OF_EACH) else score()


def _turn(folder: Path) -> int:
    """Return 0, 1, 2, ... over all processes: whoever makes the file has the number."""
    for number in range(1_000):
        try:
            (folder / str(number)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise AssertionError("too many turns")
