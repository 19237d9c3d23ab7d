"""Plans: the cheapest order, reductions summed early, and what a plan says about itself."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import syno
from syno.ir.errors import OperatorError, SizeError
from syno.lower.backends import lower
from syno.lower.plan import plan

SIZES = {
    "N": 1,
    "C_in": 64,
    "C_out": 64,
    "C": 64,
    "H": 28,
    "W": 28,
    "k": 3,
    "g": 8,
    "G": 8,
    "R": 8,
    "s": 2,
    "T": 5,
}
HW = 28 * 28


def test_a_convolution_is_one_stage() -> None:
    op = syno.parse(
        "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, h + a - k//2, w + b - k//2] * w1[o,c,a,b]"
    )
    made = plan(op, SIZES)
    assert len(made.stages) == 1
    assert made.flops == 64 * 64 * 9 * HW
    assert made.parameters == 64 * 64 * 9


def test_depthwise_comes_before_pointwise() -> None:
    op = syno.parse("y[n,o,h,w] = sum[c:C_in,a:k,b:k] x[n,c,h+a-k//2,w+b-k//2]*w1[c,a,b]*w2[o,c]")
    made = plan(op, SIZES)
    assert len(made.stages) == 2
    assert made.flops == 64 * 9 * HW + 64 * 64 * HW


def test_a_rank_is_contracted_from_the_side_of_the_input() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in,r:R] x[t,c]*w1[o,r]*w2[c,r]")
    assert plan(op, SIZES).flops == 5 * 64 * 8 + 5 * 8 * 64


def test_weights_are_multiplied_first_where_that_is_cheaper() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in,r:R] x[t,c]*w1[o,r]*w2[c,r]")
    sizes = {"T": 1000, "C_in": 4, "C_out": 4, "R": 64}
    made = plan(op, sizes)
    assert made.stages[0].product
    assert made.flops == 4 * 4 * 64 + 1000 * 4 * 4


def test_a_window_is_opened_only_for_the_weight_that_needs_it() -> None:
    op = syno.parse(
        "y[n,o,h,w] = sum[c:C_in,a:k,b:k,r:R] x[n,c,h+a-k//2,w+b-k//2]*w1[o,a,r]*w2[c,b,r]"
    )
    made = plan(op, SIZES)
    assert made.flops == 64 * 3 * 8 * HW + 64 * 3 * 8 * HW
    opened = [[view.op for view in stage.views] for stage in made.stages]
    assert opened == [["unfold"], ["unfold"]]


def test_a_pool_is_separated_and_summed_before_the_weight() -> None:
    op = syno.parse("y[n,o,h,w] = sum[c:C_in,a:k,b:k] x[n,c,h+a-k//2,w+b-k//2]*w1[o,c]")
    assert plan(op, SIZES).flops == 2 * 64 * 3 * HW + 64 * 64 * HW


def test_a_plan_reads_like_a_recipe() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]")
    assert str(plan(op, SIZES)) == (
        "1. multiply by w1[o, c]; sum over c [20,480 multiply-adds]\n"
        "total: 20,480 multiply-adds, 4,096 parameters"
    )


def test_symbols_of_other_operators_do_not_matter() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]")
    assert plan(op, SIZES) is plan(op, {name: SIZES[name] for name in ("T", "C_in", "C_out")})


def test_a_size_that_does_not_divide_is_an_error() -> None:
    op = syno.parse(
        "[N, C, H, W] -> [N, C, H/s, W/s]\ny[n,c,h,w] = sum[a:s,b:s] x[n,c,h*s+a,w*s+b]"
    )
    with pytest.raises(SizeError, match="whole number"):
        plan(op, dict(SIZES, s=3))


def test_an_unknown_backend_is_an_error_that_names_the_known() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]")
    with pytest.raises(OperatorError, match=r"numpy, .*torch"):
        lower(op, SIZES, "fortran")


def test_operators_of_a_plan_survive_pickling() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]")
    made = plan(op, SIZES)
    assert pickle.loads(pickle.dumps(made)).flops == made.flops


def test_planning_and_numpy_need_no_torch() -> None:
    code = (
        "import sys, syno\n"
        "from syno.lower.backends import lower\n"
        "from syno.lower import recognize\n"
        "op = syno.parse('[T, C_in] -> [T, C_out]\\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]')\n"
        "lower(op, dict(T=2, C_in=3, C_out=4), 'numpy')\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
