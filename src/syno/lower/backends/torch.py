"""The `torch` backend: library calls where a stage is one, views and einsum elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from syno.lower.emit import Slide, write_body
from syno.lower.plan import Plan

HEADER = """\
import torch
import torch.nn.functional as F
"""


class TorchDialect:
    """PyTorch's words, with its convolution, matrix product and pool."""

    def reshape(self, code: str, shape: Sequence[str]) -> str:
        return f"{code}.reshape({', '.join(shape)})" if shape else f"{code}.reshape(())"

    def permute(self, code: str, order: Sequence[int]) -> str:
        return f"{code}.permute({', '.join(map(str, order))})"

    def roll(self, code: str, axis: int, distance: int) -> str:
        return f"torch.roll({code}, {distance}, {axis})"

    def slice(self, code: str, axis: int, step: int) -> str:
        return f"{code}[{':, ' * axis}::{step}]"

    def window(self, code: str, axis: int, rank: int, size: int) -> str:
        left, right = size // 2, size - 1 - size // 2
        pads = [0, 0] * (rank - 1 - axis) + [left, right]
        return f"{_pad(code, pads)}.unfold({axis}, {size}, 1)"

    def repeat(self, code: str, rank: int, size: int) -> str:
        return f"{code}.unsqueeze(-1).expand({', '.join(['-1'] * rank + [str(size)])})"

    def sum(self, code: str, axes: Sequence[int]) -> str:
        return f"{code}.sum({_numbers(axes)})"

    def einsum(self, spec: str, *codes: str) -> str:
        return f'torch.einsum("{spec}", {", ".join(codes)})'

    def convolution(self, code: str, weight: str, slides: Sequence[Slide], groups: str) -> str:
        even = all(slide.left == slide.right for slide in slides)
        options: list[str] = []
        if not even:
            code = _pad(code, [x for slide in reversed(slides) for x in (slide.left, slide.right)])
        elif any(slide.left for slide in slides):
            options.append(f"padding={_numbers([slide.left for slide in slides])}")
        for name in ("stride", "dilation"):
            values = [getattr(slide, name) for slide in slides]
            if any(value != 1 for value in values):
                options.append(f"{name}={_numbers(values)}")
        if groups != "1":
            options.append(f"groups={groups}")
        return f"F.conv{len(slides)}d({', '.join([code, weight, *options])})"

    def linear(self, code: str, weight: str) -> str:
        return f"F.linear({code}, {weight})"

    def matmul(self, left: str, right: str) -> str:
        return f"torch.matmul({left}, {right})"

    def pool(self, code: str, rank: int, sizes: Sequence[int]) -> str:
        size = _numbers(sizes)
        return f"F.avg_pool2d({code}, {size}, {size}, divisor_override=1)"

    def window_sum(
        self, code: str, axis: int, rank: int, slide: Slide, length: int
    ) -> tuple[str, str]:
        """Return the padded tensor and the sum of its slices: several times faster than a pool."""
        padded = _pad(code, [0, 0] * (rank - 1 - axis) + [slide.left, slide.right])
        reach = (length - 1) * slide.stride + 1
        step = f":{slide.stride}" if slide.stride > 1 else ""
        starts = [place * slide.dilation for place in range(slide.size)]
        places = [f"t[{':, ' * axis}{start}:{start + reach}{step}]" for start in starts]
        return padded, " + ".join(places)


def _numbers(values: Sequence[int]) -> str:
    return f"({', '.join(map(str, values))}{',' if len(values) == 1 else ''})"


def _pad(code: str, pads: Sequence[int]) -> str:
    return f"F.pad({code}, {_numbers(pads)})"


def source(plan: Plan) -> str:
    """Return the source of `forward(x, w1, ...)` on tensors."""
    names = ", ".join(["x", *(each.name for each in plan.factors)])
    body = "\n".join(f"    {line}" for line in write_body(plan, TorchDialect()))
    return f"{HEADER}\n\ndef forward({names}):\n{body}\n"


class Function(nn.Module):
    """A function of tensors as a module: what compilers take."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """Call the function."""
        result: Tensor = self.function(*inputs)
        return result


def compile_module(module: nn.Module, example_inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return `module` in evaluation mode, called as it is: eager execution compiles nothing."""
    del example_inputs
    return module.eval()


def compiled_by(
    compiler: ModuleType, plan: Plan, function: Callable[..., Any]
) -> Callable[..., Any]:
    """Return `function(x, w1, ...)`, the torch code of `plan`, compiled by a backend's module."""
    shapes = [plan.op.input_shape(plan.sizes), *plan.op.weight_shapes(plan.sizes).values()]
    compiled: Callable[..., Any] = compiler.compile_module(
        Function(function), [torch.randn(shape) for shape in shapes]
    )
    return compiled
