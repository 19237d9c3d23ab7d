"""Costs at all places of a network: equal to the planner's, bounded without a search."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from exhaustive import Explored, explore, limited
from hypothesis import HealthCheck, given, settings

import syno
from syno.ir.errors import OperatorError, SizeError
from syno.ir.operator import Operator
from syno.ir.size import ONE, Size, product
from syno.lower.cost import Ahead, Bounds, Costs
from syno.lower.plan import plan
from syno.search.rollout import roll_out
from syno.space.prunes import Taste, is_place
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.space.state import State
from syno.testing.strategies import Case, valid_cases
from syno.zoo.named import NAMED

SITES = [
    {"C_in": 64, "C_out": 64, "H": 56},
    {"C_in": 64, "C_out": 128, "H": 28},
    {"C_in": 128, "C_out": 128, "H": 28},
    {"C_in": 128, "C_out": 256, "H": 14},
    {"C_in": 256, "C_out": 256, "H": 14},
    {"C_in": 256, "C_out": 512, "H": 7},
    {"C_in": 512, "C_out": 512, "H": 7},
]
BINDINGS = [{"N": 1, "k_1": 3, "k_2": 7, "s": 2, "g": 32, **site} for site in SITES]
OCCURRENCES = [4, 2, 3, 2, 3, 2, 3]

CONVOLUTION = """[N, C_in, H, H] -> [N, C_out, H, H]
y[n,o,h,w] = sum[c:C_in, a:k_1, b:k_1] x[n,c,h+a-k_1//2,w+b-k_1//2] * w1[o,c,a,b]"""
SEPARABLE = """[N, C_in, H, H] -> [N, C_out, H, H]
y[n,o,h,w] = sum[c:C_in, a:k_1, b:k_1] x[n,c,h+a-k_1//2,w+b-k_1//2] * w1[c,a,b] * w2[o,c]"""


@pytest.fixture(scope="module")
def network() -> Costs:
    return Costs(BINDINGS, OCCURRENCES)


def by_plans(op: Operator, costs: Costs) -> int:
    plans = (plan(op, binding).flops for binding in costs.bindings)
    return sum(times * each for times, each in zip(costs.occurrences, plans, strict=True))


def check(op: Operator, costs: Costs) -> None:
    exact = costs.flops(op)
    assert exact == by_plans(op, costs), op
    low, high = costs.flops_bounds(op)
    assert low <= exact <= high, op


def test_a_convolution_costs_what_the_network_is_known_to_cost(network: Costs) -> None:
    op = syno.parse(CONVOLUTION)
    assert network.flops(op) == 1_849_688_064
    assert network.flops_bounds(op) == (1_849_688_064, 1_849_688_064)
    assert network.parameters(op) == sum(
        times * 9 * site["C_in"] * site["C_out"]
        for times, site in zip(OCCURRENCES, SITES, strict=True)
    )


def test_the_window_of_multiply_adds_includes_its_ends(network: Costs) -> None:
    op = syno.parse(SEPARABLE)
    exact = network.flops(op)
    assert network.flops_within(op, exact, exact)
    assert not network.flops_within(op, exact + 1, 10 * exact)
    assert not network.flops_within(op, 0, exact - 1)


def test_memory_is_that_of_the_largest_stage() -> None:
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in,r:R] x[t,c]*w1[o,r]*w2[c,r]")
    small = Costs([{"T": 5, "C_in": 64, "C_out": 32, "R": 8}])
    assert small.memory(op) == 5 * 64 + 5 * 8 + 64 * 8 + 32 * 8
    pairs = Costs([{"T": 1000, "C_in": 4, "C_out": 4, "R": 64}])
    assert pairs.memory(op) == 1000 * 4 * 2 + 2 * 4 * 64 + 4 * 4


def test_a_size_that_does_not_divide_is_an_error_as_in_the_plan() -> None:
    op = syno.parse("[H] -> [H/s]\ny[h] = sum[a:s] x[h*s+a]")
    with pytest.raises(SizeError, match="whole number"):
        Costs([{"H": 8, "s": 3}]).flops(op)


def test_occurrences_are_one_for_each_binding() -> None:
    with pytest.raises(ValueError, match="one number"):
        Costs(BINDINGS, [1, 2])


@pytest.mark.parametrize("name", sorted(NAMED))
def test_named_operators_cost_what_their_plans_do(name: str) -> None:
    named = NAMED[name]
    check(named.operator, Costs([named.sizes]))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(valid_cases())
def test_random_operators_cost_what_their_plans_do(case: Case) -> None:
    check(case.op, Costs([case.sizes]))


def test_operators_of_rollouts_cost_what_their_plans_do() -> None:
    space, rng = SynthesisSpace(named_spec("conv2d")), Random(7)
    costs = Costs([{**site, "W": site["H"], "k": 3, "s": 2} for site in SITES])
    found = set()
    while len(found) < 60:
        passed = roll_out(space, space.root(), rng)
        op = space.result(passed[-1]) if passed else None
        if op is not None:
            found.add(op)
    for op in found:
        check(op, costs)


