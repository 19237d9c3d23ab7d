"""From an operator back to primitives: an order in which each coordinate is consumed once."""

from __future__ import annotations

import pytest

import syno
from syno.ir.errors import OperatorError
from syno.ir.steps import Step, steps
from syno.zoo.named import NAMED


def primitives(text: str) -> list[str]:
    return [step.primitive for step in steps(syno.parse(text))]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("convolution", {"reduce": 3, "contract": 1, "unfold": 2}),
        ("grouped-convolution", {"reduce": 3, "merge": 1, "contract": 1, "unfold": 2, "split": 1}),
        ("pointwise-convolution", {"reduce": 1, "contract": 1}),
        ("dilated-convolution", {"reduce": 3, "contract": 1, "stride": 2, "unfold": 2}),
        ("average-pooling", {"reduce": 2, "split": 2}),
        ("pixel-shuffle", {"merge": 2, "split": 2}),
        ("shifted-convolution-1d", {"reduce": 2, "contract": 1, "unfold": 1, "shift": 1}),
        ("low-rank-linear", {"reduce": 2, "contract": 2}),
        ("paper-operator-2", {"reduce": 5, "contract": 2, "unfold": 2, "shift": 1, "split": 1}),
        ("gpt2-projection", {"reduce": 1, "merge": 2, "contract": 1, "split": 1}),
    ],
)
def test_named_operators_take_the_steps_one_counts_by_hand(
    name: str, wanted: dict[str, int]
) -> None:
    found = [step.primitive for step in steps(NAMED[name].operator)]
    assert {each: found.count(each) for each in found} == wanted


def test_a_contraction_says_what_stays_with_the_data() -> None:
    op = NAMED["low-rank-linear"].operator
    contractions = [step for step in steps(op) if step.primitive == "contract"]
    t, o = op.outputs
    c, r = op.reductions
    assert [step.weight for step in contractions] == [0, 1]
    assert contractions[0].consumes == (o, r) and contractions[0].yields == (r,)
    assert contractions[1].consumes == (c, r) and contractions[1].yields == (c,)
    assert t not in {each for step in contractions for each in step.consumes}


def test_a_weight_on_the_whole_waits_for_nothing_and_sees_the_parts() -> None:
    op = NAMED["grouped-convolution"].operator
    contraction = next(step for step in steps(op) if step.primitive == "contract")
    assert [each.op for each in contraction.consumes[:2]] == ["quotient", "remainder"]


def test_what_a_weight_saw_in_parts_is_split_again_for_the_data() -> None:
    text = "[H] -> [H]\ny[h] = sum[r:R] x[h] * w1[h // s,r] * w2[h % s,r]"
    assert primitives(text).count("split") == 1
    assert primitives(text).count("merge") == 1


def test_what_nothing_reads_is_expanded_at_the_end() -> None:
    assert primitives("[H] -> [H, W]\ny[h,w] = x[h]") == ["expand"]
    assert primitives("[H] -> [H*s]\ny[h] = x[h // s]") == ["merge", "expand"]


def test_an_operator_that_only_renames_takes_no_steps() -> None:
    assert steps(syno.parse("[N, H] -> [H, N]\ny[h,n] = x[n,h]")) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y[h] = x[h, h]", "read in two places of x"),
        ("y[h] = x[h // s, h]", "read in two places of x"),
        ("y[h] = x[h % s, h % s]", "read in two places of x"),
        ("y[h] = x[(h + 1) % H, h]", "read in two places of x"),
        ("y[h,w] = x[h*W + w, (w + 1) % W]", "read in two places of x"),
        ("y[h] = sum[a:k] x[h + a - k//2, a]", "read in two places of x"),
        ("y[h,w:H] = sum[a:k] x[h + a - k//2, w + a - k//2]", "read in two places of x"),
        ("y[h:24] = x[h // 2, h % 4]", "read in two places of x"),
        ("y[h] = sum[a:k] x[h + a - k//2] * w1[h, h + a - k//2]", "No order of steps"),
    ],
)
def test_what_no_steps_build_is_refused(text: str, says: str) -> None:
    with pytest.raises(OperatorError, match=says):
        syno.parse(text)


def test_steps_are_values() -> None:
    op = NAMED["linear"].operator
    assert steps(op) is steps(op)
    assert Step("expand", op.outputs, ()) == Step("expand", op.outputs, ())
