"""Evaluating one candidate in a worker process: latency first, then training."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from syno.ir.errors import DataError
from syno.run.ladder import Rung, explained
from syno.run.quiet import quiet, wait_for_quiet
from syno.search.outcome import Failed, Outcome, Pruned, Scored

if TYPE_CHECKING:
    from torch import nn

    from syno.evaluate.fidelities import Ladder
    from syno.evaluate.splits import DataSplits

_BACKENDS = {"eager": "torch", "compile": "inductor"}  # what the modes of a search are called there


@dataclass(frozen=True)
class Task:
    """What a worker needs to evaluate one operator; `operator` None means the original network.

    `least_ratio` is the speed below which a candidate is not worth training; `rounds` the number of
    interleaved timing rounds, 0 for none. `rung` is how the operator is judged (`run/ladder.py`).
    """

    model: str
    data: str
    operator: str | None
    coefficients: Mapping[str, int]
    recipe: Mapping[str, Any]
    seed: int = 0
    batch: int = 1
    mode: str = "eager"
    least_ratio: float = 0.0
    rounds: int = 9
    train: bool = True
    rung: Rung = "scratch"
    extra: Mapping[str, Any] = field(default_factory=dict)


def evaluate(task: Task) -> Outcome:
    """Return the outcome of a task; runs in a worker process."""
    import torch

    from syno.evaluate.latency import compare
    from syno.evaluate.models import info
    from syno.evaluate.training import Diverged, NotANumber
    from syno.nn.substitution import count_parameters

    torch.set_num_threads(1)
    _keep_locks_in_process()
    original = _original(task.model, task.seed)
    network, flops = build(task)
    extra: dict[str, Any] = {"seed": task.seed, "recipe": dict(task.recipe), **task.extra}
    ratio = 1.0
    if task.rounds and task.operator is not None:
        example = info(task.model).example_input(task.batch)
        options: Any = {"backend": _BACKENDS[task.mode], "rounds": task.rounds, "alone": quiet}
        timed = compare(original, network, example, **options)
        ratio = timed.ratio
        extra["latency"] = {"mode": task.mode, **timed.to_dict()}
        if ratio < task.least_ratio:
            return Pruned(f"only {ratio:.2f} times as fast as the original", extra)
    if not task.train:
        return Scored(0.0, ratio, flops, count_parameters(network), extra)
    if task.rung != "scratch":  # what all candidates share is no part of the price of one
        shared = _ladder_of(task)
        _ = shared.captured
        if task.rung != "fit":
            _ = shared.tutor
    start = time.process_time()
    try:
        accuracy, training = _judged(task, network)
    except NotANumber as error:
        return Failed("not_a_number", str(error))
    except Diverged as error:
        return Failed("diverged", str(error))
    extra["training"] = training
    extra["seconds"] = time.process_time() - start
    extra["finished"] = datetime.now(UTC).isoformat()
    return Scored(accuracy, ratio, flops, count_parameters(network), extra)


def _judged(task: Task, network: nn.Module) -> tuple[float, dict[str, Any]]:
    """Return what the rung of a task says of its network, and how it came about.

    That is the accuracy on validation data, and at `fit` what the operators explain of the layers
    that they replace: 1 is all of it, 0 no more than a constant does.
    """
    from syno.evaluate.batches import normalized
    from syno.evaluate.recipes import Recipe
    from syno.evaluate.training import train
    from syno.ir.parser import parse
    from syno.nn.tuning import tune_for_training

    options: Any = {"seed": task.seed, "on_progress": _give_way}
    recipe = Recipe(**task.recipe)
    if task.rung == "scratch":
        data = _data(task.data)
        tune_for_training(network, normalized(data.train.images[: recipe.batch_size], data))
        result = train(network, data, recipe, **options)
        return result.validation_accuracy, asdict(result)
    ladder = _ladder_of(task)
    assignment = ladder.everywhere(parse(task.operator)) if task.operator else {}
    if task.rung == "fit":
        found = ladder.sampled(assignment, seed=task.seed)
        return explained(found.residual), found.to_dict()
    fitted = ladder.fitted(assignment, seed=task.seed)
    if task.rung == "short":
        result = ladder.short(fitted.network, **options)
    else:
        result = ladder.long(fitted.network, recipe=recipe, **options)
    return result.validation_accuracy, asdict(result)


def _give_way(_step: int, _steps: int) -> None:
    """Hold a training while another process times."""
    wait_for_quiet()


def prepare_ladder(task: Task) -> Outcome:
    """Train the teacher of a task's model, and ask it about all images, where the cache lacks it.

    Runs in a worker process.
    """
    import torch

    from syno.evaluate.teacher import teacher

    torch.set_num_threads(1)
    start = time.process_time()
    teacher(task.model, task.data, on_progress=_give_way)
    _ = _ladder_of(task).tutor
    return Scored(0.0, 1.0, 0, 0, {"seconds": time.process_time() - start})


def _keep_locks_in_process() -> None:
    """Give the progress bar of torch.compile a lock of this process alone.

    Otherwise it makes a system-wide one, which nobody takes away when the worker ends: Python then
    warns of it on the user's terminal.
    """
    from torch import hub

    set_lock = getattr(getattr(hub, "tqdm", None), "set_lock", None)
    if set_lock is not None:  # without tqdm, torch has a bar of its own that locks nothing
        set_lock(threading.RLock())


def data_for(model: str, data: str) -> DataSplits:
    """Return the data set `data`, which `model` has to accept.

    Raises ModelError or DataError for an unknown name, for data that are missing or damaged, and
    where shapes or classes do not fit.
    """
    from syno.evaluate.data import load
    from syno.evaluate.models import info

    row, splits = info(model), load(data)
    shape = tuple(splits.train.images.shape[1:])
    if shape != row.input_shape[1:] or splits.classes != row.classes:
        advice = f"Use --data {row.default_data}" if row.default_data else "Choose another model"
        raise DataError(
            f"{model} takes images of {_times(row.input_shape[1:])} in {row.classes} classes; "
            f"those of {data} are {_times(shape)} in {splits.classes}. {advice}."
        )
    return splits


def build(task: Task) -> tuple[nn.Module, int]:
    """Return the network of a task and the multiply-adds of its sites for one image."""
    from syno.evaluate.models import info
    from syno.ir.parser import parse
    from syno.nn.sites import find_sites, replaceable
    from syno.nn.substitution import site_flops, substitute

    original = _original(task.model, task.seed)
    example = info(task.model).example_input(1)
    sites = replaceable(find_sites(original, example), task.model)
    if task.operator is None:
        return copy.deepcopy(original), sum(site.flops for site in sites)
    op = parse(task.operator)
    flops = sum(site_flops(op, site, task.coefficients) for site in sites)
    assignment = {site.name: op for site in sites}
    changed = substitute(
        original, assignment, example, coefficients=task.coefficients, seed=task.seed
    )
    return changed, flops


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


@cache
def _original(model: str, seed: int) -> nn.Module:
    from syno.evaluate.models import build as build_model

    return build_model(model, seed=seed)


@cache
def _data(name: str) -> DataSplits:
    from syno.evaluate.data import load

    return load(name)


def _ladder_of(task: Task) -> Ladder:
    return _ladder(task.model, task.data, tuple(sorted(task.coefficients.items())))


@cache
def _ladder(model: str, data: str, coefficients: tuple[tuple[str, int], ...]) -> Ladder:
    from syno.evaluate.fidelities import Ladder

    return Ladder(model, data, dict(coefficients))
