"""Several operators in one network: choices, their front, and how well the prediction orders.

    python bench/assignment.py --out docs/results/assignment/assignment.json

Each operator is timed and fitted at each group of layers alone. Random assignments are then fitted
as a whole: the rank correlation says whether sums over the groups, of which loss, put them into the
right order. Some of the front are timed as whole networks.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from syno.evaluate.assignment import Choice, Group, Selection, groups, pareto
from syno.evaluate.choices import LOSSES, Effects, Timing, measure_choices, time_network
from syno.evaluate.fidelities import Ladder
from syno.evaluate.latency import machine
from syno.run.quiet import quiet
from syno.zoo.bound import bound

OPERATORS = (
    "separable-convolution",
    "grouped-convolution g=4",
    "low-rank-convolution R=C_out/2",
    "paper-operator-2 G=4 R=C_out/8",
)


def drawn(found: Sequence[Group], choices: Sequence[Choice], count: int) -> list[Selection]:
    """Return random assignments, each group with an operator or the original."""
    rng = random.Random(0)
    taken = []
    for _ in range(count):
        some = [rng.choice([None, *(c for c in choices if c.group == g.name)]) for g in found]
        chosen = {choice.group: choice.operator for choice in some if choice}
        taken.append(Selection(tuple(found), chosen))
    return taken


def predicted(selection: Selection, choices: Sequence[Choice], loss: str) -> float:
    """Return the sum over the groups of a loss that was measured there alone."""
    key = loss.replace("-", "_")
    return sum(
        choice.details[key]
        for choice in choices
        if selection.chosen.get(choice.group) == choice.operator
    )


def correlations(
    found: Sequence[Group], choices: Sequence[Choice], effects: Effects, count: int
) -> dict[str, Any]:
    """Return what was predicted of random assignments and what they are, with correlations."""
    rows = []
    for number, selection in enumerate(drawn(found, choices, count)):
        sums = {loss: predicted(selection, choices, loss) for loss in LOSSES}
        effect = effects.of(selection.assignment)
        rows.append({"assignment": str(selection), "predicted": sums, "joint": asdict(effect)})
        print(number, sums, effect, flush=True)
    ranks = {
        loss: {
            joint: float(
                spearmanr(
                    [row["predicted"][loss] for row in rows], [row["joint"][joint] for row in rows]
                ).statistic
            )
            for joint in ("cross_entropy", "residual", "accuracy")
        }
        for loss in LOSSES
    }
    return {"rows": rows, "spearman": ranks}


def timed(
    effects: Effects, front: Sequence[Selection], timing: Timing, most: int
) -> list[dict[str, Any]]:
    """Return some assignments of the front, evenly spread, as whole networks: time and effect."""
    places = {round(n * (len(front) - 1) / max(1, most - 1)) for n in range(most)}
    rows = []
    for selection in (front[place] for place in sorted(places) if front[place].chosen):
        found = time_network(effects.ladder, selection.assignment, timing)
        joint = asdict(effects.of(selection.assignment))
        rows.append({**selection.to_dict(), "latency": found.to_dict(), "joint": joint})
        print(f"{selection}\npredicted {selection.saved_ms:.3f} ms; {found} {joint}", flush=True)
    return rows


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--by", default="shape")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--random", type=int, default=12)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ladder = Ladder(options.model, options.data, {})
    timing = Timing(options.backend, options.batch, rounds=options.rounds, alone=quiet)
    found = groups(ladder.sites, options.by)
    operators = [bound(text, {"k": 3}) for text in OPERATORS]
    choices = measure_choices(ladder, found, operators, timing=timing)
    for choice in choices:
        print(choice.to_dict(), flush=True)
    front, effects = pareto(found, choices), Effects(ladder)
    answer = {
        "choices": [choice.to_dict() for choice in choices],
        "front": [selection.to_dict() for selection in front],
        "whole": timed(effects, front, timing, 5),
        "random": correlations(found, choices, effects, options.random),
        "by": options.by,
        "backend": options.backend,
        "batch": options.batch,
        "rounds": options.rounds,
        "model": options.model,
        "data": options.data,
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    print(json.dumps(answer["random"]["spearman"], indent=1))  # type: ignore[index]
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
