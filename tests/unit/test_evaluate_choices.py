"""Choices, measured: milliseconds from ratios, effects against the original, what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from syno.evaluate import choices as measuring
from syno.evaluate.assignment import Selection, groups, pareto
from syno.evaluate.batches import normalized
from syno.evaluate.choices import (
    LOSSES,
    Effect,
    Effects,
    Timing,
    measure_choices,
    time_network,
    time_saved,
)
from syno.evaluate.fidelities import Ladder, LadderSettings
from syno.evaluate.fit import FitSettings, renew_statistics
from syno.evaluate.small_models import ConvNet
from syno.ir.errors import SizeError, SynoError
from syno.nn.sites import find_sites, replaceable
from syno.zoo.bound import bound

CONVOLUTION = bound("convolution k=3")
SEPARABLE = bound("separable-convolution k=3")
SIXTEEN = bound("grouped-convolution g=16 k=3")  # fits where there are as many channels alone
QUICK = Timing(rounds=1)


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    """Return a ladder with a small network, random weights and few images."""
    settings = LadderSettings(fit=FitSettings(positions=1024, images=32), fit_images=50)
    made = Ladder("convnet", "digits", {}, settings=settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvNet(width=8, depth=2)
    renew_statistics(network, normalized(made.data.train.images[:64], made.data))
    made.teacher = network.eval()
    made.sites = replaceable(find_sites(network, torch.zeros(1, 1, 8, 8)))
    return made


def test_an_operator_that_is_the_layer_costs_nothing(ladder: Ladder) -> None:
    effects = Effects(ladder)
    same = effects.of({"first.0.0": CONVOLUTION.operator})
    other = effects.of({"first.0.0": SEPARABLE.operator})
    assert abs(same.residual) < 1e-3 and abs(same.cross_entropy) < 1e-2
    assert other.residual > 10 * abs(same.residual)
    assert effects.of({}) == Effect(0.0, 0.0, 0.0)


def test_the_original_is_not_touched(ladder: Ladder) -> None:
    before = {name: value.clone() for name, value in ladder.teacher.state_dict().items()}
    Effects(ladder).of({"first.1.0": SEPARABLE.operator})
    after = ladder.teacher.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_choices_are_made_where_an_operator_fits_the_whole_group(ladder: Ladder) -> None:
    found = groups(ladder.sites, "shape")
    seen: list[tuple[int, int]] = []
    made = measure_choices(
        ladder,
        found,
        [SEPARABLE, SIXTEEN],
        loss="residual",
        timing=QUICK,
        on_progress=lambda done, of: seen.append((done, of)),
    )
    fitting = {(choice.group.split(",")[0], choice.operator) for choice in made}
    assert len(found) == 3 and (found[0].name.split(",")[0], SIXTEEN) not in fitting
    assert len(made) == 4
    assert all(choice.loss == choice.details["residual"] for choice in made)
    assert all(
        choice.details["saved_low_ms"] <= choice.saved_ms <= choice.details["saved_high_ms"]
        for choice in made
    )
    assert [done for done, _ in seen] == list(range(2 + 6)) and {of for _, of in seen} == {8}
    assert pareto(found, made)[0].loss <= 0


def test_the_effect_of_a_group_is_that_of_its_sites_together(ladder: Ladder) -> None:
    found = groups(ladder.sites, "kind")
    (choice,) = measure_choices(ladder, found, [SEPARABLE], timing=QUICK)
    whole = Selection(found, {choice.group: choice.operator})
    alone = Effects(ladder).of(whole.assignment)
    assert choice.loss == pytest.approx(alone.cross_entropy, abs=1e-3)
    assert alone.residual > 0.1


def row(names: list[str], original_ms: float, ratio: float) -> dict[str, Any]:
    latency = {"original_ms": original_ms, "ratio": ratio}
    latency |= {"ratio_low": ratio / 2, "ratio_high": ratio * 2}
    return {"names": names, "latency": latency}


def test_milliseconds_are_those_of_ratios(ladder: Ladder, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter(([row(["a", "b"], 3.0, 2.0)], [row(["a", "b"], 5.0, 4.0), row(["c"], 1.0, 0.5)]))

    def compare_places(*_given: object, **_options: object) -> Iterator[dict[str, Any]]:
        return iter(next(rounds))

    monkeypatch.setattr(measuring, "compare_places", compare_places)
    names = [site.name for site in ladder.sites]
    found = time_saved("convnet", ladder.teacher, names, [SEPARABLE, CONVOLUTION], QUICK)
    assert found[SEPARABLE.name].keys() == {"a", "b"}
    assert found[SEPARABLE.name]["b"].middle == pytest.approx(4.0 * (1 - 1 / 2))
    assert found[CONVOLUTION.name]["a"].high == pytest.approx(4.0 * (1 - 1 / 8))
    assert found[CONVOLUTION.name]["c"].middle == pytest.approx(-1.0)  # it is slower


def test_a_network_whose_scores_are_infinite_is_lost(
    ladder: Ladder, monkeypatch: pytest.MonkeyPatch
) -> None:
    effects = Effects(ladder)

    def fitted(_assignment: object) -> None:
        raise measuring.NotANumber("infinite scores")

    monkeypatch.setattr(ladder, "fitted", fitted)
    lost = effects.of({"first.0.0": SEPARABLE.operator})
    assert all(lost.named(loss) == float("inf") for loss in LOSSES)


def test_a_whole_network_is_timed(ladder: Ladder) -> None:
    found = time_network(ladder, {"first.0.0": SEPARABLE.operator}, QUICK)
    assert found.ratio > 0 and found.rounds == 1


def test_mistakes_are_told_before_anything_is_measured(ladder: Ladder) -> None:
    found = groups(ladder.sites)
    with pytest.raises(SynoError, match="cross-entropy, residual, accuracy, not 'speed'"):
        measure_choices(ladder, found, [SEPARABLE], loss="speed")
    with pytest.raises(SizeError, match="fits none of the 4 chosen sites"):
        measure_choices(ladder, found, [bound("grouped-convolution g=7 k=3")], timing=QUICK)
