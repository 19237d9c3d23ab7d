"""The `inductor` backend: PyTorch's own compiler, without the parts that may fall back to eager.

`torch.compile` keeps few versions of one code and then runs the plain module without a word; and
networks of one class share that code, so that one may be run as it was compiled for another. Here
torch.export takes the graph and Inductor compiles it: no versions, no fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch._inductor import compile as compile_graph

from syno.lower.backends.graphs import exported, fitted, own_warnings_only


def compile_module(module: nn.Module, example_inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return `module` compiled for inputs of just these shapes.

    Where no example input requires a gradient, parameters are frozen: batch normalization is folded
    into the convolutions, whose weights are laid out as oneDNN likes them. Otherwise what comes out
    can be differentiated with respect to the inputs.
    """
    gradient = any(each.requires_grad for each in example_inputs)
    with own_warnings_only(), torch.set_grad_enabled(gradient):
        program = exported(module, example_inputs, gradient=gradient)
        assert program.example_inputs is not None
        inputs = list(program.example_inputs[0])
        options = {"freezing": not gradient}
        compiled = compile_graph(program.module(), inputs, options=options)
        compiled(*inputs)  # what is compiled when first called is compiled now

    def infer(*inputs: Tensor) -> Any:
        with torch.no_grad():
            return compiled(*inputs)

    return fitted(example_inputs, compiled if gradient else infer)
