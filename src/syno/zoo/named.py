"""Operators with a name: the layers everybody knows, and those of the paper, to be reproduced.

Each row is a text with sizes to try it under; nothing here is special to the rest of Syno. The
published ones: Zhuo, Su, Zhao, Gao, "Syno", ASPLOS 2025 (arXiv 2410.23745).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.ir.parser import parse

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class NamedOperator:
    """One row: `text` is a formula as a person writes it, `sizes` a small binding that fits it."""

    name: str
    text: str
    summary: str
    sizes: Sizes

    @property
    def operator(self) -> Operator:
        """The operator that the text means."""
        return parse(self.text)


_IMAGE = {"N": 2, "C_in": 8, "C_out": 16, "C": 4, "H": 8, "W": 6, "k": 3, "s": 2, "g": 4}
_PAPER = {"N": 1, "C_in": 8, "C_out": 16, "H": 8, "W": 6, "k": 3, "G": 4, "R": 2}
_ROWS = {"T": 5, "C_in": 8, "C_out": 12, "R": 2}

NAMED: Mapping[str, NamedOperator] = {
    row.name: row
    for row in (
        NamedOperator(
            "convolution",
            "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, h+a-k//2, w+b-k//2] * w1[o,c,a,b]",
            "every output channel sees a window of every input channel",
            _IMAGE,
        ),
        NamedOperator(
            "grouped-convolution",
            "y[n,o,h,w] = sum[c:C_in/g, a:k, b:k] "
            "x[n, (o // (C_out/g))*(C_in/g) + c, h+a-k//2, w+b-k//2] * w1[o,c,a,b]",
            "an output channel sees the input channels of its group alone",
            _IMAGE,
        ),
        NamedOperator(
            "depthwise-convolution",
            "[N, C, H, W] -> [N, C, H, W]\n"
            "y[n,c,h,w] = sum[a:k, b:k] x[n, c, h+a-k//2, w+b-k//2] * w1[c,a,b]",
            "an output channel sees its own input channel alone",
            _IMAGE,
        ),
        NamedOperator(
            "pointwise-convolution",
            "y[n,o,h,w] = sum[c:C_in] x[n,c,h,w] * w1[o,c]",
            "a convolution without a window",
            _IMAGE,
        ),
        NamedOperator(
            "dilated-convolution",
            "y[n,o,h,w] = sum[c:C_in, a:k, b:k] "
            "x[n, c, h + s*a - (k*s)//2, w + s*b - (k*s)//2] * w1[o,c,a,b]",
            "a window that reads every s-th place",
            _IMAGE,
        ),
        NamedOperator(
            "separable-convolution",
            "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, h+a-k//2, w+b-k//2] * w1[o,c] * w2[c,a,b]",
            "a depthwise convolution, then a pointwise one",
            _IMAGE,
        ),
        NamedOperator(
            "low-rank-convolution",
            "y[n,o,h,w] = sum[c:C_in, a:k, b:k, r:R] "
            "x[n, c, h+a-k//2, w+b-k//2] * w1[o,a,r] * w2[c,b,r]",
            "a row of the window through R channels, then a column",
            {**_IMAGE, "R": 3},
        ),
        NamedOperator(
            "shifted-pointwise",
            "y[n,o,h,w] = sum[c:C_in] x[n, c, (h + 1) % H, w] * w1[o,c]",
            "a shift by one row, then a convolution without a window",
            _IMAGE,
        ),
        NamedOperator(
            "average-pooling",
            "[N, C, H, W] -> [N, C, H/s, W/s]\n"
            "y[n,c,h,w] = sum[a:s, b:s] x[n, c, h*s + a, w*s + b]",
            "sums of blocks: the average, up to its constant",
            _IMAGE,
        ),
        NamedOperator(
            "pixel-shuffle",
            "[N, C*s*s, H, W] -> [N, C, H*s, W*s]\n"
            "y[n,c,h,w] = x[n, c*s*s + (h % s)*s + w % s, h // s, w // s]",
            "channels become places",
            _IMAGE,
        ),
        NamedOperator(
            "shifted-convolution-1d",
            "[C_in, H] -> [C_out, H]\n"
            "y[o,h] = sum[c:C_in, a:k] x[c, (h + a - k//2 + 1) % H] * w1[o,c,a]",
            "a window, zero outside, then a shift of what is inside",
            _IMAGE,
        ),
        NamedOperator(
            "linear",
            "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c] * w1[o,c]",
            "a matrix product",
            _ROWS,
        ),
        NamedOperator(
            "low-rank-linear",
            "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
            "a matrix product through R numbers",
            _ROWS,
        ),
        NamedOperator(
            "paper-operator-1",
            "y[n,o,h,w] = sum[g:G, c:C_in/G, a:k, b:k, r:R] "
            "x[n, g*(C_in/G)+c, h+a-k//2, w+b-k//2] * w1[g,a,b,o,r] * w2[g*(C_in/G)+c, b, r]",
            "Operator 1 of the paper, R = C_out/(G*s)",
            _PAPER,
        ),
        NamedOperator(
            "paper-operator-2",
            "y[n,o,h,w] = sum[g:G, c:C_in/G, a:k, b:k, r:R] "
            "x[n, g*(C_in/G)+c, (h+a-k//2 + 1) % H, w+b-k//2] "
            "* w1[g,a,o,r] * w2[g*(C_in/G)+c, b, r]",
            "Operator 2 of the paper, R = C_out/(G*s)",
            _PAPER,
        ),
        NamedOperator(
            "gpt2-projection",
            "[T, 768] -> [T, (72, 2, 16)]\ny[t,(a,b,c)] = sum[r:384] x[t, b*384 + r] * w[a,r,c]",
            "the paper's projection for GPT-2: half of the input for every other 16 outputs",
            {"T": 3},
        ),
    )
}


def named(name: str) -> Operator:
    """Return the operator called `name`; OperatorError with the known names otherwise."""
    if name not in NAMED:
        known = ", ".join(sorted(NAMED))
        raise OperatorError(f"There is no operator called {name!r}; known are: {known}.")
    return NAMED[name].operator


__all__ = ["NAMED", "NamedOperator", "named"]
