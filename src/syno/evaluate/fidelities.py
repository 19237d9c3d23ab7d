"""The ladder of fidelities: from what costs nothing to what a search believes (design section 7).

1. *Layer fit*: a second. The operators are fitted to the activations of a trained original, at one
   site of each shape (docs/results/README.md: that ranks as well as the fit of all of them).
2. *Short training*: the fit of all sites, then a tenth of an epoch from there, taught by
   the original.
3. *Long training*: the same for an epoch.

Beside it stands training *from scratch*, from random weights by a recipe of its own: a search
without a ladder judges by that. A `Ladder` holds what all candidates share: data, the trained
original and its activations.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from torch import nn

from syno.evaluate.batches import normalized
from syno.evaluate.data import load
from syno.evaluate.descent import autocast
from syno.evaluate.fit import Captured, FitSettings, LayerFit, NetworkFit, capture, fit, fit_layers
from syno.evaluate.models import build, info
from syno.evaluate.recipes import RECIPES, Recipe
from syno.evaluate.splits import DataSplits
from syno.evaluate.teacher import teacher, tutor
from syno.evaluate.training import Progress, TrainResult, accuracy_on, train
from syno.ir.errors import DataError
from syno.ir.operator import Operator
from syno.nn.sites import Site, find_sites, replaceable
from syno.nn.substitution import substitute
from syno.nn.tuning import tune_for_training

_FIT = FitSettings(positions=4_096, images=128, sweeps=2)
_SHORT = Recipe(
    epochs=0.1, batch_size=32, learning_rate=0.02, precision="bfloat16", distillation=0.9
)
_LONG = replace(_SHORT, epochs=1)
_SCRATCH = Recipe(epochs=1, batch_size=32, precision="bfloat16")


def _unseen(_step: int, _steps: int) -> None:
    """Look at no step."""


@dataclass(frozen=True)
class LadderSettings:
    """What each rung spends.

    So many images of the validation set judge a fitted network, and one after short training; all
    of them judge the others.
    """

    fit: FitSettings = _FIT
    fit_images: int = 1_000
    short: Recipe = _SHORT
    short_images: int = 2_500
    long: Recipe = _LONG
    scratch: Recipe = _SCRATCH


LADDERS: Mapping[str, LadderSettings] = {
    "cifar10": LadderSettings(),
    "digits": LadderSettings(
        fit=FitSettings(images=256, sweeps=2),
        short=Recipe(epochs=1.5, batch_size=64, learning_rate=0.05, distillation=0.9),
        long=Recipe(epochs=6, batch_size=64, learning_rate=0.05, distillation=0.9),
        scratch=RECIPES["digits"],
    ),
}


@dataclass(frozen=True)
class Fitted:
    """A network with fitted operators, and what they imitate."""

    network: nn.Module
    fit: NetworkFit
    seconds: float


class Ladder:
    """Judges operators at the sites of a model on a data set, at one rung after the other.

    One operator stands at all `sites` (by default those that a search replaces) unless an
    assignment by site names says otherwise. The teacher is trained where the cache has none.
    """

    def __init__(
        self,
        model: str,
        data: str,
        coefficients: Mapping[str, int],
        *,
        settings: LadderSettings | None = None,
    ) -> None:
        self.model = model
        self.data_name = data
        self.coefficients = dict(coefficients)
        self.settings = settings or LADDERS.get(data, LadderSettings())

    @cached_property
    def data(self) -> DataSplits:
        """The data; the test set stays closed."""
        return load(self.data_name)

    @cached_property
    def teacher(self) -> nn.Module:
        """The trained original."""
        return teacher(self.model, self.data_name)

    @cached_property
    def tutor(self) -> nn.Module:
        """The teacher as short and long training ask it: what it says of an image is looked up."""
        return tutor(self.model, self.data_name, self.settings.short.precision)

    @cached_property
    def sites(self) -> list[Site]:
        """The sites that a search replaces."""
        found = find_sites(build(self.model), info(self.model).example_input(1))
        return replaceable(found, self.model)

    @cached_property
    def captured(self) -> Captured:
        """What the teacher does, on images of the training set."""
        count = 2 * self.settings.fit.images
        images = normalized(self.data.train.images[:count], self.data)
        return capture(self.teacher, self.sites, images, self.settings.fit)

    def everywhere(self, op: Operator) -> dict[str, Operator]:
        """Return the assignment of one operator to all sites."""
        return {site.name: op for site in self.sites}

    def substituted(
        self, original: nn.Module, assignment: Mapping[str, Operator], seed: int = 0
    ) -> nn.Module:
        """Return a copy of `original` with the operators in place."""
        return substitute(
            original,
            assignment,
            info(self.model).example_input(1),
            coefficients=self.coefficients,
            seed=seed,
        )

    def sampled(self, assignment: Mapping[str, Operator], *, seed: int = 0) -> LayerFit:
        """Fit the operators at the first site of each shape alone: the first rung.

        The seed draws the weights from which the fit starts.
        """
        sites = {site.name: site for site in self.sites}
        first: dict[object, str] = {}
        for name, op in assignment.items():
            first.setdefault((op, tuple(sorted(sites[name].sizes.items()))), name)
        some = {name: assignment[name] for name in first.values()}
        network = self.substituted(self.teacher, some, seed)
        layers = {name: self.captured.layers[name] for name in some}
        return fit_layers(network, layers, self.settings.fit)

    def fitted(self, assignment: Mapping[str, Operator], *, seed: int = 0) -> Fitted:
        """Return the trained original with fitted operators: where training starts.

        The seed draws the weights from which the fit starts. No operator: the original itself.
        The operators get the programs that are fastest in short training.
        """
        start = time.monotonic()
        network = self.substituted(self.teacher, assignment, seed)
        self._tune(network, self.settings.short)
        layers = {name: self.captured.layers[name] for name in assignment}
        wanted = Captured(self.captured.images, self.captured.scores, layers)
        found = fit(network, wanted, self.settings.fit)
        return Fitted(network, found, time.monotonic() - start)

    def accuracy(self, network: nn.Module) -> float:
        """Return the accuracy of a fitted network without any training, on some of the images."""
        some = self.data.validation.part(self.settings.fit_images)
        with autocast(self.settings.short.precision):
            return accuracy_on(network, some, self.data)

    def short(
        self, network: nn.Module, *, seed: int = 0, on_progress: Progress = _unseen
    ) -> TrainResult:
        """Train a fitted network for a short while, in place: the second rung."""
        some = self.data.validation.part(self.settings.short_images)
        data = replace(self.data, validation=some)
        return self._taught(network, data, self.settings.short, seed, on_progress)

    def long(
        self,
        network: nn.Module,
        *,
        seed: int = 0,
        recipe: Recipe | None = None,
        on_progress: Progress = _unseen,
    ) -> TrainResult:
        """Train a fitted network, in place: the last rung."""
        return self._taught(network, self.data, recipe or self.settings.long, seed, on_progress)

    def scratch(
        self,
        assignment: Mapping[str, Operator],
        *,
        seed: int = 0,
        recipe: Recipe | None = None,
        on_progress: Progress = _unseen,
    ) -> TrainResult:
        """Train a network from random weights, beside the ladder. No operator: the original."""
        chosen = recipe or self.settings.scratch
        original = build(self.model, seed=seed)
        network = self.substituted(original, assignment, seed) if assignment else original
        self._tune(network, chosen)
        return train(network, self.data, chosen, seed=seed, on_progress=on_progress)

    def _taught(
        self,
        network: nn.Module,
        data: DataSplits,
        recipe: Recipe,
        seed: int,
        on_progress: Progress,
    ) -> TrainResult:
        if _tuning(recipe) != _tuning(self.settings.short):  # `fitted` has tuned for that one
            self._tune(network, recipe)
        return train(network, data, recipe, seed=seed, teacher=self.tutor, on_progress=on_progress)

    def _tune(self, network: nn.Module, recipe: Recipe) -> None:
        """Give the operators their fastest programs for this recipe."""
        batch = normalized(self.data.train.images[: recipe.batch_size], self.data)
        tune_for_training(network, batch, context=lambda: autocast(recipe.precision))


def _tuning(recipe: Recipe) -> tuple[int, str]:
    """Return what the fastest program depends on."""
    return recipe.batch_size, recipe.precision


def long_recipe(data: str) -> Recipe:
    """Return the recipe of the last rung on a data set; DataError where there is no ladder."""
    if data not in LADDERS:
        known = ", ".join(sorted(LADDERS))
        raise DataError(f"There is no ladder for a data set called {data!r}; known are: {known}.")
    return LADDERS[data].long
