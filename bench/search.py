"""Measures how many candidates each strategy asks until one is worth 95 % of the optimum.

Run: python bench/search.py (a quarter of an hour), or with --quick (seconds: less of everything).
The objectives are those of `syno.testing.objectives`, cheap and of known optimum. Each strategy
runs on each with one candidate in flight, and with 100 asked before any of them is told. Counts
depend on nothing but the seeds. Prints one line for each run and as its last line one JSON object:
for each objective and strategy the quartiles over the seeds, `of_random` (the median over that of
random), and `parallel_cost` (the median with 100 in flight over that with one).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from math import inf
from statistics import quantiles

from syno.search.registry import STRATEGIES
from syno.testing.objectives import (
    Objective,
    chosen_subset,
    copied_word,
    evaluations_to,
    imitated,
    spelled_word,
)

FULL: dict[str, Callable[[], Objective]] = {
    "conv1d-0": lambda: imitated("conv1d", 8, 0),
    "conv1d-1": lambda: imitated("conv1d", 8, 1),
    "conv2d-0": lambda: imitated("conv2d", 7, 0),
    "conv2d-1": lambda: imitated("conv2d", 7, 1),
    "conv1d-failing": lambda: imitated("conv1d", 8, 2, failing=0.2),
    "word": copied_word,
    "subset": chosen_subset,
    "spelling": spelled_word,
}
QUICK: dict[str, Callable[[], Objective]] = {
    "word": lambda: copied_word(5, 4),
    "spelling": lambda: spelled_word(5),
    "linear-0": lambda: imitated("linear", 5, 0),
}


def quartiles(counts: list[int | None]) -> list[float | None]:
    """Return the three quartiles; None where a strategy ended before it came so far."""
    known = [inf if count is None else count for count in counts]
    found = quantiles(known, method="inclusive") if len(known) > 1 else known * 3
    return [each if each < inf else None for each in found]


def measure(objective: Objective, strategy: str, seeds: int, in_flight: int) -> list[float | None]:
    """Return the quartiles of the evaluations of one strategy on one objective."""
    start = time.perf_counter()
    counts = [
        evaluations_to(STRATEGIES[strategy], objective, seed, in_flight=in_flight)
        for seed in range(seeds)
    ]
    found = quartiles(counts)
    seconds = time.perf_counter() - start
    print(f"{objective.name}: {strategy}, {in_flight} in flight: {found}, {seconds:.0f} s")
    sys.stdout.flush()
    return found


def ratio(one: float | None, two: float | None) -> float | None:
    """Return `one` over `two`, or None where either is not known."""
    return None if one is None or two is None else round(one / two, 3)


def compare(objective: Objective, strategies: list[str], seeds: int) -> dict[str, object]:
    """Return the figures of all strategies on one objective."""
    found: dict[str, object] = {"candidates": objective.size}
    alone = {name: measure(objective, name, seeds, 1) for name in strategies}
    for name in strategies:
        # Random draws the same whatever it is told, so that those in flight cost nothing.
        together = alone[name] if name == "random" else measure(objective, name, seeds, 100)
        found[name] = {
            "sequential": alone[name],
            "in_flight_100": together,
            "of_random": ratio(alone[name][1], alone["random"][1]),
            "parallel_cost": ratio(together[1], alone[name][1]),
        }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small spaces and three seeds")
    parser.add_argument("--seeds", type=int, help="20, or 3 with --quick")
    parser.add_argument("--objectives", nargs="+", help=f"some of: {', '.join(FULL)}")
    parser.add_argument("--strategies", nargs="+", default=sorted(STRATEGIES), choices=STRATEGIES)
    chosen = parser.parse_args()
    seeds = chosen.seeds or (3 if chosen.quick else 20)
    makers = QUICK if chosen.quick else FULL
    names = chosen.objectives or list(makers)
    strategies = ["random", *(name for name in chosen.strategies if name != "random")]
    found = {name: compare(makers[name](), strategies, seeds) for name in names}
    print(json.dumps({"seeds": seeds, "share": 0.95, "objectives": found}))


if __name__ == "__main__":
    main()
