"""What a worker does to its own process before it evaluates."""

from __future__ import annotations

import threading

import pytest

from syno.run.candidate import Task, evaluate
from syno.search.outcome import Scored


def test_a_worker_makes_no_lock_that_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import hub

    monkeypatch.setattr(hub.tqdm, "_lock", object(), raising=False)  # as if another had been made
    task = Task("convnet", "digits", None, {}, {}, train=False)
    assert isinstance(evaluate(task), Scored)
    assert isinstance(hub.tqdm.get_lock(), type(threading.RLock()))
