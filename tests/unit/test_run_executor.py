"""Whatever a worker does, its task comes back as an outcome and the next one runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import misbehaving
import pytest

from syno.run.executor import Executor
from syno.run.settings import ProcessLimits
from syno.search.outcome import Failed, Outcome, Scored, TimedOut

LIMITS = ProcessLimits(seconds=30.0, megabytes=800)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with Executor(1, LIMITS) as made:
        yield made


def outcome_of(pool: Executor, function: Callable[[Any], Outcome]) -> Outcome:
    pool.submit("key", function, None)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = pool.next_done(0.5)
        if found is not None:
            assert found[0] == "key"
            return found[1]
    raise AssertionError("no outcome came back")


@pytest.mark.parametrize(
    ("function", "kind", "text"),
    [
        (misbehaving.eat_memory, "out_of_memory", "memory"),
        (misbehaving.return_nan, "not_a_number", "accuracy is nan"),
        (misbehaving.kill_itself, "crashed", "SIGKILL"),
        (misbehaving.crash, "crashed", "SIGABRT"),
        (misbehaving.fail, "error", "ValueError: there is no such shape"),
        (misbehaving.fail_unpicklably, "error", "Unpicklable: odderror"),
        (misbehaving.leave, "error", "SystemExit: 3"),
    ],
)
def test_what_goes_wrong_is_an_outcome_and_the_next_task_runs(
    pool: Executor, function: Callable[[Any], Outcome], kind: str, text: str
) -> None:
    found = outcome_of(pool, function)
    assert isinstance(found, Failed)
    assert found.kind == kind
    assert text in found.message
    assert outcome_of(pool, misbehaving.score) == misbehaving.score()


def test_memory_that_runs_out_inside_torch_is_an_outcome(pool: Executor) -> None:
    found = outcome_of(pool, misbehaving.eat_memory_in_torch)
    assert isinstance(found, Failed)
    assert found.kind == "out_of_memory"


@pytest.mark.parametrize("function", [misbehaving.hang, misbehaving.hang_deaf])
def test_what_hangs_is_stopped_and_the_next_task_runs(
    function: Callable[[Any], Outcome],
) -> None:
    with Executor(1, ProcessLimits(1.0, 800)) as pool:
        assert outcome_of(pool, function) == TimedOut(1.0)
        assert outcome_of(pool, misbehaving.score) == misbehaving.score()


def test_a_neighbour_that_dies_costs_nobody_else() -> None:
    with Executor(2, LIMITS) as pool:
        pool.submit("bad", misbehaving.kill_itself, None)
        pool.submit("good", misbehaving.score, None)
        assert not pool.has_room
        found: dict[str, Outcome] = {}
        end = time.monotonic() + PATIENCE
        while len(found) < 2 and time.monotonic() < end:
            found.update([pair for pair in [pool.next_done(0.5)] if pair])
    assert isinstance(found["bad"], Failed)
    assert found["good"] == misbehaving.score()


def test_a_worker_killed_while_idle_is_replaced(pool: Executor) -> None:
    first = outcome_of(pool, misbehaving.name_process)
    assert isinstance(first, Scored)
    os.kill(first.flops, signal.SIGKILL)
    time.sleep(1.0)  # pebble looks after its workers ten times a second
    second = outcome_of(pool, misbehaving.name_process)
    assert isinstance(second, Scored)
    assert second.flops != first.flops


def test_what_is_abandoned_gives_its_place_back() -> None:
    with Executor(1, LIMITS) as pool:
        pool.submit("slow", misbehaving.hang, None)
        assert pool.next_done(0.1) is None
        assert pool.abandon() == ["slow"]
        assert outcome_of(pool, misbehaving.score) == misbehaving.score()


def test_the_environment_of_the_caller_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    with Executor(1, ProcessLimits()), Executor(1, ProcessLimits()):
        assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
        assert os.environ["OMP_NUM_THREADS"] == "7"
    assert dict(os.environ) == before
