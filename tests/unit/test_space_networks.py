"""The specs of networks: what the question of ResNet-18 asks, and what is drawn under it."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from random import Random

import pytest

from syno import parse
from syno.ir.errors import OperatorError, SpecError
from syno.ir.operator import Operator
from syno.ir.verify import verify
from syno.lower.plan import plan
from syno.space.networks import NETWORKS
from syno.space.paths import path_to
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec, small_spec, small_spec_names, spec_names

SPEC = named_spec("resnet18-imagenet")
LEAST, MOST = 145_361_075, 1_513_172_531
SHAPE = "[N, C_in, H, H] -> [N, C_out, H, H]\n"
WINDOWS = "h + a - k_1//2, w + b - k_1//2"
FORMULAS = {
    "8 groups": "sum[c:C_in*s*s/g, a:k_1, b:k_1] "
    f"x[n, (o // (C_out*s*s/g))*(C_in*s*s/g) + c, {WINDOWS}] * w1[o,c,a,b]",
    "pointwise": "sum[c:C_in] x[n, c, h, w] * w1[o,c]",
    "separable": f"sum[c:C_in, a:k_1, b:k_1] x[n, c, {WINDOWS}] * w1[o,c] * w2[c,a,b]",
    "shifted": "sum[c:C_in, a:k_1] x[n, c, (h + a - k_1//2 + 1) % H, w] * w1[o,c,a]",
    "Operator 2": "sum[d:g, c:C_in/g, a:k_1, b:k_1, r:g/(s*s)] "
    "x[n, d*(C_in/g) + c, (h + a - k_1//2 + 1) % H, w + b - k_1//2] "
    "* w1[d,a,o,r] * w2[d*(C_in/g) + c, b, r]",
}
TOO_MANY = f"sum[c:C_in, a:k_1, b:k_1] x[n, c, {WINDOWS}] * w1[o,c,a,b]"


@pytest.fixture(scope="module")
def space() -> SynthesisSpace:
    return SynthesisSpace(SPEC)


def op(formula: str) -> Operator:
    return parse(f"{SHAPE}y[n,o,h,w] = {formula}")


def flops(operator: Operator) -> int:
    """Return the multiply-adds over all sites by the planner itself."""
    pairs = zip(SPEC.occurrences, SPEC.bindings, strict=True)
    return sum(times * plan(operator, binding).flops for times, binding in pairs)


@pytest.mark.parametrize("name", FORMULAS)
def test_what_everybody_knows_is_reached(space: SynthesisSpace, name: str) -> None:
    operator = op(FORMULAS[name])
    assert LEAST <= flops(operator) <= MOST
    moves = path_to(space, operator)
    state = space.root()
    for move in moves:
        state = space.apply(state, move)
    assert state.operator is space.form(operator)


def test_the_convolution_itself_takes_too_many_multiply_adds(space: SynthesisSpace) -> None:
    assert flops(op(TOO_MANY)) == 1_849_688_064
    with pytest.raises(OperatorError):
        path_to(space, op(TOO_MANY))
    free = replace(SPEC, limits=replace(SPEC.limits, flops=None))
    assert path_to(SynthesisSpace(free), op(TOO_MANY))


def test_there_are_nineteen_sites() -> None:
    assert sum(SPEC.occurrences) == 19
    assert len(SPEC.bindings) == 7


def test_rollouts_keep_all_limits(space: SynthesisSpace) -> None:
    rng, found = Random(3), set()
    for _ in range(25):
        passed = space.roll_out(space.root(), rng)
        if passed and passed[-1].operator is not None:
            found.add(passed[-1].operator)
            assert passed[-1].steps <= SPEC.limits.steps
    assert len(found) > 20
    for each in found:
        assert verify(each, SPEC.bindings) == ()
        assert LEAST <= flops(each) <= MOST
        read = {leaf for coord in each.data for leaf in coord.leaves()}
        ranks = [leaf.size for leaf in each.reductions if leaf not in read]
        assert all(SPEC.values(size) == (8,) * 7 for size in ranks)
        for binding, elements in zip(SPEC.bindings, SPEC.input_elements, strict=True):
            terms = 1
            for leaf in each.reductions:
                terms *= leaf.size.evaluate(binding)
            assert terms <= 4 * elements
            entries = each.weight_shapes(binding).values()
            assert all(prod(shape) >= 100 for shape in entries)


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"resnet18-imagenet", "vit-mlp"}))
def test_every_question_of_a_network_is_answered(name: str) -> None:
    space, rng = SynthesisSpace(named_spec(name), by_length=True), Random(0)
    ends = [space.roll_out(space.root(), rng) for _ in range(10)]
    assert sum(bool(passed) and passed[-1].operator is not None for passed in ends) >= 9


def test_by_length_short_operators_come_as_often_as_long_ones() -> None:
    spec, counts = named_spec("convnet"), {}
    for by_length in (False, True):
        space, rng = SynthesisSpace(spec, by_length=by_length), Random(0)
        ends = [space.roll_out(space.root(), rng) for _ in range(150)]
        counts[by_length] = sum(bool(passed) and passed[-1].steps <= 7 for passed in ends)
    assert counts[False] < 20
    assert counts[True] > 40


def test_specs_of_networks_are_not_enumerated() -> None:
    assert set(small_spec_names()) | set(NETWORKS) == set(spec_names())
    assert small_spec("linear").digest() == named_spec("linear").digest()
    with pytest.raises(SpecError, match="too large to be enumerated"):
        small_spec("convnet")


def test_occurrences_are_of_every_binding_or_of_none() -> None:
    with pytest.raises(SpecError, match="say it of each, or of none"):
        replace(SPEC, occurrences=(1, 2))
