"""The `numpy` backend: plain views and einsum, one line for each step of the plan."""

from __future__ import annotations

from syno.lower.program import Program, Value
from syno.lower.text import Words, diagonal_parts, write

HEADER = """\
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
"""


class NumpyWords(Words):
    """NumPy's words for the operations of a program without library calls."""

    def permute(self, value: Value, code: str) -> str:
        return f"{code}.transpose({', '.join(map(str, value.options['order']))})"

    def roll(self, value: Value, code: str) -> str:
        return f"np.roll({code}, {value.options['distance']}, axis={value.options['axis']})"

    def pad(self, value: Value, code: str) -> str:
        return f"np.pad({code}, {list(value.options['widths'])})"

    def window(self, value: Value, code: str) -> str:
        size, axis = value.options["size"], value.options["axis"]
        return f"sliding_window_view({code}, {size}, axis={axis})"

    def diagonal(self, value: Value, code: str) -> str:
        return (
            f"np.stack(({', '.join(diagonal_parts(value, code))}), axis={value.options['places']})"
        )

    def repeat(self, value: Value, code: str) -> str:
        return f"np.repeat({code}[..., None], {value.options['size']}, axis=-1)"

    def sum(self, value: Value, code: str) -> str:
        return f"{code}.sum(axis={value.options['axes']})"

    def einsum(self, value: Value, *codes: str) -> str:
        return f'np.einsum("{value.options["spec"]}", {", ".join(codes)}, optimize=True)'


def source(program: Program) -> str:
    """Return the source of `forward(x, w1, ...)` on arrays."""
    return write(program, NumpyWords(), HEADER)
