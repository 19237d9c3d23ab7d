"""Measures which share of the time of expanding states goes into canonical forms.

Run: python bench/canonical.py --spec conv2d --states 3000. Random walks from the root expand states
(all moves, and the states behind them), each state once; then the time inside of
`Canonical.state`, `Canonical.operator` and `is_wasted` is taken over the time of it all. Every
space starts with nothing remembered. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

from networks import spec_of

from syno.rules.canonical import Canonical
from syno.space import space as spaces
from syno.space.space import SynthesisSpace
from syno.space.spec import Spec


class Clock:
    """Adds up the time inside of some calls; calls inside of calls count once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, on the clock."""

        def timed(*args: Any) -> Any:
            if self._inside:
                return call(*args)
            self._inside = True
            start = time.perf_counter()
            try:
                return call(*args)
            finally:
                self.seconds += time.perf_counter() - start
                self._inside = False

        return timed


def share(spec: Spec, states: int, seed: int) -> tuple[float, float]:
    """Return (share of canonical forms, states expanded a second) for one space."""
    clock, rng = Clock(), Random(seed)
    space, known = SynthesisSpace(spec), set()
    start = time.perf_counter()
    with_clock = (Canonical.state, Canonical.operator, spaces.is_wasted)
    Canonical.state, Canonical.operator, spaces.is_wasted = map(clock.watched, with_clock)
    try:
        while len(known) < states:
            state = space.root()
            while moves := space.moves(state):
                children = [space.apply(state, move) for move in moves]
                known.add(state)
                state = rng.choice(children)
    finally:
        Canonical.state, Canonical.operator, spaces.is_wasted = with_clock
    spent = time.perf_counter() - start
    return clock.seconds / spent, len(known) / spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="resnet20", help="resnet18, resnet20 or a small spec")
    parser.add_argument("--states", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    spec = spec_of(chosen.spec)
    found = [share(spec, chosen.states, seed) for seed in range(chosen.repeats)]
    shares = [each for each, _ in found]
    print(
        json.dumps(
            {
                "spec": chosen.spec,
                "states": chosen.states,
                "share_first": round(shares[0], 3),
                "share_median": round(statistics.median(shares), 3),
                "share_most": round(max(shares), 3),
                "states_per_s": round(statistics.median(rate for _, rate in found)),
            }
        )
    )


if __name__ == "__main__":
    main()
