"""One operator explained: every fact is there, true, and asked for where it is missing."""

from __future__ import annotations

import json
import sys
from math import prod

import numpy as np
import pytest

import syno
from syno.ir.errors import ParseError, SizeError, SynoError
from syno.ir.semantics import reference
from syno.lower import backends
from syno.lower.plan import plan
from syno.report.explain import explain
from syno.report.loops import loop_nest
from syno.zoo.named import NAMED, NamedOperator

CONVOLUTION = "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n,c,h+a-k//2,w+b-k//2] * w1[o,c,a,b]"
SIZES = {"N": 1, "C_in": 4, "C_out": 6, "H": 5, "W": 5, "k": 3}
STRIDED = "[H] -> [H/s]\ny[h] = sum[a:k] x[s*h + a - k//2] * w1[a]"

named = pytest.mark.parametrize("row", NAMED.values(), ids=list(NAMED))


class Exact(int):
    """A size: `/` divides without a rest, as in the loop nest."""

    def __truediv__(self, other: int) -> Exact:  # type: ignore[override]
        assert self % other == 0
        return Exact(self // other)

    def __mul__(self, other: int) -> Exact:
        return Exact(int(self) * int(other))


@named
def test_the_loop_nest_computes_the_operator(row: NamedOperator) -> None:
    op, sizes = row.operator, {name: min(value, 4) for name, value in row.sizes.items()}
    if row.name == "gpt2-projection":
        op = syno.parse("[T, 12] -> [T, (3, 2, 4)]\ny[t,(a,b,c)] = sum[r:6] x[t,b*6+r] * w[a,r,c]")
    random = np.random.default_rng(0)
    x = random.standard_normal(op.input_shape(sizes))
    shapes = op.weight_shapes(sizes).items()
    weights = {name: random.standard_normal(shape) for name, shape in shapes}
    y = np.full(op.output_shape(sizes), np.nan)
    exact = {name: Exact(value) for name, value in sizes.items()}
    exec(loop_nest(op), exact | {"x": x, "y": y} | weights)  # noqa: S102 -- our own text
    np.testing.assert_allclose(y, reference(op, sizes, x, weights), atol=1e-12)


def test_a_shift_above_a_window_sees_only_what_is_inside() -> None:
    op = syno.parse("[H] -> [H]\ny[h] = sum[a:k] x[(h + a - k//2 + 1) % H] * w1[a]")
    text = loop_nest(op)
    assert "p1 = h + a - k//2\n" in text
    assert "if 0 <= p1 < H:" in text
    assert "x[(p1 + 1) % H]" in text


@named
def test_named_operators_are_valid_and_fully_explained(row: NamedOperator) -> None:
    found = explain(row.text, dict(row.sizes))
    made = plan(row.operator, row.sizes)
    assert found["valid"] is True
    assert found["problems"] == []
    assert found["sections"]["Check"] == "valid"
    assert found["formula"] == str(row.operator)
    assert (found["flops"], found["parameters"]) == (made.flops, made.parameters)
    assert found["plan"] == str(backends.program_of(row.operator, row.sizes, "torch").plan)
    assert tuple(found["code"]) == backends.writers()
    assert len(found["coordinates"]) == len(row.operator.input)
    assert json.loads(json.dumps(found)) == found


def test_sections_stand_in_the_order_of_reading() -> None:
    titles = list(explain(CONVOLUTION, SIZES)["sections"])
    head = ["Formula", "Check", "Coordinates", "Steps", "Loop nest", "Sizes"]
    code = [f"Code: {name}" for name in backends.writers()]
    assert titles == [*head, "Plan", "Cost", "Weights", *code]


def test_costs_are_told_in_multiply_adds() -> None:
    found = explain(CONVOLUTION, SIZES)
    count = prod((4, 6, 5, 5, 3, 3))
    assert f"{count:,} multiply-adds" in found["sections"]["Cost"]
    assert "216 parameters" in found["sections"]["Cost"]
    assert found["sections"]["Weights"] == "w1: 6x4x3x3 = 216"
    assert found["weights"] == {"w1": [6, 4, 3, 3]}


def test_coordinates_say_what_they_are_made_of() -> None:
    lines = explain(CONVOLUTION, {})["sections"]["Coordinates"].splitlines()
    assert len(lines) == 5
    assert "h + a - k//2" in lines[2]
    assert "size H" in lines[2]
    assert "made of output h, summed a; a read outside gives 0" in lines[2]
    assert lines[4] == "o of size C_out: an output that x is not read with, only w1"


def test_steps_are_those_of_the_builder() -> None:
    steps = explain(CONVOLUTION, {})["steps"]
    assert steps[0] == "reduce: sum over c : C_in"
    assert "share: weight w1 over o : C_out, c : C_in, a : k, b : k; it alone keeps o" in steps[3]
    assert "unfold: h : H, a : k  ->  h + a - k//2 : H" in steps


def test_without_sizes_one_sentence_says_how_to_give_them() -> None:
    found = explain(CONVOLUTION, {})
    assert found["missing"] == ["C_in", "C_out", "H", "N", "W", "k"]
    assert "-s C_in=64 -s C_out=64 -s H=32 -s N=1 -s W=32 -s k=3" in found["sections"]["Sizes"]
    assert "\n" not in found["sections"]["Sizes"]
    assert "plan" not in found
    assert "Plan" not in found["sections"]


def test_a_partial_binding_names_what_is_missing() -> None:
    found = explain(CONVOLUTION, {"C_in": 4, "k": 3, "Cout": 8})
    assert found["missing"] == ["C_out", "H", "N", "W"]
    assert found["unused"] == ["Cout"]
    text = found["sections"]["Sizes"]
    assert "numbers for C_out, H, N, W (given: C_in=4, k=3)" in text
    assert "Not in the formula: Cout" in text
    assert "plan" not in found


def test_an_invalid_operator_is_explained_with_its_problems() -> None:
    found = explain("y[n,o,h,w] = sum[c:C_in] x[n,c,h,w] * w1[o] * w2[o,c]", {})
    assert found["valid"] is False
    assert [each["check"] for each in found["problems"]] == ["absorbed"]
    assert found["sections"]["Check"].startswith("not valid:\n- absorbed: w2 absorbs w1")


def test_numbers_that_do_not_fit_are_a_problem_and_there_is_no_plan() -> None:
    found = explain("y[h] = x[h] * w1[h // s]", {"H": 7, "s": 2})
    assert found["valid"] is False
    assert "7/2" in found["sections"]["Check"]
    assert "plan" not in found
    assert "No plan" in found["sections"]["Sizes"]


def test_what_hangs_on_numbers_is_not_called_wrong_without_them() -> None:
    found = explain(STRIDED, {})
    assert found["valid"] is True
    assert found["sections"]["Check"] == "valid; numbers for its sizes may still not fit"
    assert explain(STRIDED, {"H": 8, "k": 3, "s": 2})["valid"] is True
    assert explain(STRIDED, {"H": 12, "k": 3, "s": 4})["valid"] is False


@pytest.mark.parametrize(
    ("formula", "sizes", "kind"),
    [
        ("y[h] = x[h", {}, ParseError),
        ("y[h,w] = x[h,h]", {}, SynoError),
        ("y[h] = x[h] * w1[h]", {"H": 0}, SizeError),
    ],
)
def test_errors_are_one_paragraph(
    formula: str, sizes: dict[str, int], kind: type[SynoError]
) -> None:
    with pytest.raises(kind) as caught:
        explain(formula, sizes)
    assert "\n\n" not in str(caught.value)


def test_a_backend_that_is_not_installed_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    row = backends.Backend(
        "absent", "syno.no_such_backend", "none", writes=True, packages=("absent_1",)
    )
    monkeypatch.setitem(backends.BACKENDS, "absent", row)
    found = explain(CONVOLUTION, SIZES)
    assert "absent" not in found["code"]
    assert found["sections"]["Code: absent"].startswith("not available here")


def test_explaining_in_symbols_needs_no_torch() -> None:
    import subprocess

    code = f"""
import sys
from syno.report.explain import explain
explain({CONVOLUTION!r}, {{}})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
