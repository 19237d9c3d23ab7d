"""Candidates in their own processes (pebble), with a time and a memory limit.

Processes are started afresh (spawn), not forked: torch's threads do not survive a fork. Every place
has a pool of one process, so that a worker that dies badly takes no lock and no neighbour with it.
A worker dies with its parent (Linux), and what a candidate raises becomes an outcome in the worker:
an exception that does not survive pickling would cost the pool.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any

from pebble import ProcessExpired, ProcessPool

from syno.run.settings import ProcessLimits
from syno.search.outcome import Failed, Outcome, TimedOut, finite

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 120.0  # for a worker to start and to be stopped, beyond the limit of its task
_FAREWELL_SECONDS = 10.0  # for an idle worker to end by itself
_MESSAGE = 2_000
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "std::bad_alloc",
    "Cannot allocate",
    "could not create a memory object",
)
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
}


@dataclass(frozen=True)
class _Flight:
    """One task under way: the caller's key, the place it occupies, and when it was submitted."""

    key: Any
    place: int
    start: float


class Executor:
    """A fixed number of processes that turn tasks into outcomes; use it as a context manager."""

    def __init__(self, workers: int, limits: ProcessLimits) -> None:
        self.limits = limits
        self.flying: dict[Future[Outcome], _Flight] = {}
        given = _ENVIRONMENT.items()
        self._added = {name: value for name, value in given if name not in os.environ}
        os.environ.update(self._added)  # a spawned worker reads them before it imports
        self._pools: list[ProcessPool | None] = [None] * workers

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
        return len(self.flying) < len(self._pools)

    def submit(self, key: Any, function: Callable[[Any], Outcome], task: Any) -> None:
        """Start `function(task)` in a process; `key` comes back with its outcome."""
        taken = {flight.place for flight in self.flying.values()}
        place = next(each for each in range(len(self._pools)) if each not in taken)
        pool = self._pools[place]
        if pool is None or not pool.active:  # a worker that died while idle broke its pool
            self._stop(place)
            pool = self._pools[place] = self._pool()
        with _deaf_to_interrupts():
            future = pool.schedule(_guarded, args=(function, task), timeout=self.limits.seconds)
        self.flying[future] = _Flight(key, place, time.monotonic())

    def next_done(self, timeout: float) -> tuple[Any, Outcome] | None:
        """Return a key and its outcome, or None where nothing ended within `timeout` seconds."""
        done, _ = wait(self.flying, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            return self.flying.pop(future).key, self._outcome(future)
        for future, flight in self.flying.items():
            if time.monotonic() - flight.start > self.limits.seconds + _GRACE_SECONDS:
                del self.flying[future]
                self._stop(flight.place)
                return flight.key, TimedOut(self.limits.seconds)
        return None

    def abandon(self) -> list[Any]:
        """Stop what is under way and return its keys."""
        flights = list(self.flying.values())
        self.flying.clear()
        for flight in flights:
            self._stop(flight.place)
        return [flight.key for flight in flights]

    def close(self) -> None:
        """Let idle workers end, which cleans up behind them, and stop the busy ones.

        The environment of this process is as it was before.
        """
        busy = {flight.place for flight in self.flying.values()}
        for place, pool in enumerate(self._pools):
            if pool is not None and pool.active and place not in busy:
                pool.close()
                with contextlib.suppress(TimeoutError):
                    pool.join(_FAREWELL_SECONDS)
            self._stop(place)
        for name in self._added:
            os.environ.pop(name, None)
        self._added = {}

    def _pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=1,
            initializer=_prepare,
            initargs=(self.limits.megabytes, os.getpid()),
            context=multiprocessing.get_context("spawn"),
        )

    def _stop(self, place: int) -> None:
        pool = self._pools[place]
        if pool is not None:
            self._pools[place] = None
            pool.stop()
            pool.join()

    def _outcome(self, future: Future[Outcome]) -> Outcome:
        try:
            return future.result()
        except FutureTimeout:
            return TimedOut(self.limits.seconds)
        except ProcessExpired as error:
            return Failed("crashed", f"the worker process {_death(error.exitcode)}")
        except CancelledError:
            return Failed("crashed", "the evaluation was cancelled")
        except Exception as error:  # noqa: BLE001 -- a pool may break in any way; it costs one candidate
            return Failed("crashed", f"{type(error).__name__}: {error}"[:_MESSAGE])


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, whoever noticed it."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def _death(code: int) -> str:
    if code >= 0:
        return f"ended by itself (exit code {code})"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let what is started here, workers and pebble's threads, inherit a blocked SIGINT.

    Ctrl-C goes to every process on the terminal; a worker that is still importing would answer it
    with a traceback.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # the first start of it unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _guarded(function: Callable[[Any], Outcome], task: Any) -> Outcome:
    """Run in the worker: whatever a task raises, the exit of the interpreter too, is an outcome."""
    try:
        return finite(function(task))
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- a task may fail in any way
        if is_out_of_memory(error):
            return Failed("out_of_memory", str(error)[:_MESSAGE] or "the memory limit was reached")
        return Failed("error", f"{type(error).__name__}: {error}"[:_MESSAGE])


def _prepare(megabytes: int, parent: int) -> None:
    """Prepare a worker: limits, mortal with its parent, dead at once when it is told to stop."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "win32":
        return
    import resource

    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library without prctl
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # RLIMIT_DATA bounds what a process may write to; an address-space limit would count what torch
    # maps and never touches.
    wanted, (_, hard) = megabytes * 2**20, resource.getrlimit(resource.RLIMIT_DATA)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
