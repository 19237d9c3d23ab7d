"""Evaluation in processes of their own: nothing a candidate does can end the search.

Written here rather than taken from pebble or loky, because three things are needed that those do
not give: a pipe for each worker alone (a pool whose workers share one pipe and one lock can be
stopped by a worker killed at the wrong moment), the process id behind each task (to watch its
memory), and a process group for each worker (to end the compilers it started as well).
Processes are spawned, never forked: torch and its threads do not survive a fork.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from syno.ir.errors import SynoError
from syno.run.limits import Limits, resident_mib, worker_environment
from syno.run.worker import READY, serve
from syno.search.outcome import Failed, Outcome, TimedOut

Payload = TypeVar("Payload")

_LOOK_EVERY = 0.1
_START_SECONDS = 180.0
_START_ATTEMPTS = 3


class WorkerError(SynoError):
    """Worker processes cannot be started at all, or the executor is used wrongly."""


@dataclass
class _Worker(Generic[Payload]):
    """One process and what it is doing; `since` is when its present occupation began."""

    process: SpawnProcess
    connection: Connection
    ready: bool = False
    tasks: list[tuple[Payload, bytes]] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    @property
    def free(self) -> bool:
        """Whether it can take a task."""
        return not self.tasks

    def send(self) -> None:
        """Hand its task over; the clock of the time limit starts."""
        self.since = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(self.tasks[0][1])

    def end(self) -> None:
        """Kill the process and everything it started, and wait until it is gone."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.connection.close()
        self.process.close()


