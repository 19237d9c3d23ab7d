"""Operators that searches found, with what was measured of them when they were.

The rows stand in `found.json`, each with the report it comes from. They are figures of one machine
and of short trainings: a record, not a promise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from syno.ir.operator import Operator
from syno.ir.parser import parse


@dataclass(frozen=True)
class FreshSeeds:
    """Validation accuracy, from 0 to 1, over seeds that had no part in choosing the operator."""

    count: int
    accuracy: float
    baseline_accuracy: float


@dataclass(frozen=True)
class FoundOperator:
    """One row: the formula, the model whose convolutions it replaced, and its record there.

    Accuracies are on the validation set, from 0 to 1, with the seed of the search; `ratio` is how
    many times faster the whole model became under `mode`, with its quartiles; shares are of the
    multiply-adds of the replaced layers and of the parameters of the model. `source` is the report.
    """

    name: str
    text: str
    model: str
    data: str
    source: str
    accuracy: float
    baseline_accuracy: float
    fresh_seeds: FreshSeeds | None
    mode: str
    ratio: float
    ratio_low: float
    ratio_high: float
    flops_share: float
    parameters_share: float

    @property
    def operator(self) -> Operator:
        """The operator that the text means."""
        return parse(self.text)

    @property
    def summary(self) -> str:
        """One sentence for people."""
        change = 100 * (self.accuracy - self.baseline_accuracy)
        seeds = ""
        if self.fresh_seeds is not None:
            fresh = 100 * (self.fresh_seeds.accuracy - self.fresh_seeds.baseline_accuracy)
            seeds = f", {fresh:+.1f} over {self.fresh_seeds.count} fresh seeds"
        return (
            f"found in {self.model} on {self.data}: {self.ratio:.2f}x as fast ({self.mode}), "
            f"{change:+.1f} points of accuracy{seeds}"
        )


@cache
def found() -> Mapping[str, FoundOperator]:
    """Return the rows by name, the best of each model first."""
    text = files("syno.zoo").joinpath("found.json").read_text(encoding="utf-8")
    return {row["name"]: FoundOperator(**_read(row)) for row in json.loads(text)}


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    fresh = row["fresh_seeds"]
    return {**row, "fresh_seeds": None if fresh is None else FreshSeeds(**fresh)}
