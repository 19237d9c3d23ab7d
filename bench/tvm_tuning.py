"""What TVM's code takes, with and without tuning, beside torch and Inductor.

Run: python bench/tvm_tuning.py --trials 200 --subjects convolution,resnet18 --rounds 15.
Subjects are named operators at 128 channels, 28x28 places, each followed by batch normalization and
ReLU as in a network, and "resnet18", the network on one image of 224x224. All are timed in turns on
one thread; prints one JSON object of medians in milliseconds. `--trials 0` tunes nothing. Records
of tuning go to `--database`, and loop nests that are known there are not tuned again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from syno.evaluate.torchvision_compat import import_torchvision
from syno.lower.backends import BACKENDS
from syno.lower.backends.tvm_tuning import tune
from syno.nn import SynthesizedOperator
from syno.zoo.named import NAMED

SIZES = {"N": 1, "C_in": 128, "C_out": 128, "H": 28, "W": 28, "G": 32, "R": 2, "k": 3, "g": 4}


def subject(name: str) -> tuple[nn.Module, Tensor]:
    """Return a module and an input."""
    torch.manual_seed(0)
    if name == "resnet18":
        import_torchvision()
        from torchvision.models import resnet18

        return resnet18().eval(), torch.randn(1, 3, 224, 224)
    op = NAMED[name].operator
    layer = SynthesizedOperator(op, {k: SIZES[k] for k in SIZES if k in op.symbols}, seed=0)
    made = nn.Sequential(layer, nn.BatchNorm2d(128), nn.ReLU())
    return made.eval(), torch.randn(1, 128, 28, 28)


def milliseconds(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median of each call, all called in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, call in calls.items():
                call()
                start = time.perf_counter()
                call()
                if turn:  # the first round warms up
                    times[name].append(1e3 * (time.perf_counter() - start))
    return {name: round(statistics.median(found), 4) for name, found in times.items()}


def compared(name: str, trials: int, rounds: int, database: Path) -> dict[str, Any]:
    """Return the times of one subject, how many loop nests were tuned and how long it took."""
    module, x = subject(name)
    ways = {way: BACKENDS[way].load().compile_module for way in ("torch", "inductor", "tvm")}
    with tempfile.TemporaryDirectory() as empty:
        made = {way: ways[way](module, [x]) for way in ("torch", "inductor")}
        made["tvm"] = ways["tvm"](module, [x], database=Path(empty))
    start = time.perf_counter()
    tuned = tune(module, [x], trials=trials, database=database) if trials else 0
    seconds = time.perf_counter() - start
    made["tvm, tuned"] = ways["tvm"](module, [x], database=database)
    calls = {way: lambda call=call: call(x) for way, call in made.items()}
    return {"ms": milliseconds(calls, rounds), "tuned": tuned, "tuning_seconds": round(seconds, 1)}


def main() -> None:
    """Compare the subjects and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--subjects", default="convolution,paper-operator-1,paper-operator-2")
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--database", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as passing:
        folder = options.database or Path(passing)
        found = {
            name: compared(name, options.trials, options.rounds, folder)
            for name in options.subjects.split(",")
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
