"""The `numpy` backend: plain views and einsum, one line for each step of the plan."""

from __future__ import annotations

from syno.lower.program import Program, Value
from syno.lower.text import write

HEADER = """\
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
"""


class NumpyWords:
    """NumPy's words for the operations of a program without library calls."""

    def reshape(self, value: Value, code: str) -> str:
        extents = value.options["extents"]
        return f"{code}.reshape({', '.join(extents) or '()'})"

    def permute(self, value: Value, code: str) -> str:
        return f"{code}.transpose({', '.join(map(str, value.options['order']))})"

    def roll(self, value: Value, code: str) -> str:
        return f"np.roll({code}, {value.options['distance']}, axis={value.options['axis']})"

    def slice(self, value: Value, code: str) -> str:
        return f"{code}[{sliced(value)}]"

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


def sliced(value: Value) -> str:
    """Return what stands in the brackets of a slice."""
    cuts = value.options["cuts"]
    index = []
    for axis in range(max(cuts) + 1):
        start, stop, step = cuts.get(axis, (0, None, 1))
        first, last = "" if start == 0 else str(start), "" if stop is None else str(stop)
        index.append(f"{first}:{last}{'' if step == 1 else f':{step}'}")
    return ", ".join(index)


def diagonal_parts(value: Value, code: str) -> list[str]:
    """Return the slices of a diagonal, one for each place."""
    axis, places = value.options["axis"], value.options["places"]
    length = value.shape[axis]
    parts = []
    for place in range(value.shape[places]):
        index = [":"] * (max(axis, places) + 1)
        index[places], index[axis] = str(place), f"{place}:{place + length}"
        parts.append(f"{code}[{', '.join(index)}]")
    return parts


def source(program: Program) -> str:
    """Return the source of `forward(x, w1, ...)` on arrays."""
    return write(program, NumpyWords(), HEADER)
