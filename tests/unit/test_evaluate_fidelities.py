"""The ladder: fitted networks start near the original, and training starts where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from syno.evaluate import teacher as teachers
from syno.evaluate.fidelities import LADDERS, Ladder, LadderSettings, long_recipe
from syno.evaluate.fit import FitSettings
from syno.evaluate.recipes import RECIPES, Recipe
from syno.evaluate.training import accuracy_on
from syno.ir.errors import DataError
from syno.nn import SynthesizedOperator
from syno.zoo.named import NAMED

SHORT = Recipe(epochs=2, batch_size=64, learning_rate=0.05, distillation=0.9)
SETTINGS = LadderSettings(
    fit=FitSettings(positions=1_024, images=48, sweeps=2),
    fit_images=100,
    short=SHORT,
    short_images=150,
    long=SHORT,
    scratch=Recipe(epochs=0.3, batch_size=64, learning_rate=0.1),
)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNO_CACHE", str(tmp_path_factory.mktemp("cache")))
        recipe = Recipe(epochs=2, batch_size=64, learning_rate=0.1)
        patch.setattr(teachers, "TEACHER_RECIPES", {"digits": recipe})
        made = Ladder("convnet", "digits", {"k": 3, "s": 2, "g": 4}, settings=SETTINGS)
        assert made.teacher is not None  # trained while the cache is another
    return made


def test_a_fit_that_can_be_exact_is_nearly_the_original(ladder: Ladder) -> None:
    assignment = ladder.everywhere(NAMED["convolution"].operator)
    found = ladder.fitted(assignment)
    own = accuracy_on(ladder.teacher, ladder.data.validation.part(100), ladder.data)
    assert ladder.accuracy(found.network) > own - 0.1
    assert [site.name for site in found.fit.sites] == list(assignment)
    assert found.seconds >= found.fit.seconds > 0


def test_a_sample_is_the_first_site_of_each_shape(ladder: Ladder) -> None:
    op = NAMED["separable-convolution"].operator
    found = ladder.sampled(ladder.everywhere(op))
    shapes = {tuple(site.sizes.items()): site.name for site in reversed(ladder.sites)}
    assert {site.name for site in found.sites} == set(shapes.values())
    whole = ladder.fitted(ladder.everywhere(op)).fit
    same = [each.residual for each in whole.sites if each.name in shapes.values()]
    assert [each.residual for each in found.sites] == pytest.approx(same, rel=0.2)
    exact = ladder.sampled(ladder.everywhere(NAMED["convolution"].operator))
    assert exact.residual < 0.01 < found.residual < 1


def test_short_training_goes_on_from_the_fit(ladder: Ladder) -> None:
    found = ladder.fitted(ladder.everywhere(NAMED["separable-convolution"].operator))
    before = accuracy_on(found.network, ladder.data.validation, ladder.data)
    result = ladder.short(found.network)
    assert result.steps == SHORT.steps(len(ladder.data.train))
    assert result.validation_accuracy >= before - 0.03
    assert result.history[-1] < result.history[0]


def test_the_seed_draws_where_the_fit_starts(ladder: Ladder) -> None:
    assignment = ladder.everywhere(NAMED["separable-convolution"].operator)
    fits = [ladder.fitted(assignment, seed=seed).network for seed in (0, 0, 1)]
    weights = [torch.cat([p.detach().reshape(-1) for p in each.parameters()]) for each in fits]
    assert not torch.equal(weights[0], weights[2])
    torch.testing.assert_close(weights[0], weights[1], rtol=0.1, atol=0.05)


def test_one_site_may_hold_an_operator_and_the_others_stay(ladder: Ladder) -> None:
    name = ladder.sites[0].name
    found = ladder.fitted({name: NAMED["grouped-convolution"].operator})
    inside = [m for m in found.network.modules() if isinstance(m, SynthesizedOperator)]
    assert len(inside) == 1 and [site.name for site in found.fit.sites] == [name]


def test_without_an_operator_the_original_is_trained_on(ladder: Ladder) -> None:
    kept = {name: value.clone() for name, value in ladder.teacher.state_dict().items()}
    result = ladder.long(ladder.fitted({}).network)
    assert result.validation_accuracy > 0.8
    after = ladder.teacher.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in kept.items())


def test_from_scratch_means_from_scratch(ladder: Ladder) -> None:
    result = ladder.scratch({})
    assert result.steps == SETTINGS.scratch.steps(len(ladder.data.train))
    assert result.history[0] > 1.5  # that of guessing is 2.3


def test_the_test_set_stays_closed(ladder: Ladder) -> None:
    assert ladder.data.test_reads == []


def test_every_data_set_of_a_search_has_a_ladder() -> None:
    assert set(LADDERS) == set(RECIPES)
    with pytest.raises(DataError, match=r"'letters'.*cifar10, digits"):
        long_recipe("letters")


def test_a_part_of_a_split_is_spread_over_it(ladder: Ladder) -> None:
    split = ladder.data.validation
    part = split.part(10)
    assert len(part) == 10
    assert torch.equal(part.images[0], split.images[0])
    assert torch.equal(part.images[-1], split.images[-1])
    assert len(split.part(10**6)) == len(split)


def test_a_cache_elsewhere_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNO_CACHE", str(tmp_path))
    file = teachers.teacher_file("convnet", "digits", SHORT, 0)
    assert file.is_relative_to(tmp_path)
