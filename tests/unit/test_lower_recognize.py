"""Recognition: the library call that each kind of stage becomes, seen in the generated source."""

from __future__ import annotations

import pytest

import syno
from syno.ir.operator import Operator
from syno.lower.backends import lower, write_source
from syno.lower.build import build
from syno.lower.plan import plan

SIZES = {
    "N": 2,
    "C_in": 8,
    "C_out": 12,
    "C": 8,
    "H": 6,
    "W": 9,
    "k": 3,
    "g": 4,
    "G": 4,
    "R": 2,
    "s": 3,
    "T": 5,
}

CONV = "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, h + a - k//2, w + b - k//2] * w1[o,c,a,b]"
GROUPED = (
    "y[n,o,h,w] = sum[c:C_in/g, a:k, b:k] "
    "x[n, (o // (C_out/g))*(C_in/g) + c, h+a-k//2, w+b-k//2] * w1[o,c,a,b]"
)
CALLS = {
    "convolution": (CONV, ["F.conv2d(x, w1, padding=(1, 1))"]),
    "grouped": (GROUPED, ["F.conv2d(x, w1, padding=(1, 1), groups=4)"]),
    "grouped, o in two parts": (
        GROUPED.replace("w1[o,c", "w1[o // (C_out/g), o % (C_out/g), c"),
        ["F.conv2d(x, w1, padding=(1, 1), groups=4)"],
    ),
    "depthwise": (
        (
            "[N, C, H, W] -> [N, C, H, W]\n"
            "y[n,c,h,w] = sum[a:k,b:k] x[n,c,h+a-k//2,w+b-k//2]*w1[c,a,b]"
        ),
        ["F.conv2d(x, w1.reshape(8, 1, 3, 3), padding=(1, 1), groups=8)"],
    ),
    "pointwise": (
        "y[n,o,h,w] = sum[c:C_in] x[n,c,h,w]*w1[o,c]",
        ["F.conv2d(x, w1.reshape(12, 8, 1, 1))"],
    ),
    "dilated": (
        "[N, C, H*s, W] -> [N, C, H*s, W]\ny[n,c,h,w] = sum[a:k] x[n,c,h+s*a-(s*k)//2,w]*w1[c,a]",
        ["F.pad(x, (0, 0, 4, 2))", "dilation=(3, 1), groups=8"],
    ),
    "strided": (
        "[N, C_in, H*s] -> [N, C_out, H]\ny[n,o,h] = sum[c:C_in,a:k] x[n,c,s*h+a-k//2]*w1[o,c,a]",
        ["F.conv1d(x, w1, padding=(1,), stride=(3,))"],
    ),
    "strided, without a window": (
        "[N, C_in, H*s] -> [N, C_out, H]\ny[n,o,h] = sum[c:C_in] x[n,c,s*h]*w1[o,c]",
        ["F.conv1d(x, w1.reshape(12, 8, 1), stride=(3,))"],
    ),
    "row then column": (
        "y[n,o,h,w] = sum[c:C_in,a:k,b:k,r:R] x[n,c,h+a-k//2,w+b-k//2]*w1[o,a,r]*w2[c,b,r]",
        [
            ".reshape(2, 8, 1, 3), ",
            "F.conv2d(x, k1, padding=(0, 1))",
            ".reshape(12, 2, 3, 1)",
            "F.conv2d(t, k2, padding=(1, 0))",
        ],
    ),
    "shift after the window": (
        "[N,C_in,H] -> [N,C_out,H]\ny[n,o,h] = sum[c:C_in,a:k] x[n,c,(h+a-k//2+1)%H]*w1[o,c,a]",
        ["t = torch.roll(x, -1, 2)", "F.conv1d(t, w1, padding=(1,))"],
    ),
    "linear": (
        "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]",
        ["F.linear(x, w1)"],
    ),
    "low rank": (
        "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in,r:R] x[t,c]*w1[o,r]*w2[c,r]",
        ["F.linear(x, w2.permute(1, 0))", "F.linear(t, w1)"],
    ),
    "projection": (
        "[T, 768] -> [T, (72, 2, 16)]\ny[t,(a,b,c)] = sum[r:384] x[t, b*384+r] * w[a,r,c]",
        ["F.linear(x.reshape(n, 2, 384), "],
    ),
    "grouped pointwise": (
        "y[n,o,h,w] = sum[c:C_in/g] x[n,(o // (C_out/g))*(C_in/g) + c,h,w]*w1[o,c]",
        ["torch.matmul(w1.reshape(4, 3, 2), x.reshape(n, 4, 2, 54))"],
    ),
    "outer": (
        "[N, C, H] -> [N, C*s, H]\ny[n,c,h] = x[n,c//s,h]*w1[c]",
        ["x.reshape(n, 8, 1, 6) * w1.reshape(8, 3, 1)"],
    ),
    "channel pool": (
        "[N, C*s, H, W] -> [N, C, H, W]\ny[n,c,h,w] = sum[a:s] x[n,c*s+a,h,w]",
        ["x[:, ::3] + x[:, 1::3] + x[:, 2::3]"],
    ),
    "block pool": (
        "[N, C, H, W] -> [N, C, H/s, W/s]\ny[n,c,h,w] = sum[a:s,b:s] x[n,c,h*s+a,w*s+b]",
        ["x[:, :, ::3] + x[:, :, 1::3] + x[:, :, 2::3]", "t[:, :, :, ::3] + t[:, :, :, 1::3]"],
    ),
    "window pool": (
        "[N, C, H, W] -> [N, C, H, W]\ny[n,c,h,w] = sum[a:k] x[n,c,h+a-k//2,w]",
        ["t = F.pad(x, (0, 0, 1, 1))", "t[:, :, :6] + t[:, :, 1:7] + t[:, :, 2:8]"],
    ),
    "scale": ("[N, C, H] -> [N, C, H]\ny[n,c,h] = x[n,c,h]*w1[c]", ["x * w1.reshape(8, 1)"]),
    "pixel shuffle": (
        "[N, C*s*s, H, W] -> [N, C, H*s, W*s]\ny[n,c,h,w] = x[n,c*s*s+(h%s)*s+w%s,h//s,w//s]",
        ["x.reshape(n * 8, 3, 3, 6, 9).permute(0, 3, 1, 4, 2).reshape(n, 8, 18, 27)"],
    ),
}


