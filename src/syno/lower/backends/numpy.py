"""The `numpy` backend: plain views and einsum, one line for each step of the plan."""

from __future__ import annotations

from collections.abc import Sequence

from syno.lower.emit import write_body
from syno.lower.plan import Plan

HEADER = """\
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
"""


class NumpyDialect:
    """NumPy's words."""

    def reshape(self, code: str, shape: Sequence[str]) -> str:
        return f"{code}.reshape({', '.join(shape)})" if shape else f"{code}.reshape(())"

    def permute(self, code: str, order: Sequence[int]) -> str:
        return f"{code}.transpose({', '.join(map(str, order))})"

    def roll(self, code: str, axis: int, distance: int) -> str:
        return f"np.roll({code}, {distance}, axis={axis})"

    def slice(self, code: str, axis: int, step: int) -> str:
        return f"{code}[{':, ' * axis}::{step}]"

    def window(self, code: str, axis: int, rank: int, size: int) -> str:
        left, right = size // 2, size - 1 - size // 2
        pads = [f"({left}, {right})" if place == axis else "(0, 0)" for place in range(rank)]
        return f"sliding_window_view(np.pad({code}, [{', '.join(pads)}]), {size}, axis={axis})"

    def repeat(self, code: str, rank: int, size: int) -> str:
        return f"np.repeat({code}[..., None], {size}, axis=-1)"

    def sum(self, code: str, axes: Sequence[int]) -> str:
        inside = ", ".join(map(str, axes))
        return f"{code}.sum(axis=({inside}{',' if len(axes) == 1 else ''}))"

    def einsum(self, spec: str, *codes: str) -> str:
        return f'np.einsum("{spec}", {", ".join(codes)}, optimize=True)'


def source(plan: Plan) -> str:
    """Return the source of `forward(x, w1, ...)` on arrays."""
    names = ", ".join(["x", *(each.name for each in plan.factors)])
    body = "\n".join(f"    {line}" for line in write_body(plan, NumpyDialect()))
    return f"{HEADER}\n\ndef forward({names}):\n{body}\n"
