"""Whole networks with operators in them: how many times faster, by backend.

    python bench/whole.py --rows all --backends inductor --out docs/results/lowering/networks.json

A row gives operators to sites, none of which is replaced twice. Original and changed network run in
turns in one process; `removed` is the share of the network's parameters that is gone. Weights are
random: these are times, and say nothing of accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import geometric_mean
from typing import Any

if "--threads" in sys.argv:  # before torch is loaded: threads that wait by spinning slow each other
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import nn

from syno.evaluate.benchmark import replace_sites
from syno.evaluate.latency import compare, machine
from syno.evaluate.models import build, info
from syno.ir.parser import parse
from syno.nn.sites import find_sites, select_sites
from syno.nn.substitution import count_parameters
from syno.zoo.named import NAMED

GROUPED_POINTS = "y[n,o,h,w] = sum[c:C_in/g] x[n, (o // (C_out/g))*(C_in/g) + c, h, w] * w1[o,c]"
OPERATORS = {name: row.text for name, row in NAMED.items()} | {"grouped-pointwise": GROUPED_POINTS}
OPERATORS |= {
    "paper-operator-1": NAMED["paper-operator-1"].text.replace("r:R", "r:C_out/(G*s)"),
    "paper-operator-2": NAMED["paper-operator-2"].text.replace("r:R", "r:C_out/(G*s)"),
}


@dataclass(frozen=True)
class Use:
    """One operator, its coefficients, and patterns of the sites it takes."""

    operator: str
    coefficients: dict[str, int]
    sites: tuple[str, ...]


def paper(number: int) -> tuple[Use, ...]:
    """Return an operator of the paper at all 3x3 convolutions, rank C_out/(G*s)."""
    return (Use(f"paper-operator-{number}", {"k": 3, "G": 32, "s": 2}, ("conv3x3",)),)


def grouped(groups: int, *sites: str) -> Use:
    """Return a grouped convolution."""
    return Use("grouped-convolution", {"k": 3, "g": groups}, sites)


def points(groups: int, *sites: str) -> Use:
    """Return a grouped convolution without a window."""
    return Use("grouped-pointwise", {"g": groups}, sites)


def separable(*sites: str) -> Use:
    """Return a depthwise convolution, then a pointwise one."""
    return Use("separable-convolution", {"k": 3}, sites)


EARLY = ("layer1.*.conv?", "layer2.*.conv?")

ROWS: dict[str, tuple[str, tuple[Use, ...]]] = {
    "resnet18": (
        "resnet18",
        (
            separable(*EARLY, "layer3.1.conv?"),
            grouped(2, "layer3.0.conv?", "layer4.*.conv?", "!layer4.0.conv1"),
        ),
    ),
    "resnet34": (
        "resnet34",
        (
            separable(*EARLY, *(f"layer3.{block}.conv?" for block in range(1, 6))),
            grouped(2, "layer3.0.conv?", "layer4.1.conv?", "layer4.2.conv1"),
        ),
    ),
    "densenet121": (
        "densenet121",
        (
            separable("conv3x3", "!features.denseblock4.*"),
            points(8, "features.denseblock[12].*.conv1", "features.transition[12].conv"),
            points(4, "features.denseblock3.*.conv1", "features.transition3.conv"),
        ),
    ),
    "resnext29-2x64d": (
        "resnext29-2x64d",
        (separable("grouped"), points(4, "layer[12].*.conv?", "!grouped")),
    ),
    "efficientnetv2-s": (
        "efficientnetv2-s",
        (
            separable("conv3x3", "!features.0.*"),
            points(8, "features.[2345].*", "!*.fc?", "!conv3x3", "!grouped"),
            points(2, "features.[67].*", "!*.fc?", "!grouped"),
        ),
    ),
    "resnet18, Operator 1": ("resnet18", paper(1)),
    "resnet18, Operator 2": ("resnet18", paper(2)),
    "gpt2": ("gpt2", (Use("gpt2-projection", {}, ("*.c_attn",)),)),
}


def changed(model: str, uses: tuple[Use, ...]) -> tuple[nn.Module, nn.Module, dict[str, Any]]:
    """Return a model, its copy with all operators, and what was done."""
    row, original = info(model), build(model).eval()
    example = row.example_input(1)
    sites = find_sites(original, example)
    network, told, taken = original, [], set()
    for use in uses:
        chosen = [s for s in select_sites(sites, use.sites, model) if s.name not in taken]
        made = replace_sites(
            network,
            parse(OPERATORS[use.operator]),
            chosen,
            example,
            coefficients=use.coefficients,
        )
        taken |= {site.name for site in chosen}
        network = made.changed
        told.append(
            {
                "operator": use.operator,
                "coefficients": use.coefficients,
                "sites": list(use.sites),
                "replaced": len(chosen) - len(made.left_alone),
                "left_alone": len(made.left_alone),
            }
        )
    before, after = count_parameters(original), count_parameters(network)
    about = {"uses": told, "parameters": [before, after], "removed": (before - after) / before}
    return original, network, about


def main() -> None:
    """Print a line for each comparison, and JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    five = "resnet18;resnet34;densenet121;resnext29-2x64d;efficientnetv2-s"
    parser.add_argument("--rows", default=five, help="with ; between them, or all")
    parser.add_argument("--backends", default="inductor")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = list(ROWS) if options.rows == "all" else options.rows.split(";")
    rows = []
    for name in names:
        model, uses = ROWS[name]
        original, network, about = changed(model, uses)
        example = info(model).example_input(1)
        for backend in options.backends.split(","):
            found = compare(
                original,
                network,
                example,
                backend=backend,
                threads=options.threads,
                rounds=options.rounds,
            )
            rows.append({"row": name, "model": model, **about, **found.to_dict()})
            print(
                f"{name:22} {backend:12} {found.original_ms:8.2f} {found.candidate_ms:8.2f} ms "
                f"{found.ratio:5.2f}x ({found.ratio_low:.2f} to {found.ratio_high:.2f}), "
                f"{100 * about['removed']:.1f} % of the parameters removed",
                flush=True,
            )
    best: dict[str, float] = {}
    for row in rows:
        best[row["row"]] = max(best.get(row["row"], 0.0), row["ratio"])
    print(f"geometric mean of the best of each row: {geometric_mean(best.values()):.3f}")
    if options.out:
        answer = {"rows": rows, "machine": machine(), "best": best}
        answer |= {"date": datetime.now(UTC).isoformat(timespec="seconds")}
        answer |= {"geometric_mean": geometric_mean(best.values()), "threads": options.threads}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
