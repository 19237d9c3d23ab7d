"""Against exhaustive search: the distance never exceeds the truth, and guidance loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from exhaustive import explore, limited, overestimates

from syno.search.rollout import roll_out
from syno.space.distance import INFINITE, Budget, Distance
from syno.space.networks import convolution_spec
from syno.space.prunes import PRUNES, Taste
from syno.space.space import SynthesisSpace
from syno.space.spec import Limits, Spec
from syno.space.specs import named_spec

EVERYTHING = tuple(prune.name for prune in PRUNES)
_BOUND = ({"H": 12, "s": 2, "k": 3, "C": 6},)
_JOINT = ({"A": 9, "B": 4, "s": 6},)


def small(shapes: str, limits: Limits, **more: object) -> Spec:
    """Return a spec of `input -> output` over H=12, C=6, s=2, k=3."""
    inside, outside = (tuple(each.split()) for each in shapes.split("->"))
    given: dict[str, object] = {"coefficients": {"k": 1, "s": 1}, "bindings": _BOUND, **more}
    return Spec(shapes, inside, outside, limits=limits, **given)  # type: ignore[arg-type]


def of(**limits: int) -> Limits:
    return Limits(**{"steps": 3, "weights": 1, "reductions": 2, **limits})


CASES: dict[str, tuple[Spec, tuple[str, ...]]] = {
    "pool1d": (limited("pool1d", steps=4), ()),
    "pool1d, dropping": (limited("pool1d", steps=3, strides=1, expands=1), EVERYTHING),
    "image": (limited("image", steps=4), ()),
    "image, no taste": (limited("image", steps=3), EVERYTHING),
    "image, strides and expands": (limited("image", steps=4, strides=1, expands=1), ()),
    "linear": (limited("linear", steps=4), ()),
    "linear, no taste": (limited("linear", steps=3), EVERYTHING),
    "linear, expands": (limited("linear", steps=4, expands=1), ()),
    "conv1d": (limited("conv1d", steps=3), ()),
    "conv1d, four steps": (limited("conv1d", steps=4), ()),
    "conv1d, no taste": (limited("conv1d", steps=3), EVERYTHING),
    "two equal places": (small("H H -> H H", of(steps=4)), ()),
    "two equal places, no taste": (small("H H -> H H", of()), EVERYTHING),
    "two windows": (small("H H -> H H", of(steps=5, shifts=0), windowed=("H",)), ()),
    "places dropped": (small("H -> H H", of(expands=1)), ()),
    "places summed": (small("H H -> H", of()), ()),
    "a dilated window": (
        small("H -> H", of(steps=4, strides=1), windowed=("H",)),
        ("even-window",),
    ),
    "a place strided to another": (small("H s*H -> H C", of(strides=1)), ("output-scale",)),
    "nothing dropped": (small("H -> H", of(steps=4, outer=0)), ()),
    "a strided place": (small("H s*H -> H H", of(strides=1)), EVERYTHING),
    "a channel dropped": (small("H -> C H", of(expands=1)), ()),
    "a channel dropped, no taste": (small("H -> C H", of(expands=1)), EVERYTHING),
    "folded": (small("H/s s -> H", of(expands=1)), EVERYTHING),
    "a window for a second weight": (
        small(
            "A H -> C D H",
            of(steps=6, weights=2, reductions=3, unfolds=1, splits=0, merges=0, shifts=0, outer=2),
            bindings=({"A": 4, "C": 6, "D": 10, "H": 7, "k": 3},),
            coefficients={"k": 1},
            reductions=("A", "k"),
        ),
        (),
    ),
    "joined and cut": (
        small("A*B/s s -> A B", of(steps=4, reductions=1), bindings=_JOINT, coefficients={"s": 1}),
        EVERYTHING,
    ),
    "more outputs than a weight drops": (
        small("C -> A B C", of(steps=4, outer=1), bindings=({"A": 2, "B": 3, "C": 5, "s": 2},)),
        EVERYTHING,
    ),
}


def spaces(name: str, **switches: bool) -> tuple[SynthesisSpace, SynthesisSpace]:
    """Return the space unguided and guided."""
    spec, off = CASES[name]
    untasted = (*spec.untasted, *off)
    free, guided = (
        SynthesisSpace(spec, Taste.without(untasted), guided=guided, **switches)
        for guided in (False, True)
    )
    return free, guided


def check(name: str, **switches: bool) -> None:
    free, guided = spaces(name, **switches)
    truth = explore(free)
    assert overestimates(truth, guided) == []
    found = explore(guided)
    assert set(found.operators) == set(truth.operators)
    assert len(found.children) < len(truth.children)


@pytest.mark.parametrize("name", CASES)
def test_the_distance_is_a_lower_bound_and_loses_nothing(name: str) -> None:
    check(name)


@pytest.mark.parametrize("name", ["pool1d, dropping", "image, no taste", "two equal places"])
def test_it_is_a_lower_bound_without_exact_rules(name: str) -> None:
    check(name, rules=())


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in CASES if name != "conv1d, four steps"])
def test_it_is_a_lower_bound_one_step_deeper(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, off = CASES[name]
    monkeypatch.setitem(CASES, name, (limited(spec, steps=spec.limits.steps + 1), off))
    check(name)


@pytest.mark.parametrize("name", ["image", "linear", "conv1d, four steps"])
def test_it_is_the_truth_nearly_always(name: str) -> None:
    free, guided = spaces(name)
    truth = explore(free)
    steps = truth.remaining()
    limit = guided.spec.limits.steps
    exact = [
        limit - child.steps - guided.spare(state, move) == steps[child]
        for state, children in truth.children.items()
        for move, child in children
        if child is not None and child.steps + steps[child] <= limit
    ]
    assert sum(exact) > 0.9 * len(exact)


def longer_by_one(distance: Distance) -> Callable[..., int]:
    return lambda coords, budget: distance(coords, budget) + 1


def test_a_distance_that_is_too_long_is_found_out() -> None:
    free, guided = spaces("linear")
    guided.distance = longer_by_one(guided.distance)  # type: ignore[assignment]
    truth = explore(free)
    assert overestimates(truth, guided)
    assert set(explore(guided).operators) < set(truth.operators)


def line(**limits: int) -> Distance:
    return Distance(limited("conv1d", **limits))


def steps(distance: Distance, *sizes: str, **budget: int) -> int:
    from syno.ir.size import Size

    left = {"merges": 1, "weights": 1, "unfolds": 1, "reductions": 1, "splits": 1, **budget}
    coords = [(Size.parse(each.strip("?")).packed, each.endswith("?")) for each in sizes]
    return distance(coords, Budget(**left))


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        (("C_in", "H"), 0),
        (("C_in/s", "s", "H"), 1),  # split
        (("C_in", "H", "k"), 1),  # a window
        (("H",), 1),  # a sum over channels
        (("C_in", "C_out", "H"), 1),  # a weight that keeps C_out
        (("C_in*s", "H"), 2),  # drop it, and sum anew
        (("C_in/s", "H"), 2),  # a sum, then split
    ],
)
def test_distances_by_hand(sizes: tuple[str, ...], wanted: int) -> None:
    assert steps(line(), *sizes) == wanted


def test_budgets_bound_the_distance() -> None:
    distance = line()
    assert steps(distance, "C_in", "C_out", "H", weights=0) == INFINITE
    assert steps(distance, "C_in*s", "H", merges=0, weights=0) == INFINITE
    # one weight to tie a sum, another to keep it
    assert steps(distance, "C_in", "H", "C_out?", weights=2) == 2
    assert steps(distance, "C_in", "H", "C_out?", weights=1, merges=0) == INFINITE


def test_places_are_apart_only_where_nothing_moves_them() -> None:
    spec = named_spec("image")
    assert SynthesisSpace(spec)._apart
    assert SynthesisSpace(limited(spec, strides=1))._apart
    for off in ("cut-position", "window-over-channels", "window-of-output"):
        assert not SynthesisSpace(spec, Taste.without([*spec.untasted, off]))._apart
    assert not SynthesisSpace(limited(spec, expands=1))._apart
    assert not SynthesisSpace(small("H s*H -> H C", of(strides=1)))._apart


def test_few_walks_die_in_the_space_of_a_network() -> None:
    """Reductions are counted: a walk does not spend them all before the windows have theirs."""
    sizes = [(16, 16, 32), (16, 32, 16), (32, 32, 16), (32, 64, 8), (64, 64, 8)]
    bindings = [{"C_in": i, "C_out": o, "H": h, "W": h} for i, o, h in sizes]
    space, rng = SynthesisSpace(convolution_spec(bindings)), Random(7)
    ends = [roll_out(space, space.root(), rng)[-1].operator for _ in range(150)]
    assert sum(op is not None for op in ends) >= 0.93 * len(ends)
