"""What compilers have in common: a network as a graph, checked inputs, and outputs put together.

Compilers start from torch.export's graph of a network, in which some operations are written out
that not every compiler gets right.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_unflatten

from syno.ir.errors import OperatorError, SizeError


def exported(
    module: nn.Module, example_inputs: Sequence[Tensor], *, gradient: bool = False
) -> ExportedProgram:
    """Return the graph of a copy of `module` in evaluation mode, its parameters constant.

    With `gradient`, example inputs that require a gradient still do; their layout is contiguous.
    Raises OperatorError for a network that has no graph.
    """
    inputs = [each.detach().contiguous() for each in example_inputs]
    if gradient:
        for made, each in zip(inputs, example_inputs, strict=True):
            made.requires_grad_(each.requires_grad)
    frozen = copy.deepcopy(module).eval().requires_grad_(False)
    try:
        return torch.export.export(frozen, tuple(inputs))
    except RuntimeError as error:  # what torch's tracers raise has no other name in common
        raise refused("torch.export", error) from error


def written_out(
    program: ExportedProgram, others: Mapping[Any, Callable[..., Any]] | None = None
) -> ExportedProgram:
    """Return the program without the operations that compilers of other houses get wrong.

    `others` is a table of further operations in other words.
    """
    written: ExportedProgram = program.run_decompositions({**(others or {}), **_WORDS})
    return written


def fitted(example_inputs: Sequence[Tensor], call: Callable[..., Any]) -> Callable[..., Any]:
    """Return `call` for contiguous inputs of the shapes and types of the examples alone.

    Compiled code reads memory as it was told at compile time: with another shape or layout it
    would read what is not there. Raises SizeError for another shape or type.
    """
    wanted = [(each.shape, each.dtype) for each in example_inputs]

    def checked(*inputs: Tensor) -> Any:
        if [(each.shape, each.dtype) for each in inputs] != wanted:
            raise SizeError(
                f"Compiled for {_told(wanted)}; given are "
                f"{_told([(each.shape, each.dtype) for each in inputs])}. Compile anew for other "
                "shapes."
            )
        return call(*(each.contiguous() for each in inputs))

    return checked


def on_arrays(
    program: ExportedProgram, run: Callable[[list[Any]], Sequence[Any]]
) -> Callable[..., Any]:
    """Return a function of tensors that calls `run` with arrays and gets arrays back.

    What comes out has the structure that the module gives: a tensor, a tuple, a mapping.
    """
    structure = program.call_spec.out_spec
    assert structure is not None

    def call(*inputs: Tensor) -> Any:
        arrays = run([each.detach().numpy() for each in inputs])
        return tree_unflatten([torch.from_numpy(each) for each in arrays], structure)

    return call


def refused(compiler: str, error: BaseException) -> OperatorError:
    """Return the error that a compiler cannot take a network, with the first line of its reason."""
    reason = next((line for line in str(error.__cause__ or error).splitlines() if line.strip()), "")
    return OperatorError(f"{compiler} cannot take this network: {reason[:400]}")


@contextmanager
def own_warnings_only() -> Iterator[None]:
    """Keep from our users what compilers warn of in their own code: calls that will go away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _told(inputs: Sequence[tuple[torch.Size, torch.dtype]]) -> str:
    each = (f"{tuple(shape)} {str(kind).removeprefix('torch.')}" for shape, kind in inputs)
    return ", ".join(each)


def _roll(x: Tensor, shifts: Sequence[int], dims: Sequence[int] = ()) -> Any:
    """Roll by slices: torch's own way gathers by index, which IREE does not take."""
    if not dims:
        return _roll(x.reshape(-1), shifts, (0,)).reshape(x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        length = x.shape[dim]
        cut = -shift % length if length else 0
        x = torch.cat([x.narrow(dim, cut, length - cut), x.narrow(dim, 0, cut)], dim)
    return x.contiguous()  # as tracing takes torch's own to come out: a view may follow


def _average_pool(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Pool without a divisor of its own, which ONNX has no word for and leaves out silently."""
    if divisor_override is None:
        return NotImplemented
    if ceil_mode:
        raise OperatorError("avg_pool2d with both ceil_mode and divisor_override is not compiled.")
    count = prod(kernel) * (kernel[0] if len(kernel) == 1 else 1)
    means = F.avg_pool2d(x, list(kernel), list(stride) or None, list(padding))
    return means * (count / divisor_override)


def _eye(rows: int, columns: int, **options: Any) -> Tensor:
    """Return the identity by arithmetic: IREE's front end stops at the comparison torch makes."""
    options = {**options, "dtype": options.get("dtype") or torch.get_default_dtype()}
    across = torch.arange(columns, **options)
    down = torch.arange(rows, **options).unsqueeze(-1)
    return (1 - (across - down).abs()).clamp(min=0)


_WORDS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.roll.default: _roll,
    torch.ops.aten.avg_pool2d.default: _average_pool,
    torch.ops.aten.eye.default: lambda rows, **options: _eye(rows, rows, **options),
    torch.ops.aten.eye.m: _eye,
}
