"""Tables that nobody measured, for tests of what reads tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from random import Random

from syno.ir.operator import Operator
from syno.lower.plan import plan
from syno.space.spec import Spec
from syno.testing.objectives import features, jaccard
from syno.testing.tabular import COLUMNS

BASELINE = {"long_accuracy": 0.8, "longer_accuracy": 0.9, "short_accuracy": 0.7, "ratio": 1.0}
COSTS = {
    "sample_seconds": 2.0,
    "fit_seconds": 10.0,
    "short_seconds": 60.0,
    "long_seconds": 600.0,
    "longer_seconds": 6e3,
}
COSTS["scratch_seconds"] = COSTS["long_seconds"]


def measurements(op: Operator, spec: Spec, target: Operator, rng: Random) -> dict[str, float]:
    """Return columns: the more like the target, the more accurate; other columns follow, noisily.

    What has more multiply-adds than the target is slower than the original.
    """
    sizes = spec.bindings[0]
    made, wanted = plan(op, sizes), plan(target, sizes)
    like = jaccard(features(op), features(target))
    long = round(0.4 + 0.42 * like + rng.gauss(0, 0.01), 4)
    return {
        "flops": made.flops,
        "parameters": made.parameters,
        "ratio": round(1.5 * sqrt(wanted.flops / made.flops), 3),
        "sample_residual": round(1.5 - like + rng.gauss(0, 0.1), 4),
        "fit_residual": round(1.5 - like + rng.gauss(0, 0.05), 4),
        "fit_network_residual": round(1.5 - like + rng.gauss(0, 0.1), 4),
        "fit_accuracy": round(0.1 + 0.3 * like, 4),
        "short_accuracy": round(long - 0.1 + rng.gauss(0, 0.02), 4),
        "long_accuracy": long,
        "long_accuracy_1": round(long + rng.gauss(0, 0.01), 4),
        "scratch_accuracy": round(long - 0.05 + rng.gauss(0, 0.03), 4),
        "longer_accuracy": round(long + 0.1, 4),
        "synflow": round(10 ** rng.uniform(1, 20), 1),
        "naswot": round(rng.uniform(700, 800), 2),
        "gradient_norm": round(rng.uniform(1, 9), 3),
        **COSTS,
    }


def write_table(folder: Path, spec: Spec, operators: Sequence[Operator], seed: int = 0) -> Path:
    """Write a table of `operators`; one in five has no second seed and no longer training."""
    rng, file = Random(seed), folder / "operators.csv"
    target = rng.choice(operators)
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, ["operator", *COLUMNS, "failure"], restval="")
        writer.writeheader()
        for number, op in enumerate(operators):
            row: dict[str, object] = {"operator": str(op), **measurements(op, spec, target, rng)}
            if number % 5 == 0:
                row |= {"long_accuracy_1": "", "longer_accuracy": "", "longer_seconds": ""}
            writer.writerow(row)
    described = {"model": spec.name, "baseline": BASELINE}
    file.with_name("table.json").write_text(json.dumps(described))
    return file
