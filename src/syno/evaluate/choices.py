"""Choices for groups of sites, measured: what an operator saves there, and what it costs.

Milliseconds are those of single layers, each timed against its operator in turns, and added up.
The loss is that of the trained original with operators at one group alone, fitted but not trained.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from math import inf, isfinite
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from syno.evaluate.assignment import Choice, Group
from syno.evaluate.batches import normalized
from syno.evaluate.benchmark import compare_places, replace_sites
from syno.evaluate.fidelities import Ladder
from syno.evaluate.fit import relative_residual, renew_statistics
from syno.evaluate.latency import LatencyComparison, compare
from syno.evaluate.models import info
from syno.evaluate.training import NotANumber
from syno.ir.errors import SynoError
from syno.ir.operator import Operator
from syno.nn.modes import evaluating
from syno.nn.sites import find_sites
from syno.zoo.bound import BoundOperator

LOSSES = ("cross-entropy", "residual", "accuracy")

_BATCH = 500  # images in one forward

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Timing:
    """How layers are timed; see `syno.evaluate.latency.compare`."""

    backend: str = "torch"
    batch: int = 1
    threads: int = 1
    rounds: int = 15
    alone: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True)
class Saved:
    """Milliseconds that an operator saves, with the quartiles over the rounds."""

    middle: float
    low: float
    high: float

    def __add__(self, other: Saved) -> Saved:
        return Saved(self.middle + other.middle, self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class Effect:
    """What operators do to a trained network before any training of theirs.

    All are differences to the original with its normalizations renewed on the same images, so that
    0 is the original, and more is worse: of the mean cross entropy (nats), of the relative residual
    of the scores (see `syno.evaluate.fit`), and of the share of images that are classified wrongly.
    """

    cross_entropy: float = 0.0
    residual: float = 0.0
    accuracy: float = 0.0

    def named(self, loss: str) -> float:
        """Return the one that LOSSES calls `loss`."""
        return float(getattr(self, loss.replace("-", "_")))


class Effects:
    """Measures effects of assignments on the trained original of a ladder."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        part = ladder.data.validation.part(ladder.settings.fit_images)
        self._images, self._labels = normalized(part.images, ladder.data), part.labels
        original = copy.deepcopy(ladder.teacher)
        renew_statistics(original, ladder.captured.images[0])
        scores, wanted = _scores(original, ladder.captured.images[1]), ladder.captured.scores[1]
        apart = relative_residual(scores, wanted)
        self._original = self._figures(original, apart)

    def of(self, assignment: Mapping[str, Operator]) -> Effect:
        """Return the effect of fitted operators, by site name; infinite where scores are."""
        if not assignment:
            return Effect()
        try:
            found = self.ladder.fitted(assignment)
        except NotANumber:
            return Effect(inf, inf, inf)
        figures = self._figures(found.network, found.fit.network_residual)
        apart = [new - old for new, old in zip(figures, self._original, strict=True)]
        return Effect(*(each if isfinite(each) else inf for each in apart))

    def _figures(self, network: nn.Module, residual: float) -> tuple[float, float, float]:
        scores = _scores(network, self._images)
        entropy = float(F.cross_entropy(scores, self._labels))
        return entropy, residual, float((scores.argmax(1) != self._labels).float().mean())


def check_loss(loss: str) -> None:
    """Raise SynoError for a loss that is none of LOSSES."""
    if loss not in LOSSES:
        raise SynoError(f"A loss is one of {', '.join(LOSSES)}, not {loss!r}.")


def measure_choices(
    ladder: Ladder,
    groups: Sequence[Group],
    operators: Sequence[BoundOperator],
    *,
    loss: str = "cross-entropy",
    timing: Timing | None = None,
    on_progress: Progress = lambda _step, _steps: None,
) -> list[Choice]:
    """Return a choice for each operator at each group whose sites it all fits.

    `loss` is one of LOSSES; all of them stand among the details, as do the quartiles of the
    milliseconds. `on_progress` counts operators that are timed, then pairs that are fitted. Raises
    SynoError for another loss, SizeError for an operator that fits no site.
    """
    check_loss(loss)
    pairs = [(group, op) for group in groups for op in operators]
    steps = len(operators) + len(pairs)
    names = {name for group in groups for name in group.sites}
    saved = time_saved(
        ladder.model,
        ladder.teacher,
        names,
        operators,
        timing or Timing(),
        on_progress=lambda done, _of: on_progress(done, steps),
    )
    effects, choices = Effects(ladder), []
    for number, (group, op) in enumerate(pairs, start=len(operators)):
        on_progress(number, steps)
        if saved[op.name].keys() >= set(group.sites):
            total = sum((saved[op.name][name] for name in group.sites), Saved(0.0, 0.0, 0.0))
            effect = effects.of(dict.fromkeys(group.sites, op.operator))
            choices.append(_choice(group, op, total, effect, loss))
    return choices


def time_saved(
    model: str,
    network: nn.Module,
    names: Collection[str],
    operators: Sequence[BoundOperator],
    timing: Timing,
    *,
    on_progress: Progress = lambda _step, _steps: None,
) -> dict[str, dict[str, Saved]]:
    """Return what each operator saves, by its name and those of the sites that it fits.

    `network` is the model, with any weights. A layer is timed once for each shape and operator;
    what the original takes is the median over all operators, so that these differ in the ratios
    alone, which are measured in turns. Raises SizeError for an operator that fits none of the
    sites.
    """
    example = info(model).example_input(timing.batch)
    sites = [site for site in find_sites(network, example) if site.name in names]
    rows: dict[str, dict[str, Any]] = {}
    for number, op in enumerate(operators):
        on_progress(number, len(operators))
        replaced = replace_sites(network, op.operator, sites, example, coefficients={})
        found = compare_places(
            replaced,
            backend=timing.backend,
            threads=timing.threads,
            rounds=timing.rounds,
            alone=timing.alone,
        )
        rows[op.name] = {name: row["latency"] for row in found for name in row["names"]}
    original = {
        name: median(row[name]["original_ms"] for row in rows.values() if name in row)
        for name in {name for row in rows.values() for name in row}
    }
    return {
        op: {name: _saved(original[name], latency) for name, latency in row.items()}
        for op, row in rows.items()
    }


def time_network(
    ladder: Ladder, assignment: Mapping[str, Operator], timing: Timing
) -> LatencyComparison:
    """Time the whole original against a copy with operators, by site name, in turns."""
    return compare(
        ladder.teacher,
        ladder.substituted(ladder.teacher, assignment),
        info(ladder.model).example_input(timing.batch),
        backend=timing.backend,
        threads=timing.threads,
        rounds=timing.rounds,
        alone=timing.alone,
    )


def _saved(original_ms: float, latency: Mapping[str, Any]) -> Saved:
    ratios = (latency[key] for key in ("ratio", "ratio_low", "ratio_high"))
    return Saved(*(original_ms * (1 - 1 / ratio) for ratio in ratios))


def _choice(group: Group, op: BoundOperator, saved: Saved, effect: Effect, loss: str) -> Choice:
    details = {"saved_low_ms": saved.low, "saved_high_ms": saved.high, **asdict(effect)}
    return Choice(group.name, op, saved.middle, effect.named(loss), details)


def _scores(network: nn.Module, images: Tensor) -> Tensor:
    with evaluating(network), torch.inference_mode():
        return torch.cat([network(part) for part in images.split(_BATCH)])
