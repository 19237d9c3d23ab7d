"""Candidates in their own processes (pebble), with a time and a memory limit.

Processes are started afresh (spawn), not forked: torch's threads do not survive a fork. Memory is
limited by RLIMIT_DATA, which bounds what a process may write to; an address-space limit would count
what torch maps and never touches. A worker dies with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pebble import ProcessExpired, ProcessPool

from syno.search.outcome import Failed, Outcome, TimedOut, finite

_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "std::bad_alloc", "Cannot allocate")
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
}


@dataclass(frozen=True)
class ProcessLimits:
    """Limits of one evaluation."""

    seconds: float = 1_800.0
    megabytes: int = 6_000


class Executor:
    """A pool of processes that turns tasks into outcomes; use it as a context manager."""

    def __init__(self, workers: int, limits: ProcessLimits) -> None:
        self.workers = workers
        self.limits = limits
        self.flying: dict[Any, Any] = {}
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)  # a spawned worker reads them before it imports
        self.pool = ProcessPool(
            max_workers=workers,
            initializer=_prepare,
            initargs=(limits.megabytes, os.getpid()),
            context=multiprocessing.get_context("spawn"),
        )

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def has_room(self) -> bool:
        """Tell whether a worker is free."""
        return len(self.flying) < self.workers

    def submit(self, key: Any, function: Callable[[Any], Outcome], task: Any) -> None:
        """Start `function(task)` in a process; `key` comes back with its outcome."""
        future = self.pool.schedule(_guarded, args=(function, task), timeout=self.limits.seconds)
        self.flying[future] = key

    def next_done(self, timeout: float) -> tuple[Any, Outcome] | None:
        """Return a key and its outcome, or None where nothing ended within `timeout` seconds."""
        if not self.flying:
            return None
        done, _ = wait(self.flying, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            return self.flying.pop(future), self._outcome(future)
        return None

    def close(self) -> None:
        """Stop all workers, whatever they are doing."""
        self.pool.stop()
        self.pool.join()

    def _outcome(self, future: Any) -> Outcome:
        try:
            found: Outcome = future.result()
            return found
        except FutureTimeout:
            return TimedOut(self.limits.seconds)
        except ProcessExpired as error:
            return Failed("crashed", f"the worker process died (exit code {error.exitcode})")
        except CancelledError:
            return Failed("crashed", "the evaluation was cancelled")
        except Exception as error:  # noqa: BLE001 -- a task may fail in any way; pebble hands us what it raised
            return Failed("error", f"{type(error).__name__}: {error}"[:2000])


def _guarded(function: Callable[[Any], Outcome], task: Any) -> Outcome:
    """Run in the worker: memory that ran out is an outcome, whoever noticed it."""
    try:
        return finite(function(task))
    except MemoryError as error:
        return Failed("out_of_memory", str(error) or "the memory limit was reached")
    except RuntimeError as error:
        if any(text in str(error) for text in _OUT_OF_MEMORY):
            return Failed("out_of_memory", str(error)[:2000])
        raise


def _prepare(megabytes: int, parent: int) -> None:
    """Prepare a worker: limits, deaf to Ctrl-C, mortal with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # other systems have no prctl
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 2**20, hard))
