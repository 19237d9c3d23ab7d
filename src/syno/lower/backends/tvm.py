"""The `tvm` backend: a network as Relax, its loops scheduled for this processor.

The way of a network: torch.export, Relax, batch normalization folded into convolutions, channels
last (sums over channels then run in vectors of output channels), operations fused with what follows
them, and a schedule for each loop nest: the fastest one in the database of `tvm_tuning.tune`, or
else the one of `tvm_schedules`, which needs no search.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn
from torch.utils._pytree import tree_unflatten

os.environ.setdefault("TVM_BIND_THREADS", "0")  # else TVM moves this process to cores of its choice

import tvm
from tvm import relax
from tvm.relax import transform
from tvm.relax.backend.cpu_generic import pipeline
from tvm.relax.frontend.torch import from_exported_program
from tvm.target import codegen

from syno.ir.errors import OperatorError
from syno.lower.backends.graphs import exported, fitted, own_warnings_only, written_out
from syno.lower.backends.tvm_schedules import scheduled

_ALIGNMENT = 64  # bytes: what TVM asks of memory that it is lent
_LAYOUTS = {"relax.nn.conv2d": ["NHWC", "HWIO"]}
_BIG_CORES = 1
_pool = threading.local()  # each thread that calls has a pool of its own


def compile_module(
    module: nn.Module, example_inputs: Sequence[Tensor], *, database: Path | None = None
) -> Callable[..., Any]:
    """Return `module` compiled for inputs of just these shapes and torch's number of threads.

    Loop nests that `database` (the default: `database_folder()`) knows have their fastest schedule.
    Raises OperatorError for an operation that TVM cannot take.
    """
    threads = torch.get_num_threads()
    target = target_here(threads)
    graph, structure = imported(module, example_inputs, target)
    executable = _built(_chosen(graph, target, database_folder(target, database)), target)
    main = relax.VirtualMachine(executable, tvm.cpu())["main"]

    def call(*inputs: Tensor) -> Any:
        _use_threads(threads)
        found = main(*(_lent(each.detach()) for each in inputs))
        outputs = [found] if isinstance(found, tvm.runtime.Tensor) else list(found)
        return tree_unflatten([torch.utils.dlpack.from_dlpack(each) for each in outputs], structure)

    return fitted(example_inputs, call)


def target_here(threads: int) -> Any:
    """Return TVM's description of this processor with `threads` of its cores."""
    cpu = str(codegen.llvm_get_system_cpu())
    return tvm.target.Target({"kind": "llvm", "num-cores": threads, "mcpu": cpu})


def database_folder(target: Any, database: Path | None = None) -> Path:
    """Return where records for `target` are: below `database`, SYNO_CACHE or the user's cache."""
    chosen = os.environ.get("SYNO_CACHE")
    base = database or (Path(chosen) if chosen else user_cache_path("syno")) / "tvm"
    return base / f"{target.attrs['mcpu']}-{target.attrs['num-cores']}"


def imported(module: nn.Module, example_inputs: Sequence[Tensor], target: Any) -> tuple[Any, Any]:
    """Return `module` as a Relax module of fused loop nests, and the structure of its outputs."""
    with own_warnings_only():
        program = exported(module, example_inputs)
        plain = written_out(program.run_decompositions(_core()))
        try:
            graph = from_exported_program(plain, run_ep_decomposition=False)
        except (AssertionError, NotImplementedError, ValueError) as error:
            raise OperatorError(f"TVM cannot take this network: {error}") from None
    with target, tvm.transform.PassContext(opt_level=3):
        return tvm.transform.Sequential(_passes())(graph), program.call_spec.out_spec


def _passes() -> list[Any]:
    tidy = [transform.FoldConstant(), transform.CanonicalizeBindings()]
    tidy.append(transform.DeadCodeElimination())
    return [
        *tidy,
        transform.FoldBatchnormToConv2D(),
        transform.DecomposeOpsForInference(),
        *tidy,
        transform.ConvertLayout(_LAYOUTS),
        transform.Normalize(),
        *tidy,
        transform.LegalizeOps(),
        transform.AnnotateTIROpPattern(),
        transform.FoldConstant(),
        transform.FuseOps(),
        transform.FuseTIR(),
        transform.RewriteDataflowReshape(),  # knows a copy that is a view by its unscheduled loops
        transform.DeadCodeElimination(),
    ]


def _chosen(graph: Any, target: Any, folder: Path) -> Any:
    """Return `graph` with a schedule for each loop nest."""
    if (folder / "database_workload.json").exists():
        from syno.lower.backends.tvm_tuning import opened

        with target, opened(folder), tvm.transform.PassContext(opt_level=3):
            graph = transform.MetaScheduleApplyDatabase()(graph)
    return scheduled(graph)


def _built(graph: Any, target: Any) -> Any:
    lowering = tvm.transform.Sequential(
        [
            transform.ToNonDataflow(),
            transform.RemovePurityChecking(),
            transform.CallTIRRewrite(),
            *pipeline.finalize_passes(target),
        ]
    )
    with target, tvm.transform.PassContext(opt_level=3):
        return relax.build(graph, target=target, relax_pipeline=lowering)


def _lent(tensor: Tensor) -> Any:
    """Return the tensor as TVM's, without a copy where its memory begins as TVM wants it."""
    aligned = tensor if tensor.data_ptr() % _ALIGNMENT == 0 else tensor.clone()
    return tvm.runtime.from_dlpack(aligned)


def _use_threads(count: int) -> None:
    """Give TVM's pool of the calling thread `count` threads."""
    if getattr(_pool, "threads", None) != count:
        tvm.get_global_func("runtime.config_threadpool")(_BIG_CORES, count)
        _pool.threads = count


def _core() -> dict[Any, Callable[..., Any]]:
    """Return how operations become core ones.

    Rolls and products of matrices are left: they would gather by index and copy what they read.
    """
    table = dict(torch.export.default_decompositions().items())
    for left in (torch.ops.aten.roll.default, torch.ops.aten.matmul.default):
        table.pop(left, None)
    return {**table, torch.ops.aten.unfold.default: _unfold}


def _unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Return the windows as slices put together: Relax has no word for windows."""
    reach = x.shape[dimension] - size + 1
    slices = [
        torch.ops.aten.slice(x, dimension, start, start + reach, step) for start in range(size)
    ]
    return torch.stack(slices, -1)
