"""The choice of a plan: by predicted time, among more plans than the fewest multiply-adds need."""

from __future__ import annotations

import pytest

import syno
from syno.ir.errors import SizeError
from syno.lower.backends import lower, write_source
from syno.lower.build import build
from syno.lower.choice import choose, programs
from syno.lower.machine import this_machine
from syno.lower.plan import plan
from syno.lower.program import Program
from syno.zoo.named import NAMED, NamedOperator

SITE = {"N": 1, "C_in": 128, "C_out": 128, "H": 28, "W": 28, "k": 3, "G": 32, "R": 2, "g": 32}
SITE |= {"s": 2, "C": 128, "T": 196}


def seconds(program: Program) -> float:
    return this_machine().total(program)


@pytest.mark.parametrize("row", NAMED.values(), ids=lambda row: row.name)
def test_nothing_listed_is_predicted_to_be_faster(row: NamedOperator) -> None:
    chosen = choose(row.operator, row.sizes)
    found = list(programs(row.operator, row.sizes, machine=this_machine()))
    assert chosen.seconds == min(each.seconds for each in found[:10])
    assert write_source(chosen.program, "torch") in {
        write_source(each.program, "torch") for each in found[:10]
    }


@pytest.mark.parametrize("name", ["paper-operator-1", "paper-operator-2"])
def test_a_published_operator_beats_its_plan_of_fewest_multiply_adds(name: str) -> None:
    op = NAMED[name].operator
    fewest = build(plan(op, SITE), this_machine().seconds)
    assert choose(op, SITE).seconds < seconds(fewest)


def test_windows_are_opened_after_a_weight_has_read_their_places() -> None:
    op = NAMED["paper-operator-1"].operator
    first = lower(op, SITE, inference=True).source.index("multiply by w2")
    assert "shear" in lower(op, SITE, inference=True).source[first:]
    assert "unfold(" not in lower(op, SITE, inference=True).source


def test_weights_are_multiplied_beforehand_for_inference_alone() -> None:
    """Through a rank that is no smaller than both sides: one matrix is faster than two."""
    op = NAMED["low-rank-linear"].operator
    sizes = {"T": 512, "C_in": 64, "C_out": 64, "R": 512}
    assert lower(op, sizes, inference=True).prepare is not None
    two = {"T": 4, "C_in": 512, "C_out": 512, "R": 16}
    assert lower(op, two).source.count("F.linear") == 2


def test_a_convolution_is_the_library_call_and_nothing_else() -> None:
    source = lower(NAMED["convolution"].operator, SITE, inference=True).source
    assert "return F.conv2d(x, w1, padding=(1, 1))" in source
    assert "prepare" not in source


def test_sizes_that_are_no_whole_numbers_are_an_error() -> None:
    with pytest.raises(SizeError):
        choose(NAMED["grouped-convolution"].operator, {**SITE, "g": 7})


def test_the_choice_is_the_same_every_time() -> None:
    op = syno.parse(NAMED["separable-convolution"].text)
    assert write_source(choose(op, SITE).program, "torch") == write_source(
        choose(op, dict(SITE)).program, "torch"
    )
