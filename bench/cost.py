"""Measures how quickly and how tightly the cost of operators is known, whole and in the making.

Run: python bench/cost.py --spec resnet18-imagenet --operators 300. Random walks draw operators; the
first of them are compared with the planner. Prints one JSON object: milliseconds for each operator,
the share that agrees with the planner, how bounds relate to the exact multiply-adds (10th
percentile, median and 90th percentile of low/exact and high/exact) for whole operators and along
the walks by the steps that were left. Where the spec limits multiply-adds (the limit is off while
operators are drawn), also how often the bounds knew before the last step that an operator would lie
outside. "plain" are bounds without any promise about the steps to come, "ahead" those with all that
spec and taste promise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from networks import spec_of

from syno.ir.coord import output, reduce
from syno.ir.operator import Operator
from syno.ir.size import Size
from syno.lower.cost import Ahead, Bounds, Costs
from syno.lower.plan import plan
from syno.search.rollout import choose
from syno.space.prunes import is_place
from syno.space.space import SynthesisSpace
from syno.space.state import Move, State

_COMPARED = 200


@dataclass(frozen=True)
class Walk:
    """The unfinished states of one walk from the root, and the operator at its end."""

    states: tuple[State, ...]
    op: Operator


def walks(space: SynthesisSpace, count: int, rng: Random) -> list[Walk]:
    """Return random walks to so many different operators."""
    found: dict[Operator, Walk] = {}
    while len(found) < count:
        state, passed = space.root(), []
        while moves := space.moves(state):
            passed.append(state)
            state = space.apply(state, choose(moves, rng))
        if state.operator is not None:
            found.setdefault(state.operator, Walk(tuple(passed), state.operator))
    return list(found.values())


class Promises:
    """What a spec and its taste promise about the steps after a state."""

    def __init__(self, space: SynthesisSpace) -> None:
        self.space, self.spec = space, space.spec
        self.fixed = tuple(Size.symbol(name) for name in self.spec.fixed)
        sizes = self.spec.reduction_sizes
        self.windows = tuple(size for size in sizes if self._slides(size))

        most = self.spec.limits.domain
        self.terms = tuple(most * each for each in self.spec.input_elements) if most else None

    def _slides(self, size: Size) -> bool:
        window, spec, root = reduce(0, size), self.spec, self.space.root()
        state = State(root.coords, frozenset({(window,)}), root.counts)
        places = [output(i, whole) for i, whole in enumerate(spec.output_sizes)]
        moves = [Move("unfold", (place, window)) for place in places if place.size is not size]
        return spec.is_small(size) and any(
            self.space.taste.would_allow(spec, state, move) for move in moves
        )

    def __call__(self, state: State) -> Ahead:
        """Return the promises for one state."""
        spec, limits = self.spec, self.spec.limits
        unfolds = limits.unfolds - state.count("unfold")
        widths = [spec.values(size) or (1,) * len(spec.bindings) for size in self.windows]
        most = [max(each) for each in zip(*widths, strict=True)] or [1] * len(spec.bindings)
        return Ahead(
            places=frozenset(coord for coord in state.coords if is_place(spec, coord)),
            fixed=self.fixed,
            windows=self.windows if unfolds else (),
            terms=self.terms,
            input=spec.input_sizes,
            opened=tuple(each**unfolds for each in most),
            merges=state.count("merge") < limits.merges,
            rank=limits.rank,
        )


def bounds_of(space: SynthesisSpace, costs: Costs, state: State, ahead: Ahead) -> Bounds:
    """Return the bounds for everything below `state`."""
    limits = space.spec.limits
    weights_left = limits.weights - state.count("contract")
    left = limits.reductions - state.count("reduce")
    if not weights_left and space.taste.has("unweighted-sum"):
        left = 0  # no weight could see them
    return costs.partial(
        tuple(state.coords),
        tuple(state.weights),
        reductions=space.spec.reduction_sizes,
        left=left,
        weights_left=weights_left,
        ahead=ahead,
    )


def milliseconds(call: Callable[[Any], object], items: Iterable[Any]) -> float:
    """Return the time of one call."""
    chosen = list(items)
    start = time.perf_counter()
    for each in chosen:
        call(each)
    return round((time.perf_counter() - start) * 1e3 / len(chosen), 4)


def spread(values: list[float]) -> list[float]:
    """Return the 10th percentile, the median and the 90th percentile."""
    cuts = statistics.quantiles(values, n=10, method="inclusive")
    return [float(f"{value:.3g}") for value in (cuts[0], cuts[4], cuts[8])]


def tightness(pairs: list[tuple[tuple[int, int], int]]) -> dict[str, object]:
    """Return how bounds relate to what they bound, and how many do not hold."""
    known = [(bounds, exact) for bounds, exact in pairs if exact]
    return {
        "low": spread([bounds[0] / exact for bounds, exact in known]),
        "high": spread([bounds[1] / exact for bounds, exact in known]),
        "wrong": sum(not low <= exact <= high for (low, high), exact in pairs),
    }


def along(
    space: SynthesisSpace,
    costs: Costs,
    drawn: list[Walk],
    promise: Callable[[State], Ahead],
    window: tuple[int, int],
) -> dict[str, object]:
    """Return the tightness by steps left, and how early operators outside are recognized."""
    by_left: dict[int, list[tuple[tuple[int, int], int]]] = {}
    outside = early = late = 0
    for walk in drawn:
        exact = costs.flops(walk.op)
        found = [bounds_of(space, costs, state, promise(state)) for state in walk.states]
        for left, each in enumerate(reversed(found)):
            by_left.setdefault(left, []).append(((each.flops_low, each.flops_high), exact))
        if not window[0] <= exact <= window[1]:
            outside += 1
            out = [b.flops_low > window[1] or b.flops_high < window[0] for b in found]
            early += any(out[:-1])
            late += any(out)
    states = [(state, promise(state)) for walk in drawn for state in walk.states]
    return {
        "ms": milliseconds(lambda pair: bounds_of(space, costs, *pair), states),
        "by_steps_left": {
            left: tightness(pairs) for left, pairs in sorted(by_left.items()) if len(pairs) > 9
        },
        "outside": outside,
        "known_before_last_step": early,
        "known_before_finish": late,
    }


def measure(name: str, count: int, seed: int) -> dict[str, object]:
    """Draw operators and return the figures."""
    spec = spec_of(name)
    space = SynthesisSpace(replace(spec, limits=replace(spec.limits, flops=None)))
    drawn = walks(space, count, Random(seed))
    ops, costs = [walk.op for walk in drawn], Costs(spec.bindings, spec.occurrences or None)
    few = ops[:_COMPARED]
    slow = milliseconds(lambda op: [plan(op, each).flops for each in spec.bindings], few)
    agree = sum(
        costs.flops_of(op) == tuple(plan(op, each).flops for each in spec.bindings) for op in few
    )
    window = spec.limits.flops or (0, 1 << 62)
    return {
        "spec": name,
        "bindings": len(spec.bindings),
        "operators": len(ops),
        "planner_ms": slow,
        "flops_ms": milliseconds(costs.flops, ops),
        "flops_bounds_ms": milliseconds(costs.flops_bounds, ops),
        "flops_within_ms": milliseconds(lambda op: costs.flops_within(op, *window), ops),
        "within": round(sum(costs.flops_within(op, *window) for op in ops) / len(ops), 3),
        "agree_with_planner": round(agree / len(few), 4),
        "whole": tightness([(costs.flops_bounds(op), costs.flops(op)) for op in ops]),
        "plain": along(space, costs, drawn, lambda _: Ahead(fixed=Promises(space).fixed), window),
        "ahead": along(space, costs, drawn, Promises(space), window),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="resnet18-imagenet", help="a network or a small spec")
    parser.add_argument("--operators", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.spec, chosen.operators, chosen.seed)))


if __name__ == "__main__":
    main()
