"""What a worker does to its own process before it evaluates."""

from __future__ import annotations

import threading

import pytest

from syno.evaluate import training
from syno.evaluate.recipes import RECIPES
from syno.evaluate.training import Diverged, NotANumber
from syno.ir.errors import SynoError
from syno.run.candidate import Task, evaluate
from syno.search.outcome import Failed, Scored


def test_a_worker_makes_no_lock_that_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import hub

    monkeypatch.setattr(hub.tqdm, "_lock", object(), raising=False)  # as if another had been made
    task = Task("convnet", "digits", None, {}, {}, train=False)
    assert isinstance(evaluate(task), Scored)
    assert isinstance(hub.tqdm.get_lock(), type(threading.RLock()))


@pytest.mark.parametrize(("error", "kind"), [(Diverged, "diverged"), (NotANumber, "not_a_number")])
def test_a_training_that_is_lost_is_an_outcome(
    error: type[SynoError], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_arguments: object, **_options: object) -> None:
        raise error("it is lost")

    monkeypatch.setattr(training, "train", lost)
    recipe = RECIPES["digits"].to_dict()
    found = evaluate(Task("convnet", "digits", None, {}, recipe, rounds=0))
    assert found == Failed(kind, "it is lost")
