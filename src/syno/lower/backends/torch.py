"""The `torch` backend: library calls where a stage is one, views and einsum elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from syno.lower.plan import Plan
from syno.lower.program import Program, Slide, Value
from syno.lower.text import Words, diagonal_parts, write

HEADER = """\
import torch
import torch.nn.functional as F
"""


class TorchWords(Words):
    """PyTorch's words, with its convolution and matrix product."""

    def permute(self, value: Value, code: str) -> str:
        return f"{code}.permute({', '.join(map(str, value.options['order']))})"

    def roll(self, value: Value, code: str) -> str:
        return f"torch.roll({code}, {value.options['distance']}, {value.options['axis']})"

    def pad(self, value: Value, code: str) -> str:
        widths = [width for pair in reversed(value.options["widths"]) for width in pair]
        while widths[-2:] == [0, 0]:
            widths = widths[:-2]
        return f"F.pad({code}, {_numbers(widths)})"

    def window(self, value: Value, code: str) -> str:
        return f"{code}.unfold({value.options['axis']}, {value.options['size']}, 1)"

    def diagonal(self, value: Value, code: str) -> str:
        parts = ", ".join(diagonal_parts(value, code))
        return f"torch.stack(({parts}), {value.options['places']})"

    def repeat(self, value: Value, code: str) -> str:
        shown = ["-1"] * (len(value.shape) - 1) + [str(value.options["size"])]
        return f"{code}.unsqueeze(-1).expand({', '.join(shown)})"

    def sum(self, value: Value, code: str) -> str:
        return f"{code}.sum({_numbers(value.options['axes'])})"

    def multiply(self, value: Value, one: str, two: str) -> str:
        del value
        return f"{one} * {two}"

    def add(self, value: Value, *codes: str) -> str:
        del value
        return " + ".join(codes)

    def einsum(self, value: Value, *codes: str) -> str:
        return f'torch.einsum("{value.options["spec"]}", {", ".join(codes)})'

    def convolution(self, value: Value, code: str, kernel: str) -> str:
        slides: Sequence[Slide] = value.options["slides"]
        options: list[str] = []
        if not all(slide.left == slide.right for slide in slides):
            widths = [width for slide in reversed(slides) for width in (slide.left, slide.right)]
            code = f"F.pad({code}, {_numbers(widths)})"
        elif any(slide.left for slide in slides):
            options.append(f"padding={_numbers([slide.left for slide in slides])}")
        for name in ("stride", "dilation"):
            numbers = [getattr(slide, name) for slide in slides]
            if any(number != 1 for number in numbers):
                options.append(f"{name}={_numbers(numbers)}")
        if value.options["groups"] != 1:
            options.append(f"groups={value.options['groups']}")
        return f"F.conv{len(slides)}d({', '.join([code, kernel, *options])})"

    def linear(self, value: Value, code: str, matrix: str) -> str:
        del value
        return f"F.linear({code}, {matrix})"

    def matmul(self, value: Value, left: str, right: str) -> str:
        del value
        return f"torch.matmul({left}, {right})"

    def densify(self, value: Value, code: str) -> str:
        """Return a block-diagonal kernel: each group beside the zeros of the others."""
        groups = value.options["groups"]
        outputs, inputs, *rest = value.operands[0].shape
        tail = "".join(f", {n}" for n in rest)
        blocks = f"{code}.reshape({groups}, {outputs // groups}, 1, {inputs}{tail})"
        ones = f"torch.eye({groups}, dtype={code}.dtype, device={code}.device)"
        mask = f"{ones}.reshape({groups}, 1, {groups}, 1{', 1' * len(rest)})"
        return f"({blocks} * {mask}).reshape({outputs}, {groups * inputs}{tail})"


def _numbers(numbers: Sequence[int]) -> str:
    return f"({', '.join(map(str, numbers))}{',' if len(numbers) == 1 else ''})"


def source(program: Program) -> str:
    """Return the source of `forward(x, w1, ...)` on tensors."""
    return write(program, TorchWords(), HEADER)


class Function(nn.Module):
    """A function of tensors as a module: what compilers take."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        """Call the function."""
        return self.function(*inputs)


def compile_module(module: nn.Module, example_inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return `module` in evaluation mode, called as it is: eager execution compiles nothing."""
    del example_inputs
    return module.eval()


def compiled_by(
    compiler: ModuleType, plan: Plan, function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return `function(x, w1, ...)`, the torch code of `plan`, compiled by a backend's module.

    The example inputs require gradients: a backend that can differentiate does so.
    """
    shapes = [plan.op.input_shape(plan.sizes), *plan.op.weight_shapes(plan.sizes).values()]
    examples = [torch.randn(shape, requires_grad=True) for shape in shapes]
    compiled: Callable[..., Any] = compiler.compile_module(Function(function), examples)
    return compiled
