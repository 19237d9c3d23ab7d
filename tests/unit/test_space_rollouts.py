"""Rollouts lose nothing: all that exhaustive enumeration reaches can be drawn, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest
from drawable import Drawable, Way
from exhaustive import classes, explore, limited

from syno.ir.operator import Operator
from syno.space.abstract import CHANNELS, DONE, SUM, WHOLE, Abstract
from syno.space.changes import Changes, _arrangements
from syno.space.completions import Completions
from syno.space.enumerate import enumerate_operators
from syno.space.order import Order
from syno.space.prunes import PRUNES
from syno.space.space import SynthesisSpace
from syno.space.spec import Limits, Spec
from syno.space.state import State

_ONE = {"A": 4, "B": 6, "C": 10, "D": 4, "H": 8, "W": 10, "k": 3, "s": 2}
_PARTS = ("A", "A/s", "s", "k")


def small(shapes: str, sums: str, cuts: str = "", **more: object) -> Spec:
    """Return a spec of `input -> output` with few sizes; what is no field of it is a limit."""
    inside, outside = (tuple(each.split()) for each in shapes.split("->"))
    given: dict[str, object] = {"coefficients": {"k": 1, "s": 1}, "bindings": (_ONE,)}
    fields = {
        name: more.pop(name)
        for name in ("fixed", "windowed", "bindings", "occurrences")
        if name in more
    }
    limits = Limits(**{"steps": 5, "shifts": 0, **more})  # type: ignore[arg-type]
    sizes = {"reductions": tuple(sums.split()), "blocks": tuple(cuts.split())}
    given |= {"untasted": ("wide-window",), **sizes, **fields}
    return Spec(shapes, inside, outside, limits=limits, **given)  # type: ignore[arg-type]


def off(spec: Spec, *prunes: str) -> Spec:
    return replace(spec, untasted=(*spec.untasted, *prunes))


PLAIN = small("A H -> C H", " ".join(_PARTS), "s")
NO_PLACE = {"unfolds": 0}
ONLY_SUMS = {"splits": 0, "merges": 0, "reductions": 3}
TWO_WINDOWS = small("A H W -> C D H W", "A k", steps=7, outer=1, **ONLY_SUMS)
TWO_ON_ONE = small("A H -> C D H", "A k", steps=7, **ONLY_SUMS)
EQUAL_PLACES = small("A H H -> C H H", "A k", "s", steps=6, shifts=1)
RANKS = small("A H -> C H", "A k s", steps=7, **ONLY_SUMS)

CASES: dict[str, Spec] = {
    "linear": limited("linear", steps=4),
    "conv1d": limited("conv1d", steps=5),
    "conv2d": limited("conv2d", steps=4),
    "image": limited("image", steps=7),
    "two channels read": small("A B H -> C H", "A B A/s s", "s"),
    "two channels read and made": small("A B H -> C D H", "A B s", "s", steps=4, **NO_PLACE),
    "two channels made": small("A H -> C D H", "A s", "s", steps=5),
    "one channel twice": small("A A H -> C H", "A s", "s", **NO_PLACE),
    "the same channel": off(
        small("A H -> A H", "A s k", "s"), "output-scale", "contraction-without-outer"
    ),
    "a channel of places": small("H H -> C H", "H k"),
    "a channel of places, between": small("W H W -> C H W", "W k", shifts=1, steps=4),
    "channels of places, which need windows": small("H H -> C H", "H k", windowed=("H",)),
    "places change their order": small("H A W -> W C H", "A k", shifts=1, windowed=("H",)),
    "places swapped": off(EQUAL_PLACES, "swapped-places"),
    "a small channel": small("k A H -> C H", "A k", "s"),
    "channels joined": off(small("A s H -> A*s H", "A s", "s", steps=4), "output-scale"),
    "channels cut": off(small("A*s H -> A s H", "A s", "s", steps=4), "output-scale"),
    "a batch": small(
        "N H A -> N H C", "A k", steps=4, shifts=1, fixed=("N",), bindings=({**_ONE, "N": 2},)
    ),
    "two equal places": EQUAL_PLACES,
    "two windows": TWO_WINDOWS,
    "two windows, wanted": replace(TWO_WINDOWS, windowed=("H", "W")),
    "two windows on one place": TWO_ON_ONE,
    "merges=2": small("A H -> C H", "A A/s s", "s", merges=2, **NO_PLACE),
    "merges=2, six steps": small("A H -> C H", "A s", "s", merges=2, steps=6, **NO_PLACE),
    "outer=0": off(
        small("A H -> A H", "A s k", "s", outer=0), "output-scale", "contraction-without-outer"
    ),
    "outer=1": small("A H -> C H", "A s", "s", outer=1, steps=6, **NO_PLACE),
    "outer=3": small("A H -> C D H", "A A/s s", outer=3, merges=0, **NO_PLACE),
    "weights=1": limited(PLAIN, weights=1),
    "weights=3": small("A H -> C H", "A s", weights=3, steps=6, merges=0, splits=1, **NO_PLACE),
    "weights=3, merges": small("A H -> C H", "A s", "s", weights=3, **NO_PLACE),
    "rank": small("A H -> C H", "A A/s s", "s", rank=2, **NO_PLACE),
    "rank, two places": small(
        "A H W -> C H W", "A k s", steps=8, rank=2, windowed=("H", "W"), splits=0, merges=0
    ),
    "domain": limited(PLAIN, domain=1),
    **{
        f"without {prune.name}": off(PLAIN, prune.name)
        for prune in PRUNES
        if SynthesisSpace(off(PLAIN, prune.name)).rollouts is not None
    },
    "sums without a weight, equal places": off(
        limited(EQUAL_PLACES, reductions=3, merges=0, splits=0), "unweighted-sum"
    ),
}

DEEPER: dict[str, Spec] = {
    "linear": limited("linear", steps=6),
    "conv1d": limited("conv1d", steps=6),
    "conv2d": limited("conv2d", steps=5),
    "outer=3": small("A H -> C D H", "A A/s s k", "s", outer=3, **NO_PLACE),
    "outer=1": small("A H -> C H", "A A/s s k", "s", outer=1, steps=6, **NO_PLACE),
    "two channels read and made": small("A B H -> C D H", "A B s", "s", steps=6, **NO_PLACE),
    "three windows": small("A H W -> C D H W", "A k", steps=9, unfolds=3, splits=0, merges=0),
    "two windows": replace(limited(TWO_WINDOWS, outer=2, reductions=4), windowed=("H", "W")),
}


_TRUTHS: dict[str, tuple[Operator, ...]] = {}


def truth(spec: Spec) -> tuple[Operator, ...]:
    """Return all operators of the space of `spec`, without guidance."""
    found = _TRUTHS.get(spec.digest())
    if found is None:
        free = SynthesisSpace(spec, guided=False)
        found = _TRUTHS[spec.digest()] = tuple(enumerate_operators(free))
    return found


def difference(
    wanted: set[Operator], drawn: set[Operator], spec: Spec
) -> tuple[list[str], list[str]]:
    """Return (lost, gained): one operator of each class that only one of the sets has."""
    if wanted == drawn:
        return [], []
    named = [classes(each, spec.bindings) for each in (wanted, drawn)]
    lost = [str(ops[0]) for each, ops in named[0].items() if each not in named[1]]
    gained = [str(ops[0]) for each, ops in named[1].items() if each not in named[0]]
    return lost, gained


def check(spec: Spec) -> None:
    space = SynthesisSpace(spec)
    drawn = Drawable(space)(space.root())
    assert difference(set(truth(spec)), drawn, spec) == ([], [])


@pytest.mark.parametrize("name", CASES)
def test_everything_can_be_drawn_and_nothing_else(name: str) -> None:
    check(CASES[name])


@pytest.mark.nightly
@pytest.mark.parametrize("name", DEEPER)
def test_everything_can_be_drawn_in_larger_spaces(name: str) -> None:
    check(DEEPER[name])


def test_nearly_all_cases_have_operators() -> None:
    assert [name for name, spec in CASES.items() if not truth(spec)] == [
        "channels of places, which need windows"
    ]


def rare(spec: Spec, draws: int) -> set[Operator]:
    space, rng = SynthesisSpace(spec), Random(5)
    found = set()
    for _ in range(draws):
        passed = space.roll_out(space.root(), rng)
        if passed and passed[-1].operator is not None:
            found.add(passed[-1].operator)
    return found


@pytest.mark.parametrize(
    ("spec", "draws"),
    [
        (limited("linear", steps=4), 500),
        (limited("conv1d", steps=4), 800),
        (limited("image", steps=5), 800),
        (EQUAL_PLACES, 4000),
    ],
    ids=["linear", "conv1d", "image", "two equal places"],
)
def test_random_draws_find_everything_soon(spec: Spec, draws: int) -> None:
    """What is systematic above is not all that random decisions can be."""
    assert difference(set(truth(spec)), rare(spec, draws), spec) == ([], [])


# --------------------------------------------------------------------------------- multiply-adds

COSTLY: dict[str, Spec] = {
    "linear": limited("linear", steps=4),
    "conv1d": limited("conv1d", steps=4),
    "image": limited("image", steps=5),
    "two equal places": EQUAL_PLACES,
    "two windows": TWO_WINDOWS,
    "two windows on one place": TWO_ON_ONE,
    "ranks": RANKS,
    "a rank": limited(RANKS, rank=2),
    "merges": small("A H -> C D H", "A s", "s", **NO_PLACE),
    "cut sums": small("A H -> C H", "A A/s s", "s", **NO_PLACE),
    "occurrences": small(
        "A H -> C H", "A k s", "s", bindings=(_ONE, {**_ONE, "A": 10, "C": 4}), occurrences=(3, 1)
    ),
}


CUT = ("merges", "cut sums")  # where a sum that was cut may be spelled as two, which cost less


@pytest.mark.parametrize("name", COSTLY)
def test_windows_of_multiply_adds_lose_nothing(name: str) -> None:
    spec = COSTLY[name]
    costs = SynthesisSpace(spec).costs
    flops = {op: costs.flops(op) for op in truth(spec)}
    values = sorted(set(flops.values()))
    count = len(values)
    halves = [(values[0], values[count // 2]), (values[count // 4], values[3 * count // 4])]
    single = [(value, value) for value in values[:: max(1, count // 6)]]
    for low, high in [*halves, (values[count // 2], values[-1]), *single]:
        space = SynthesisSpace(limited(spec, flops=(low, high)))
        wanted = {op for op, cost in flops.items() if low <= cost <= high}
        drawn = Drawable(space)(space.root())
        assert difference(wanted, drawn, spec)[0] == [], (low, high)
        # an operator may be drawn in a spelling that the space does not have, and that costs more
        assert difference(set(flops), drawn | set(flops), spec) == ([], []), (low, high)
        assert name in CUT or drawn == wanted


def placed(way: Way) -> tuple[Abstract, list[int]]:
    """Return the state in which the channels were chosen, and the places of its windows."""
    chosen = next(at for at in way.back() if at.change and at.change.primitive == "channels")
    assert chosen.before is not None and chosen.change is not None
    now = chosen.before.now
    return now, [n for n in range(len(now.coords)) if n not in chosen.change.operands]


def costed(drawable: Drawable) -> Iterator[tuple[Way, Operator, int]]:
    """Yield every way from the root with its operator and the multiply-adds of that."""
    space = drawable.space
    for way in drawable.ends(space.root()):
        op = way.maker.state.operator
        assert op is not None
        yield way, op, space.costs.flops(op)


def cuts_a_sum(way: Way) -> bool:
    pieces = [p for each in way.back() for coord in each.now.coords for p in coord[1]]
    return any(piece.kind == SUM and piece.part != WHOLE for piece in pieces)


@pytest.mark.parametrize("name", COSTLY)
def test_multiply_adds_of_abstract_states_are_those_of_the_operators(name: str) -> None:
    drawable = Drawable(SynthesisSpace(COSTLY[name]))
    counted = drawable.changes.operations
    for way, op, flops in costed(drawable):
        now, windows = placed(way)
        ways = [None, *_arrangements([now.coords[place] for place in windows])]
        exact = [counted.exact(now, windows, each) for each in ways]
        if cuts_a_sum(way):
            assert all(flops <= high for _, high in exact), str(op)
            continue
        assert any(low <= flops <= high for low, high in exact), (str(op), flops, exact)
        if len(windows) < 2 and now.left.contracts < COSTLY[name].limits.weights:
            assert set(exact) == {(flops, flops)}, str(op)


@pytest.mark.parametrize("name", COSTLY)
def test_bounds_on_multiply_adds_hold_on_every_way(name: str) -> None:
    drawable = Drawable(SynthesisSpace(COSTLY[name]))
    counted = drawable.changes.operations
    for way, op, flops in costed(drawable):
        if cuts_a_sum(way):
            continue
        final = True
        for each in way.back():
            if each.now.phase != CHANNELS:
                continue
            assert flops <= counted.most(each.now), str(op)
            if each.now.left.contracts < COSTLY[name].limits.weights:
                assert counted.least(each.now) <= flops, str(op)
            windows = [n for n, c in enumerate(each.now.coords) if drawable.changes._may_slide(c)]
            low, high = counted.bounds(each.now, windows)
            assert not final or low <= flops <= high, str(op)
            final = final and each.change is not None and each.change.primitive != "contract"


# ---------------------------------------------------------------------------------------- counts


def completions(spec: Spec) -> tuple[Completions, Abstract]:
    space = SynthesisSpace(spec)
    assert space.rollouts is not None
    return space.rollouts.completions, space.rollouts.abstraction(space.root())[0]


SEVERAL = pytest.mark.parametrize(
    "spec",
    [
        limited("linear", steps=4),
        limited("image", steps=5),
        limited("conv1d", steps=4),
        limited(TWO_ON_ONE, flops=(2112, 4128)),
    ],
    ids=lambda spec: f"{spec.name}, {spec.limits.steps}",
)


@SEVERAL
def test_counts_are_exact_where_all_is_known(spec: Spec) -> None:
    found, root = completions(spec)
    counts = Drawable(SynthesisSpace(spec)).paths(root)
    for now in counts:
        if now.phase != DONE:
            found.expand(found.node(now))
    assert {now: found.node(now).count for now in counts} == counts
    assert counts[root] > 1


@SEVERAL
def test_draws_learn_the_counts_and_expand_nothing_twice(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    expanded: list[Abstract] = []
    offer = Changes.__call__
    monkeypatch.setattr(
        Changes, "__call__", lambda self, now: expanded.append(now) or offer(self, now)
    )
    found, root = completions(spec)
    rng, dead = Random(3), set[Abstract]()
    for _ in range(3000):
        entered = [behind for _, behind in found.draw(root, rng)]
        assert entered[-1].phase == DONE
        assert dead.isdisjoint(entered)
        dead |= {now for now, node in found.nodes.items() if node.steps == []}
    assert len(expanded) == len(set(expanded))
    counts = Drawable(SynthesisSpace(spec)).paths(root)
    for now, node in found.nodes.items():
        assert (node.count == 0) == (counts[now] == 0) or node.steps is None
    found.settle()
    assert found.node(root).count == pytest.approx(counts[root], rel=0.02)


def test_every_completion_is_drawn_about_equally_often() -> None:
    spec = limited("linear", steps=4)
    found, root = completions(spec)
    number = Drawable(SynthesisSpace(spec)).paths(root)[root]
    rng, times = Random(11), dict[tuple[object, ...], int]()
    for _ in range(100):
        found.draw(root, rng)
    for _ in range(100 * number):
        way = tuple(change for change, _ in found.draw(root, rng))
        times[way] = times.get(way, 0) + 1
    assert len(times) == number
    assert 40 < min(times.values()) <= max(times.values()) < 250


# ------------------------------------------------------------------------------- from the middle

BELOW: dict[str, Spec] = {
    "linear": limited("linear", steps=4),
    "conv1d": limited("conv1d", steps=4),
    "image": limited("image", steps=5),
    "two equal places": limited(EQUAL_PLACES, steps=5),
    "two windows on one place": limited(TWO_ON_ONE, steps=6),
    "multiply-adds": limited(TWO_ON_ONE, steps=6, flops=(1056, 4128)),
}


def below(space: SynthesisSpace) -> dict[State, set[Operator]]:
    """Return the operators that the moves of `space` reach from each of its states."""
    explored, found = explore(space), dict[State, set[Operator]]()
    for layer in reversed(explored.layers):
        for state in layer:
            found[state] = set()
            for move, child in explored.children[state]:
                end = space.apply(state, move).operator if child is None else None
                found[state] |= found[child] if child is not None else {end} if end else set()
    return found


@pytest.mark.parametrize("name", BELOW)
def test_nothing_below_any_state_is_lost(name: str) -> None:
    """States whose steps came in another order than that of the rollouts have all completions."""
    space = SynthesisSpace(BELOW[name])
    drawable = Drawable(space)
    for state, wanted in below(space).items():
        assert difference(wanted, drawable(state), space.spec) == ([], [])
        assert wanted or space.roll_out(state, Random(1)) == []


def test_rollouts_from_any_state_are_states_of_the_space_within_its_steps() -> None:
    space, rng = SynthesisSpace(limited("conv1d", steps=5)), Random(2)
    finished = 0
    for state in list(below(space))[::7]:
        passed = space.roll_out(state, rng)
        assert passed is not None
        if passed:
            finished += 1
            assert [each.steps for each in passed[:-1]] == list(
                range(state.steps + 1, passed[-1].steps + 1)
            )
            assert passed[-1].steps <= space.spec.limits.steps
            assert passed[-1].operator in set(truth(space.spec))
    assert finished > 10


# ----------------------------------------------------------------------------- the same, and none

_DRAWS = """
from random import Random
from syno.ir.size import Size
for name in {before!r}:
    Size.symbol(name)
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
for name in ("conv1d", "conv2d", "resnet18-imagenet"):
    space, rng = SynthesisSpace(named_spec(name)), Random(9)
    for _ in range(12):
        print([str(state.operator) for state in space.roll_out(space.root(), rng)][-1:])
