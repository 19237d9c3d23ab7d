"""Tuning for the `tvm` backend: TVM's MetaSchedule with a budget of trials and a database.

MetaSchedule draws schedules, asks a cost model which of them may be fast, measures those and keeps
what it measured. Here it starts from the schedule of `tvm_schedules` and draws the blocks of sums
that this file knows; where it knows none, TVM's own rules draw. The first schedule is measured
before the search and after it, so that a busy machine does not make another one look faster. A
budget goes to the loop nests by how often they run and how much the last trials gained (TVM's
gradient task scheduler).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import tvm
from torch import Tensor, nn
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule, meta_schedule
from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock
from tvm.support.tar import tar

from syno.lower.backends.tvm import database_folder, imported, target_here
from syno.lower.backends.tvm_schedules import apply, has_sum, space

_SECONDS = 20  # that one candidate may run
_ROUND = 16  # trials between two looks of the cost model, at most
_REPEATS = 5  # of a measurement: the fastest counts, for what else runs only makes it slower
_REPEAT_MS = 10  # that each lasts, at least
_DRAWN = 64  # schedules that the cost model chooses a round's trials from


def tune(
    module: nn.Module,
    example_inputs: Sequence[Tensor],
    *,
    trials: int,
    database: Path | None = None,
    seed: int = 0,
) -> int:
    """Tune the loop nests of `module` that the database does not know; return how many it now does.

    `trials` schedules are measured in all, for torch's number of threads, beside the one that each
    loop nest would have had. The records go to `database` (the default: `tvm.database_folder()`),
    where `compile_module` finds them. Loop nests without a sum are left as they are.
    """
    target = target_here(torch.get_num_threads())
    folder = database_folder(target, database)
    folder.mkdir(parents=True, exist_ok=True)
    graph, _ = imported(module, example_inputs, target)
    with opened(folder) as records, tempfile.TemporaryDirectory(prefix="syno-") as scratch:
        tasks = [task for task in _tasks(graph, target) if not _known(records, task)]
        if not tasks:
            return 0
        builder, runner = _Builder(Path(scratch)), _runner(torch.get_num_threads())
        for task in tasks:
            _measure_default(task, records, builder, runner)
        if trials > 0:
            _search(tasks, records, builder, runner, trials=trials, seed=seed)
            for task in tasks:
                _measure_default(task, records, builder, runner)
        return sum(_known(records, task) for task in tasks)


def opened(folder: Path) -> Any:
    """Return the database in a folder, which is made where there is none."""
    return meta_schedule.database.JSONDatabase(work_dir=str(folder))


def _tasks(graph: Any, target: Any) -> list[Any]:
    found = meta_schedule.relax_integration.extract_tasks(graph, target)
    return [task for task in found if has_sum(_function(task))]


def _function(task: Any) -> Any:
    (function,) = (each for _, each in task.dispatched[0].functions_items())
    return function


def _known(records: Any, task: Any) -> bool:
    return records.query_tuning_record(task.dispatched[0], task.target, task.task_name) is not None


def _measure_default(task: Any, records: Any, builder: Any, runner: Any) -> None:
    """Record the schedule that `tvm_schedules` gives the loop nest, with its time."""
    sch = Schedule(task.dispatched[0])
    try:
        apply(sch)
    except tvm.s_tir.ScheduleError:
        return
    arguments = meta_schedule.arg_info.ArgInfo.from_entry_func(sch.mod, remove_preproc=True)
    (built,) = builder.build([meta_schedule.builder.BuilderInput(sch.mod, task.target)])
    if built.artifact_path is None:
        return
    given = meta_schedule.runner.RunnerInput(built.artifact_path, "cpu", arguments)
    (future,) = runner.run([given])
    seconds = future.result().run_secs
    if seconds:
        workload = records.commit_workload(task.dispatched[0])
        record = meta_schedule.database.TuningRecord(
            sch.trace, workload, list(seconds), task.target, arguments
        )
        records.commit_tuning_record(record)


def _search(
    tasks: list[Any], records: Any, builder: Any, runner: Any, *, trials: int, seed: int
) -> None:
    """Share `trials` among the tasks."""
    with _without_intrinsics():
        contexts = [_context(task, seed + number) for number, task in enumerate(tasks)]
    meta_schedule.tune.tune_tasks(
        tasks=contexts,
        task_weights=[float(task.weight) for task in tasks],
        work_dir="",
        max_trials_global=trials,
        num_trials_per_iter=max(1, min(_ROUND, trials // (2 * len(tasks)))),
        builder=builder,
        runner=runner,
        database=records,
        cost_model=meta_schedule.cost_model.XGBModel(num_tuning_cores=1),
        task_scheduler=meta_schedule.task_scheduler.GradientBased(seed=seed),
    )


def _context(task: Any, seed: int) -> Any:
    generators = meta_schedule.space_generator
    rules = {"postprocs": "llvm", "mutator_probs": "llvm"}
    if space(Schedule(task.dispatched[0])):
        generator = generators.ScheduleFn(space, [], **rules)
    else:
        generator = generators.PostOrderApply(sch_rules="llvm", **rules)
    return meta_schedule.TuneContext(
        mod=task.dispatched[0],
        target=task.target,
        space_generator=generator,
        search_strategy=meta_schedule.search_strategy.EvolutionarySearch(population_size=_DRAWN),
        task_name=task.task_name,
        rand_state=seed + 1,
        num_threads=1,
    ).clone()


@derived_object
class _Builder(meta_schedule.builder.PyBuilder):  # type: ignore[misc]
    """Builds in this process: TVM's own starts processes that import for longer than they may."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def build(self, build_inputs: list[Any]) -> list[Any]:
        return [self._one(each) for each in build_inputs]

    def _one(self, build_input: Any) -> Any:
        path = Path(tempfile.mkdtemp(dir=self.folder)) / f"loops.{tar.output_format}"
        try:
            plain = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(build_input.mod)
            library = tvm.tirx.build(plain, target=build_input.target)
            library.export_library(str(path), fcompile=tar)
        except Exception as error:  # noqa: BLE001 -- a schedule that cannot be built is a result
            return meta_schedule.builder.BuilderResult(None, str(error))
        return meta_schedule.builder.BuilderResult(str(path), None)


def _runner(threads: int) -> Any:
    """Return TVM's runner: one process that loads what was built and times it."""

    def start() -> None:
        import os

        os.environ["TVM_NUM_THREADS"] = str(threads)
        os.environ["TVM_BIND_THREADS"] = "0"

    def fastest(loops: Any, device: Any, config: Any, arguments: Any) -> list[float]:
        from tvm.s_tir.meta_schedule.runner.utils import run_evaluator_common

        return [min(run_evaluator_common(loops, device, config, arguments))]

    config = meta_schedule.runner.EvaluatorConfig(
        number=1, repeat=_REPEATS, min_repeat_ms=_REPEAT_MS
    )
    return meta_schedule.runner.LocalRunner(
        timeout_sec=_SECONDS, evaluator_config=config, f_run_evaluator=fastest, initializer=start
    )


@contextmanager
def _without_intrinsics() -> Iterator[None]:
    """Keep TVM from importing its matrix instructions of all processors, which takes 30 seconds.

    A tuning context imports them whether its rules use them or not; ours do not.
    """
    name = "tvm.s_tir.tensor_intrin"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]