class Executor(Generic[Payload]):
    """Evaluates payloads with one picklable function in `workers` processes, under limits.

    The function returns an outcome. One that raises, returns NaN, hangs, eats memory or dies gets
    an outcome that says so, and its process is replaced. Processes start when first needed and are
    reused. Use it in a `with` block, from the thread that lives longest: the workers end with it.
    What workers print goes to `log`, by default to standard error. Raises WorkerError when no
    worker can be started.
    """

    def __init__(
        self,
        function: Callable[[Payload], Outcome],
        workers: int = 1,
        limits: Limits | None = None,
        log: Path | None = None,
    ) -> None:
        if workers < 1:
            raise WorkerError(f"An executor needs at least one worker, not {workers}.")
        self.limits = limits or Limits()
        self.workers = workers
        self._function = pickle.dumps(function)
        self._log = log
        self._crew: list[_Worker[Payload]] = []
        self._done: deque[tuple[Payload, Outcome]] = deque()
        self._failed_starts = 0
        self._closed = False
        atexit.register(self.close)

    def __enter__(self) -> Executor[Payload]:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the workers, whatever they are doing."""
        self.close()

    @property
    def free_slots(self) -> int:
        """How many payloads can be submitted now."""
        return self.workers - self.in_flight

    @property
    def in_flight(self) -> int:
        """How many payloads have been submitted and have no outcome yet."""
        return sum(not worker.free for worker in self._crew)

    def submit(self, payload: Payload) -> None:
        """Start the evaluation of `payload`; WorkerError when there is no free slot."""
        if self._closed:
            raise WorkerError("The executor is closed; make another one.")
        if not self.free_slots:
            raise WorkerError(f"All {self.workers} workers are busy; take an outcome first.")
        task = (payload, pickle.dumps(payload))
        self._discard([one for one in self._crew if one.free and not one.process.is_alive()])
        idle = next((one for one in self._crew if one.free), None)
        self._assign(idle or self._start(), task)

    def next_done(self, timeout: float | None = None) -> tuple[Payload, Outcome] | None:
        """Return the next finished payload with its outcome, waiting at most `timeout` seconds.

        None when nothing finished in that time, or nothing is in flight. Limits are enforced in
        here: call it often.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._done and self.in_flight:
            left = _LOOK_EVERY if deadline is None else deadline - time.monotonic()
            wait([one.connection for one in self._crew], max(min(left, _LOOK_EVERY), 0.0))
            for worker in list(self._crew):
                self._look_at(worker)
            if left <= 0:
                break
        return self._done.popleft() if self._done else None

    def run(self, payloads: Iterable[Payload]) -> Iterator[tuple[Payload, Outcome]]:
        """Yield payloads with their outcomes as they finish; a payload is asked when a slot is free."""
        source = iter(payloads)
        more = True
        while more or self.in_flight or self._done:
            while more and self.free_slots:
                try:
                    payload = next(source)
                except StopIteration:
                    more = False
                else:
                    self.submit(payload)
            done = self.next_done()
            if done is not None:
                yield done

    def close(self) -> None:
        """Kill every worker; what is in flight is lost."""
        self._closed = True
        self._discard(list(self._crew))
        atexit.unregister(self.close)

    def _look_at(self, worker: _Worker[Payload]) -> None:
        """Take a message of a worker, or notice that it died, or that it broke a limit."""
        if worker.connection.poll():
            try:
                message = worker.connection.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                self._bury(worker)
            else:
                self._receive(worker, message)
        elif not worker.process.is_alive():
            self._bury(worker)
        elif not worker.ready:
            if time.monotonic() - worker.since > _START_SECONDS:
                self._bury(worker)
        elif not worker.free:
            self._hold_to_limits(worker)

    def _receive(self, worker: _Worker[Payload], message: object) -> None:
        """Act on a message: ready, an outcome, or the reason why the function cannot be loaded."""
        if message == READY:
            worker.ready = True
            self._failed_starts = 0
            if not worker.free:
                worker.send()
        elif isinstance(message, str):
            self.close()
            raise WorkerError(f"A worker process cannot load the evaluation function. {message}")
        else:
            outcome: Outcome = message  # type: ignore[assignment]
            self._finish(worker, outcome)
            if isinstance(outcome, Failed) and outcome.kind == "out_of_memory":
                self._discard([worker])

    def _hold_to_limits(self, worker: _Worker[Payload]) -> None:
        """Kill a worker that is over its time or its memory."""
        seconds, memory = self.limits.seconds, self.limits.memory_mib
        if seconds is not None and time.monotonic() - worker.since > seconds:
            self._finish(worker, TimedOut(seconds))
            self._discard([worker])
        elif memory is not None and resident_mib(worker.process.pid or 0) > memory:
            self._finish(worker, Failed("out_of_memory", f"the worker used over {memory} MiB"))
            self._discard([worker])

    def _bury(self, worker: _Worker[Payload]) -> None:
        """Replace a worker that died; its task has crashed, unless it never began."""
        worker.process.join(1.0)
        cause = _cause_of_death(worker.process.exitcode)
        if worker.ready:
            if not worker.free:
                self._finish(worker, Failed("crashed", cause))
            self._discard([worker])
            return
        self._failed_starts += 1
        if self._failed_starts >= _START_ATTEMPTS:
            self.close()
            raise WorkerError(
                f"Worker processes end before they are ready ({_START_ATTEMPTS} in a row; the last"
                f" {cause}). What they printed says why; a memory limit of {self.limits.memory_mib}"
                " MiB that is too small for the imports is one possible cause."
            )
        self._discard([worker])
        for task in worker.tasks:
            self._assign(self._start(), task)

    def _assign(self, worker: _Worker[Payload], task: tuple[Payload, bytes]) -> None:
        """Give a task to a worker, which gets it when it is ready."""
        worker.tasks = [task]
        if worker.ready:
            worker.send()

    def _finish(self, worker: _Worker[Payload], outcome: Outcome) -> None:
        """Note the outcome of a worker's task; the worker is free again."""
        for payload, _ in worker.tasks:
            self._done.append((payload, outcome))
        worker.tasks = []

    def _start(self) -> _Worker[Payload]:
        """Start one more worker process."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._function, self.limits, os.getpid(), self._log)
        process = context.Process(target=serve, args=arguments, name="syno-worker")
        with theirs, _quiet_start(self.limits):
            process.start()
        worker = _Worker[Payload](process, ours)
        self._crew.append(worker)
        return worker

    def _discard(self, workers: Iterable[_Worker[Payload]]) -> None:
        """Kill workers and forget them."""
        for worker in workers:
            self._crew.remove(worker)
            worker.end()


@contextmanager
def _quiet_start(limits: Limits) -> Iterator[None]:
    """Give a process started inside its environment, and no Ctrl-C before it can handle one."""
    resource_tracker.ensure_running()  # else its own start would unblock the signal again
    before = os.environ.copy()
    os.environ.update(worker_environment(limits))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _cause_of_death(exitcode: int | None) -> str:
    """Return in words how a process ended."""
    if exitcode is None:
        return "did not answer any more"
    if exitcode >= 0:
        return f"ended by itself with exit code {exitcode}"
    name = signal.Signals(-exitcode).name
    hint = ", which the kernel also does when memory runs out" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
