"""The `iree` backend: a network compiled by IREE for this very processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from iree import runtime
from iree.compiler.tools import CompilerToolError, compile_file
from iree.turbine import aot
from torch import Tensor, nn

from syno.ir.errors import OperatorError
from syno.lower.backends.graphs import (
    exported,
    fitted,
    on_arrays,
    own_warnings_only,
    refused,
    written_out,
)

# Convolutions in torch's order of dimensions become scalar code; with channels last they are
# vectorized, and ResNet-18 is four times faster.
_CHANNELS_LAST = "builtin.module(util.func(iree-preprocessing-convert-conv-to-channels-last))"
FLAGS = (
    "--iree-llvmcpu-target-cpu=host",
    "--iree-opt-level=O3",
    f"--iree-preprocessing-pass-pipeline={_CHANNELS_LAST}",
)


def compile_module(module: nn.Module, example_inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return `module` as machine code in IREE's runtime.

    Raises OperatorError for a network that has no graph, or an operation that IREE does not know.
    """
    with own_warnings_only():
        core = dict(torch.export.default_decompositions().items())
        program = written_out(exported(module, example_inputs), {**core, **_WORDS})
        output: Any = aot.export(program)
    config = runtime.Config(device=_device(torch.get_num_threads()))
    loaded = runtime.VmModule.copy_buffer(config.vm_instance, _compiled(output))
    function = runtime.load_vm_module(loaded, config)["main"]

    def run(arrays: list[Any]) -> Sequence[Any]:
        found = function(*arrays)
        several = found if isinstance(found, (tuple, list)) else (found,)
        return [each.to_host().copy() for each in several]

    return fitted(example_inputs, on_arrays(program, run))


def _compiled(output: Any) -> bytes:
    """Run IREE's compiler: in a process of its own, since there are networks at which it aborts."""
    with TemporaryDirectory(prefix="syno-") as folder:
        path = Path(folder) / "network.mlirbc"
        output.save_mlir(path)
        try:
            binary: bytes = compile_file(
                str(path), input_type="torch", target_backends=["llvm-cpu"], extra_args=FLAGS
            )
        except CompilerToolError as error:
            told = [line for line in str(error).splitlines() if "error: " in line]
            raise refused("IREE", OperatorError(told[0] if told else str(error))) from None
    return binary


def _squeeze(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Leave out several dimensions at once, which IREE's front end does one by one."""
    out = {dim % x.dim() for dim in dims if x.shape[dim] == 1}
    return x.reshape([length for dim, length in enumerate(x.shape) if dim not in out])


def _normalize(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize with constants, which IREE's front end knows as training code alone."""
    del momentum
    scale = torch.rsqrt(variance + epsilon)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    channels = (-1, *[1] * (x.dim() - 2))
    y = x * scale.reshape(channels) + shift.reshape(channels)
    return y, x.new_empty(0), x.new_empty(0)


_NORMALIZE = torch.ops.aten._native_batch_norm_legit_no_training  # noqa: SLF001 -- its only name
_WORDS: dict[Any, Callable[..., Any]] = {
    _NORMALIZE.default: _normalize,
    torch.ops.aten.squeeze.dims: _squeeze,
}


def _device(threads: int) -> Any:
    """Return a device that runs on so many threads; one thread is the caller's own."""
    if threads == 1:
        return runtime.get_device("local-sync")
    runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    return runtime.get_driver("local-task").create_device_by_uri("local-task")
