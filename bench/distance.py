"""Measures how often the distance of a state equals the true number of steps to an operator.

Run: python bench/distance.py --json. Small specs are searched exhaustively: every state that moves
without guidance reach (limits, rules and taste as they are), and the truth by backward induction.
A state is on the way where its true number of steps fits into the limit. Prints one JSON object as
its last line: for each spec `states` on the way, `exact` (0 to 1), `above` (states of which the
distance exceeds the truth: has to be 0), `below` (by how many steps it is too short, and how
often), and `lost` (operators that the guided space does not reach: has to be 0).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from exhaustive import FAR, explore

from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec

DEPTHS = {"conv1d": 6, "conv2d": 5, "image": 5, "linear": 6, "pool1d": 5}


def measure(name: str, depth: int) -> dict[str, object]:
    """Compare distance and truth for one spec."""
    spec = named_spec(name).up_to(depth)
    free, guided = SynthesisSpace(spec, guided=False), SynthesisSpace(spec)
    truth = explore(free)
    remaining = truth.remaining()
    errors: Counter[int] = Counter()
    seen = set()
    for state, children in truth.children.items():
        for move, child in children:
            if child is None or child in seen or remaining[child] >= FAR:
                continue
            if child.steps + remaining[child] > depth:
                continue
            seen.add(child)
            distance = depth - child.steps - guided.spare(state, move)
            errors[distance - remaining[child]] += 1
    found = explore(guided)
    states = sum(errors.values())
    return {
        "depth": depth,
        "states": states,
        "exact": round(errors[0] / max(states, 1), 4),
        "above": sum(count for error, count in errors.items() if error > 0),
        "below": {str(-error): count for error, count in sorted(errors.items()) if error < 0},
        "lost": len(set(truth.operators) - set(found.operators)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", choices=sorted(DEPTHS), action="append")
    parser.add_argument("--quick", action="store_true", help="two steps less deep")
    parser.add_argument("--json", action="store_true", help="print the JSON object alone")
    chosen = parser.parse_args()
    found = {}
    for name in chosen.spec or DEPTHS:
        found[name] = measure(name, DEPTHS[name] - 2 * chosen.quick)
        if not chosen.json:
            print(f"{name}: {found[name]}", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