"""


def drawn_in_a_process(seed: str, before: str = "") -> str:
    """Return what is drawn, where the symbols of `before` were met earlier."""
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", _DRAWS.format(before=before)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_the_same_seed_draws_the_same_in_every_process() -> None:
    first = drawn_in_a_process("1")
    assert first.count("->") > 30
    assert drawn_in_a_process("2") == first
    assert drawn_in_a_process("1", before="skgHZW") == first


def test_nothing_is_drawn_where_abstract_states_do_not_apply() -> None:
    spec = limited("conv1d", steps=4)
    prunes = ("shifted-channels", "cut-position", "position-in-split", "weight-on-position")
    others = [
        limited(spec, strides=1),
        limited(spec, expands=1),
        *(off(spec, prune) for prune in prunes),
        off(spec, "window-over-channels"),
        off(spec, "window-of-output"),
    ]
    for other in others:
        space = SynthesisSpace(other)
        assert space.roll_out(space.root(), Random(1)) is None
    unguided = SynthesisSpace(spec, guided=False)
    assert unguided.roll_out(unguided.root(), Random(1)) is None


def test_dead_states_have_no_rollouts() -> None:
    spec = limited("conv1d", steps=1)
    space = SynthesisSpace(spec)
    assert truth(spec) == ()
    assert space.roll_out(space.root(), Random(1)) == []


# ------------------------------------------------------------------------------ test of the tests

WRONG: dict[str, tuple[str, Callable[..., bool], str]] = {
    "no split on top of an output": (
        "may_split",
        lambda _self, now, high, _low: now.coords[high][1][0].kind != 0,
        "without output-scale",
    ),
    "no split below a part": (
        "may_split",
        lambda _self, now, _high, low: now.coords[low][1][0].part == 0,
        "without output-scale",
    ),
    "merges of whole sums alone": (
        "may_merge",
        lambda _self, _now, coord: coord[1][0].kind != 0,
        "two channels made",
    ),
    "one weight keeps one": (
        "may_contract",
        lambda _self, _now, inner, _outer: len(inner) < 2,
        "conv1d",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_order_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, wrong, case = WRONG[name]
    right = getattr(Order, rule)
    monkeypatch.setattr(Order, rule, lambda *args: right(*args) and wrong(*args))
    spec = CASES[case]
    space = SynthesisSpace(spec)
    drawn = Drawable(space)(space.root())
    lost, gained = difference(set(truth(spec)), drawn, spec)
    assert lost and not gained
