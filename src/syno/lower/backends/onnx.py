"""The `onnx` backend: a network as an ONNX model, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from syno.lower.backends.graphs import (
    exported,
    fitted,
    on_arrays,
    own_warnings_only,
    refused,
    written_out,
)

_ERRORS_ONLY = 3  # of ONNX Runtime's levels


def compile_module(module: nn.Module, example_inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return `module` in a session of ONNX Runtime, with all of its optimizations.

    Raises OperatorError for a network that has no graph, or an operation that ONNX has no word for.
    """
    with own_warnings_only():
        program = written_out(exported(module, example_inputs))
        try:
            model: Any = torch.onnx.export(program, dynamo=True, verbose=False)
        except torch.onnx.OnnxExporterError as error:
            raise refused("ONNX", error) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(
        model.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_inputs()]

    def run(arrays: list[Any]) -> Sequence[Any]:
        found: Sequence[Any] = session.run(None, dict(zip(names, arrays, strict=True)))
        return found

    return fitted(example_inputs, on_arrays(program, run))
