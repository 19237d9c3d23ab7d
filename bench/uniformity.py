"""Measures how evenly rollouts draw the operators of a small spec.

Run: python bench/uniformity.py --spec linear --draws 40000. First every abstract state is expanded,
so that counts are exact, and every way of a rollout is followed: that gives the probability of each
operator (by fingerprint: where two spellings are one function, they are added). Then operators are
drawn. Prints one JSON object as its last line: `operators`; the probabilities relative to the mean,
as quantiles (`spread`); `p_stated`, of a chi-square test of the draws against those probabilities;
`p_uniform`, of the draws against the uniform distribution; `p_corrected`, the same after each draw
was kept with a probability that makes up for its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from random import Random

from scipy.stats import chisquare

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from drawable import Drawable, followed, likely

from syno.ir.operator import Operator
from syno.rules import fingerprint
from syno.space.abstract import DONE
from syno.space.rollouts import _Maker
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec

Class = tuple[str, ...]
_QUANTILES = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1.0}


def probabilities(space: SynthesisSpace) -> Counter[Operator]:
    """Return the probability of every operator that a rollout from the root may end in."""
    drawable, found = Drawable(space), Counter[Operator]()
    now, named, places = drawable.rollouts.abstraction(space.root())
    counts = drawable.paths(now)
    stack = [
        (now, maker, chance)
        for maker, chance in likely(
            lambda rng: _Maker(space, space.root(), named, list(places), rng)
        )
    ]
    while stack:
        at, maker, chance = stack.pop()
        if at.phase == DONE:
            found[maker.state.operator] += chance
            continue
        for change, behind in drawable.steps(at):
            share = chance * counts[behind] / counts[at]
            if not share:
                continue
            for made, part in likely(lambda rng, m=maker, c=change: followed(m, c, rng)):
                if made is not None:
                    stack.append((behind, made, share * part))
    return found


def settle(space: SynthesisSpace) -> None:
    """Expand everything below the root, so that counts are exact."""
    completions = space.rollouts.completions
    now, _, _ = space.rollouts.abstraction(space.root())
    stack = [completions.node(now)]
    while stack:
        node = stack.pop()
        if node.steps is None and node.now.phase != DONE:
            completions.expand(node)
            stack += node.children
    completions.settle()


def draws(space: SynthesisSpace, count: int, seed: int) -> Counter[Operator]:
    """Draw so many operators."""
    rng, found = Random(seed), Counter[Operator]()
    while found.total() < count:
        passed = space.roll_out(space.root(), rng)
        if passed and passed[-1].operator is not None:
            found[passed[-1].operator] += 1
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", default="linear")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--draws", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    spec = named_spec(chosen.spec).up_to(chosen.steps)
    space = SynthesisSpace(spec)

    def class_of(op: Operator) -> Class:
        return tuple(fingerprint(op, binding) for binding in spec.bindings)

    stated: Counter[Class] = Counter()
    spellings = probabilities(space)
    names = {op: class_of(op) for op in spellings}
    for op, chance in spellings.items():
        stated[names[op]] += chance
    total = stated.total()
    settle(space)
    drawn: Counter[Class] = Counter()
    kept: Counter[Class] = Counter()
    rng, least = Random(chosen.seed + 1), min(stated.values())
    for op, count in draws(space, chosen.draws, chosen.seed).items():
        drawn[names[op]] += count
        kept[names[op]] += sum(rng.random() < least / stated[names[op]] for _ in range(count))
    keys = sorted(stated)
    expected = [stated[key] / total * drawn.total() for key in keys]
    ranked = sorted(stated[key] / total * len(keys) for key in keys)
    print(
        json.dumps(
            {
                "spec": chosen.spec,
                "steps": chosen.steps,
                "operators": len(keys),
                "arrive": round(total, 4),
                "spread": {
                    name: round(ranked[round(at * (len(ranked) - 1))], 2)
                    for name, at in _QUANTILES.items()
                },
                "draws": drawn.total(),
                "p_stated": round(chisquare([drawn[k] for k in keys], expected).pvalue, 4),
                "p_uniform": float(f"{chisquare([drawn[k] for k in keys]).pvalue:.3g}"),
                "kept": kept.total(),
                "p_corrected": round(chisquare([kept[k] for k in keys]).pvalue, 4),
            }
        )
    )


if __name__ == "__main__":
    main()