@pytest.mark.parametrize(
    "text",
    [
        "[C_in, H] -> [C_out, H]\ny[o,h] = sum[c:C_in] x[c,h] * w1[o//s,c]",
        "[C_in, H] -> [C_out, H]\ny[o,h] = sum[c:C_in] x[c,h] * w1[(k*o)//s,c] * w2[(k*o)%s,c]",
        "[C_in, H] -> [C_out, H]\ny[o,h] = sum[c:C_in, r:s] x[c,h] * w1[c,r] * w2[o,r]",
        "[C_in, H] -> [C_out, H]\ny[o,h] = sum[c:C_in, a:k] x[c, h+a-k//2] * w1[c,a] * w2[o,a]",
        "[4, 2] -> [2, 2]\ny[o,h] = sum[g:2] x[o*2 + h, g] * w1[o] * w2[h] * w3[g]",
        "[2, 4] -> [2, 2, 3]\ny[o,h,w] = x[(o-1)%2, 2*h + w - 3//2] * w1[o] * w2[h]",
        "[2, 2] -> [4]\ny[o] = sum[g:2] x[o//2 + o%2 - 2//2, g] * w1[o//2] * w2[g]",
    ],
    ids=[
        "a digit is expanded",
        "a weight sees a stride",
        "a rank",
        "a window seen twice",
        "three weights",
        "a stride in a window",
        "digits in a window",
    ],
)
def test_bounds_hold_for_what_is_out_of_the_ordinary(text: str) -> None:
    check(syno.parse(text), Costs([{"C_in": 4, "C_out": 10, "H": 6, "k": 3, "s": 2}]))


def ahead_of(space: SynthesisSpace, state: State, *, knows: str) -> Ahead:
    """Return what spec and taste promise about the steps to come, as far as a caller `knows` it."""
    spec, limits = space.spec, space.spec.limits
    strides = product([Size.symbol(name) ** p for name, p in spec.coefficients.items()])
    strides = strides if limits.strides else ONE
    if knows == "nothing" or not space.taste.has("weight-on-position"):
        return Ahead(growth=strides, outputs_stay=not limits.expands)
    small = tuple(size for size in spec.reduction_sizes if spec.is_small(size))
    unfolds = limits.unfolds - state.count("unfold")
    taste = Ahead(
        places=frozenset(coord for coord in state.coords if is_place(spec, coord)),
        windows=small if unfolds else (),
        growth=strides,
        outputs_stay=not limits.expands,
    )
    if knows == "taste":
        return taste
    widths = zip(*(spec.values(size) or () for size in small), strict=True)
    return replace(
        taste,
        input=spec.input_sizes,
        opened=tuple(max(each) ** unfolds for each in widths),
        merges=state.count("merge") < limits.merges,
        rank=limits.rank,
    )


def truth(space: SynthesisSpace, costs: Costs, found: Explored) -> dict[State, Bounds]:
    """Return the least and the most that any operator below a state costs."""
    below: dict[State, Bounds] = {}
    for layer in reversed(found.layers):
        for state in layer:
            kinds = []
            for move, child in found.children[state]:
                if child is None:
                    op = space.apply(state, move).operator
                    assert op is not None
                    flops, entries = costs.flops(op), costs.parameters(op)
                    kinds.append(Bounds(flops, flops, entries, entries))
                elif child in below:
                    kinds.append(below[child])
            if kinds:
                below[state] = Bounds(
                    min(each.flops_low for each in kinds),
                    max(each.flops_high for each in kinds),
                    min(each.parameters_low for each in kinds),
                    max(each.parameters_high for each in kinds),
                )
    return below


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("linear", {"steps": 5}),
        ("linear", {"steps": 5, "weights": 3}),
        ("linear", {"steps": 6, "rank": 2}),
        ("linear", {"steps": 5, "expands": 1, "strides": 1}),
        ("conv1d", {"steps": 5}),
        ("conv1d", {"steps": 5, "expands": 1, "strides": 1}),
        ("conv2d", {"steps": 5}),
        ("pool1d", {"steps": 5}),
        ("image", {"steps": 4}),
    ],
)
def test_bounds_hold_for_every_completion(name: str, limits: dict[str, int]) -> None:
    space = SynthesisSpace(limited(name, **limits))
    bounds_hold(space, "nothing", "taste", "all")


def test_bounds_hold_whatever_the_taste_and_the_spelling() -> None:
    spec = limited("conv1d", steps=4)
    bounds_hold(SynthesisSpace(spec, Taste(())), "nothing")
    bounds_hold(SynthesisSpace(spec, rules=()), "all")


def bounds_hold(space: SynthesisSpace, *callers: str) -> None:
    limits = space.spec.limits
    costs = Costs(space.spec.bindings, range(1, len(space.spec.bindings) + 1))
    found = explore(space)
    for op in found.operators:
        check(op, costs)
    for state, exact in truth(space, costs, found).items():
        for knows in callers:
            bounds = costs.partial(
                sorted(state.coords, key=str),
                sorted(state.weights, key=str),
                reductions=space.spec.reduction_sizes,
                left=limits.reductions - state.count("reduce"),
                weights_left=limits.weights - state.count("contract"),
                ahead=ahead_of(space, state, knows=knows),
            )
            assert bounds.flops_low <= exact.flops_low, (state, knows)
            assert bounds.flops_high >= exact.flops_high, (state, knows)
            assert bounds.parameters_low <= exact.parameters_low, (state, knows)
            assert bounds.parameters_high >= exact.parameters_high, (state, knows)


def test_without_a_plan_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs([{"T": 2, "C_in": 3, "C_out": 4}])
    monkeypatch.setattr("syno.lower.orders.Orders.is_goal", lambda *_: False)
    with pytest.raises(OperatorError, match="No plan"):
        costs.flops(syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]"))