def recognized(op: Operator) -> str:
    """Return the source of the plan with the fewest multiply-adds, before any choice by time."""
    return write_source(build(plan(op, SIZES), None), "torch")


@pytest.mark.parametrize("name", CALLS)
def test_becomes_the_library_call(name: str) -> None:
    formula, calls = CALLS[name]
    source = recognized(syno.parse(formula))
    for call in calls:
        assert call in source
    assert "einsum" not in source


def test_the_numpy_backend_writes_no_torch() -> None:
    for formula, _ in CALLS.values():
        source = lower(syno.parse(formula), SIZES, "numpy").source
        assert "torch" not in source and "F." not in source


def test_a_line_of_source_says_which_stage_it_is() -> None:
    source = recognized(syno.parse(CONV))
    assert "# 1. window h + a - k//2 into (h, a)" in source


def test_windows_on_one_axis_are_not_joined() -> None:
    """Reading outside in the first window gives 0 even where the second comes back inside."""
    op = syno.parse(
        "[N, C, H] -> [N, C, H]\ny[n,c,h] = sum[a:k,b:k] x[n,c,(h+a-k//2)+b-k//2]*w1[c,a,b]"
    )
    source = recognized(op)
    assert "unfold(2, 3, 1)" in source and "conv" in source


def test_no_empty_reshapes() -> None:
    for formula, _ in CALLS.values():
        source = recognized(syno.parse(formula))
        assert ".reshape(n, 8, 6, 9).reshape" not in source
        assert ("n = x.shape[0]" in source) == ("(n" in source)
