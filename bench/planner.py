"""Does the planner know what is fast? Predicted against measured time, picked against best plan.

    python bench/planner.py --operators 200 --exhaustive 30 --json

Operators are drawn at random at sites of networks. For each, the program that the planner picks is
timed; for some of them all programs of all plans (up to --plans) are timed as well, interleaved.
Everything runs on one thread in eager mode, weights prepared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import torch
from networks import draw
from scipy.stats import spearmanr

from syno.evaluate.latency import machine
from syno.ir.operator import Operator
from syno.lower.backends import load_source, write_source
from syno.lower.choice import choose, programs
from syno.lower.machine import this_machine
from syno.lower.program import Program
from syno.space.networks import convolution_spec
from syno.space.spec import Spec
from syno.space.specs import named_spec

SITES = {
    "resnet18": (64, 64, 56),
    "resnet18, later": (128, 128, 28),
    "resnet18, last": (256, 512, 7),
}

HOPELESS = 8.0
"""Plans predicted to take so many times as long as the picked one are not timed."""


def specs() -> dict[str, Spec]:
    """Return what is asked: convolutions of a few sites, the published question, rows of GPT-2."""
    found = {
        name: convolution_spec([{"C_in": i, "C_out": o, "H": h, "W": h}], name)
        for name, (i, o, h) in SITES.items()
    }
    return found | {name: named_spec(name) for name in ("resnet18-imagenet", "vit-mlp")}


def runner(program: Program) -> Callable[[], Any]:
    """Return a call of a program on random data, weights prepared."""
    module = load_source(write_source(program, "torch"), "torch")
    data, *weights = (torch.randn(each.shape) for each in program.inputs)
    prepare = getattr(module, "prepare", None)
    if prepare is None:
        return lambda: module.forward(data, *weights)
    prepared = [each.contiguous() for each in prepare(*weights)]
    return lambda: module.compute(data, *prepared)


def timed(calls: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Return the median seconds of each call, all of them in turns."""
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, found, strict=True):
            call()
            start = time.perf_counter()
            call()
            once = time.perf_counter() - start
            repeats = max(1, min(20, round(0.002 / once)))
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            times.append((time.perf_counter() - start) / repeats)
    return [statistics.median(times) for times in found]


def main() -> None:
    """Print the figures, or write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operators", type=int, default=200)
    parser.add_argument("--exhaustive", type=int, default=30)
    parser.add_argument("--plans", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [
        (name, operator, spec.bindings[number % len(spec.bindings)])
        for name, spec in specs().items()
        for number, operator in enumerate(
            draw(spec, -(-options.operators // len(specs())), options.seed)
        )
    ]
    Random(options.seed).shuffle(cases)
    rows, spans = [], []
    with torch.inference_mode():
        for name, operator, sizes in cases[: options.operators]:
            start = time.perf_counter()
            choice = choose(operator, sizes)
            write_source(choice.program, "torch")
            spans.append(time.perf_counter() - start)
            (measured,) = timed([runner(choice.program)], 5)
            row = {"spec": name, "operator": str(operator), "predicted": choice.seconds}
            rows.append(row | {"measured": measured})
        picks = [
            picked(operator, sizes, options.plans)
            for _, operator, sizes in cases[: options.exhaustive]
        ]
    answer = {
        "spearman": spearmanr([r["predicted"] for r in rows], [r["measured"] for r in rows])[0],
        "picked over best": summary([each["ratio"] for each in picks]),
        "lowering ms": {"mean": 1e3 * statistics.mean(spans), "worst": 1e3 * max(spans)},
        "plans": summary([float(each["plans"]) for each in picks]),
        "error factor": summary(
            [max(r["predicted"] / r["measured"], r["measured"] / r["predicted"]) for r in rows]
        ),
        "calibrated": this_machine().about,
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if options.out:
        whole = answer | {"operators": rows, "picks": picks}
        options.out.write_text(json.dumps(whole, indent=1) + "\n")
    json.dump(answer, sys.stdout, indent=None if options.json else 2)
    print()


def picked(operator: Operator, sizes: Any, most: int) -> dict[str, Any]:
    """Return how much slower the picked program is than the best of all, timed in turns."""
    found: dict[str, Program] = {}
    chosen = choose(operator, sizes)
    found[write_source(chosen.program, "torch")] = chosen.program
    hopeless = 0
    for number, choice in enumerate(programs(operator, sizes, machine=this_machine()), start=1):
        if choice.seconds > HOPELESS * chosen.seconds:
            hopeless += 1
        else:
            found.setdefault(write_source(choice.program, "torch"), choice.program)
        if number == most:
            break
    calls = {source: runner(program) for source, program in found.items()}
    once = dict(zip(calls, timed(list(calls.values()), 1), strict=True))
    near = [each for each in calls if once[each] < 2 * min(once.values())]
    pick = next(iter(calls))
    near = [pick, *(each for each in near if each != pick)]
    times = timed([calls[each] for each in near], 9)
    best = min(range(len(times)), key=times.__getitem__)
    return {
        "operator": str(operator),
        "ratio": times[0] / times[best],
        "plans": len(calls),
        "not timed": hopeless,
        "picked": pick,
        "best": near[best],
        "seconds": [times[0], times[best]],
    }


def summary(values: list[float]) -> dict[str, float]:
    """Return median, ninth decile and worst."""
    ordered = sorted(values) or [float("nan")]
    return {
        "median": statistics.median(ordered),
        "90%": ordered[int(0.9 * (len(ordered) - 1))],
        "worst": ordered[-1],
    }


if __name__ == "__main__":
    main()
