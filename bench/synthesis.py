"""Measures how fast operators are found: rollouts, how many of them end, how many are distinct.

Run: python bench/synthesis.py --spec resnet18 --seconds 60 --json. Rollouts are drawn as the
strategy `random` draws them, in one thread. Prints one JSON object as its last line: `rollouts`,
`success_rate` (0 to 1), `distinct`, `distinct_per_s`, `expanded_per_s` (states of which the moves
were made), `peak_rss_mb`, `seconds_to` (for 100, 1,000 and 10,000 distinct operators).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from random import Random

from networks import spec_of

from syno.search.rollout import roll_out
from syno.space.space import SynthesisSpace

_MARKS = (100, 1_000, 10_000)


def measure(name: str, seconds: float, seed: int) -> dict[str, object]:
    """Draw rollouts for a time and return the figures."""
    space, rng = SynthesisSpace(spec_of(name)), Random(seed)
    found: set[object] = set()
    reached: dict[int, float] = {}
    rollouts = ended = expanded = 0
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        passed = roll_out(space, space.root(), rng)
        rollouts, expanded = rollouts + 1, expanded + len(passed) + 1
        operator = space.result(passed[-1]) if passed else None
        if operator is not None:
            ended += 1
            found.add(operator)
            if len(found) in _MARKS:
                reached.setdefault(len(found), time.perf_counter() - start)
    return {
        "spec": name,
        "strategy": "random",
        "rollouts": rollouts,
        "success_rate": round(ended / max(rollouts, 1), 4),
        "distinct": len(found),
        "distinct_per_s": round(len(found) / spent, 1),
        "expanded_per_s": round(expanded / spent, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seconds_to": {str(mark): round(at, 1) for mark, at in reached.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="resnet18", help="resnet18, resnet20 or a small spec")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    chosen = parser.parse_args()
    found = measure(chosen.spec, chosen.seconds, chosen.seed)
    if not chosen.json:
        for key, value in found.items():
            print(f"{key}: {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
