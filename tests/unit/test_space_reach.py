"""Every named operator is reached by the moves of a space, and most are found by chance."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from fitting import FITTING

from syno.ir.errors import OperatorError
from syno.ir.parser import parse
from syno.search.protocol import Setting
from syno.search.random_search import RandomSearch
from syno.space.networks import convolution_spec
from syno.space.paths import path_to
from syno.space.prunes import Taste
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.zoo.named import NAMED, named

RARE = {"paper-operator-1", "paper-operator-2"}  # ten steps and more, among very many others
ASKS = 60
DRAWN = 400


def space_of(name: str) -> SynthesisSpace:
    return SynthesisSpace(FITTING[name].spec(name))


def test_every_named_operator_has_a_question() -> None:
    assert set(FITTING) == set(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_it_is_reached_by_legal_moves(name: str) -> None:
    space, op = space_of(name), named(name)
    state = space.root()
    for move in path_to(space, op):
        assert move in space.moves(state)
        state = space.apply(state, move)
    assert space.result(state) is op
    assert space.trace(op) == path_to(space, op)


@pytest.mark.parametrize("digit", ["c // s", "c % s"])
def test_another_spelling_is_reached_as_its_canonical_form(digit: str) -> None:
    """No prune lets a sum be cut before a weight has seen it; sums over its digits are allowed."""
    spec = convolution_spec([{"C_in": 16, "C_out": 16, "H": 8, "W": 8}])
    space = SynthesisSpace(spec)
    image = "x[n, c, h + a - k//2, w + b - k//2]"
    text = f"sum[c:C_in, a:k, b:k] {image} * w1[o,{digit},b] * w2[c,a]"
    op = parse(f"[N, C_in, H, W] -> [N, C_out, H, W]\ny[n,o,h,w] = {text}")
    state = space.root()
    for move in space.trace(op):
        state = space.apply(state, move)
    assert space.result(state) is space.form(op) is not op
    assert space.trace(space.form(op)) == space.trace(op)


def test_what_is_drawn_is_canonical_and_reached_by_moves() -> None:
    sizes = [{"C_in": 16, "C_out": 16, "H": 8, "W": 8}, {"C_in": 16, "C_out": 32, "H": 8, "W": 8}]
    space, rng = SynthesisSpace(convolution_spec(sizes), by_length=True), Random(0)
    ends = [space.roll_out(space.root(), rng) for _ in range(DRAWN)]
    found = {space.result(each[-1]) for each in ends if each} - {None}
    assert len(found) > DRAWN / 4
    assert [str(op) for op in found if space.form(op) is not op or not space.trace(op)] == []


@pytest.mark.parametrize("name", NAMED)
def test_its_limits_are_tight(name: str) -> None:
    spec = FITTING[name].spec(name)
    tighter = replace(spec, limits=replace(spec.limits, steps=spec.limits.steps - 1))
    with pytest.raises(OperatorError, match="does not allow"):
        path_to(SynthesisSpace(tighter), named(name))


@pytest.mark.parametrize(
    ("name", "prune"), [(name, prune) for name, row in FITTING.items() for prune in row.untasted]
)
def test_a_prune_is_switched_off_only_where_it_has_to_be(name: str, prune: str) -> None:
    spec = FITTING[name].spec(name)
    strict = SynthesisSpace(spec, Taste.without(set(spec.untasted) - {prune}))
    with pytest.raises(OperatorError):
        path_to(strict, named(name))
    assert strict.trace(named(name)) == []


@pytest.mark.parametrize("name", sorted(set(NAMED) - RARE))
def test_it_is_found_by_chance(name: str) -> None:
    strategy = RandomSearch(Setting(space_of(name), lambda _outcome: 0.0, seed=0))
    found = (strategy.ask() for _ in range(ASKS))
    assert named(name) in found


@pytest.mark.parametrize("name", ["convolution", "grouped-convolution", "separable-convolution"])
def test_the_spec_of_a_search_reaches_layers_that_everybody_knows(name: str) -> None:
    sites = [{"C_in": 16, "C_out": 32, "H": 16, "W": 16}, {"C_in": 32, "C_out": 64, "H": 8, "W": 8}]
    assert path_to(SynthesisSpace(convolution_spec(sites)), named(name))


def test_another_shape_is_refused_in_words() -> None:
    with pytest.raises(OperatorError, match="The spec linear asks for other shapes than"):
        path_to(SynthesisSpace(named_spec("linear")), named("convolution"))
    assert SynthesisSpace(named_spec("linear")).trace(named("convolution")) == []


def test_a_size_that_is_not_offered_is_named() -> None:
    spec = replace(FITTING["linear"].spec("linear"), reductions=("T",))
    assert SynthesisSpace(spec).trace(named("linear")) == []


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_found_is_traced_back(seed: int) -> None:
    spec = replace(named_spec("conv1d"), windowed=("H",))
    space = SynthesisSpace(spec)
    strategy = RandomSearch(Setting(space, lambda _outcome: 0.0, seed=seed))
    found = [strategy.ask() for _ in range(15)]
    traced = 0
    for op in found:
        state = space.root()
        for move in space.trace(op):
            assert move in space.moves(state)
            state = space.apply(state, move)
        traced += space.result(state) is op
    assert traced > 10
