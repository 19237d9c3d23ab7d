"""Layer fit: how well can an operator, with its best weights, imitate the layer it replaces?

Both are linear in the input, so that the question is one of least squares on real activations of a
trained network (`evaluate/least_squares.py`), and takes seconds. The solution is where training
starts.

Channels count alike: each is divided by its deviation, and its mean is left out, as what follows a
layer (a normalization, a bias) sets both anew. So a residual of 0 is a perfect imitation, one of 1
is no better than a constant for each channel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log, prod
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from syno.evaluate.least_squares import Problem
from syno.ir.errors import ModelError
from syno.nn.modes import evaluating
from syno.nn.module import SynthesizedOperator
from syno.nn.sites import Site

_NORMS = nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d
_LEAST = 1e-4  # of a residual in the mean of logarithms: a perfect imitation has none


@dataclass(frozen=True)
class FitSettings:
    """How much is spent on a fit.

    Each site sees up to `positions` output positions of `images` images, and as many of other
    images to judge by. `sweeps` go over all weights of an operator; the solution for one of them
    takes `iterations` of conjugate gradients.
    """

    positions: int = 16_384
    images: int = 256
    sweeps: int = 3
    iterations: int = 8


@dataclass(frozen=True)
class SiteFit:
    """The relative residual at one site, on images that the fit has not seen."""

    name: str
    residual: float
    fitted_residual: float
    seconds: float


@dataclass(frozen=True)
class LayerFit:
    """What operators imitate at each of their sites."""

    sites: tuple[SiteFit, ...]
    seconds: float

    @property
    def residual(self) -> float:
        """The geometric mean of the residuals of the sites."""
        logs = [log(max(site.residual, _LEAST)) for site in self.sites]
        return float(torch.tensor(fmean(logs)).exp()) if logs else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "residual": self.residual}


@dataclass(frozen=True)
class NetworkFit(LayerFit):
    """What the operators of a network imitate: at each site, and all of it together.

    `network_residual` is the relative residual of the scores, on images that the fit has not seen.
    """

    network_residual: float


@dataclass(frozen=True)
class Activations:
    """Input and output of a layer, without its bias, on images to fit on and others to judge by."""

    inputs: tuple[Tensor, Tensor]
    outputs: tuple[Tensor, Tensor]
    channels: int


@dataclass(frozen=True)
class Captured:
    """What a trained network does: its scores on two sets of images, and the layers' activations.

    Made once, and used for every candidate.
    """

    images: tuple[Tensor, Tensor]
    scores: tuple[Tensor, Tensor]
    layers: Mapping[str, Activations]


def capture(
    network: nn.Module, sites: Sequence[Site], images: Tensor, settings: FitSettings
) -> Captured:
    """Return the activations of a trained network at `sites`.

    `images` are (count, channels, height, width), normalized; half of them, `settings.images` at
    most, are to fit on, the others to judge by.
    """
    count = min(settings.images, len(images) // 2)
    halves = images[:count], images[count : 2 * count]
    recorded = [_recorded(network, sites, half, settings) for half in halves]
    layers = {
        site.name: Activations(
            (recorded[0][1][site.name][0], recorded[1][1][site.name][0]),
            (recorded[0][1][site.name][1], recorded[1][1][site.name][1]),
            site.sizes["C_out"],
        )
        for site in sites
    }
    return Captured(halves, (recorded[0][0], recorded[1][0]), layers)


def _recorded(
    network: nn.Module, sites: Sequence[Site], images: Tensor, settings: FitSettings
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def recorder(site: Site) -> Callable[..., None]:
        outputs = prod(site.output_shape) // site.output_shape[0] // site.sizes["C_out"]
        kept = max(1, settings.positions // outputs)

        def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            bias = getattr(module, "bias", None)
            shape = (-1,) + (1,) * (output.dim() - 2) if site.kind == "conv2d" else (-1,)
            bare = output if bias is None else output - bias.reshape(shape)
            found[site.name] = inputs[0][:kept].detach().clone(), bare[:kept].detach().clone()

        return record

    handles = [
        network.get_submodule(site.name).register_forward_hook(recorder(site)) for site in sites
    ]
    try:
        with evaluating(network), torch.no_grad():
            scores = network(images)
    finally:
        for handle in handles:
            handle.remove()
    return scores, found


def fit(changed: nn.Module, captured: Captured, settings: FitSettings | None = None) -> NetworkFit:
    """Fit the operators that stand in `changed` at the captured sites, in place.

    Normalizations see the images once, so that their statistics are those of the new layers.
    Raises ModelError where a captured site holds no operator.
    """
    chosen = settings or FitSettings()
    start = time.monotonic()
    sites = fit_layers(changed, captured.layers, chosen).sites
    renew_statistics(changed, captured.images[0])
    with evaluating(changed), torch.no_grad():
        scores = changed(captured.images[1])
    apart = relative_residual(scores, captured.scores[1])
    return NetworkFit(sites, time.monotonic() - start, apart)


def fit_layers(
    changed: nn.Module, layers: Mapping[str, Activations], settings: FitSettings
) -> LayerFit:
    """Fit the operators that stand in `changed` at the sites of `layers`, in place.

    Nothing but these layers is computed. Raises ModelError where such a site holds no operator.
    """
    start = time.monotonic()
    sites = tuple(
        _fit_site(name, changed.get_submodule(name), layer, settings)
        for name, layer in layers.items()
    )
    return LayerFit(sites, time.monotonic() - start)


def relative_residual(scores: Tensor, wanted: Tensor) -> float:
    """Return the squared error of scores over that of a constant for each class.

    Both are (images, classes).
    """
    apart = (scores - wanted).square().sum()
    return float(apart / (wanted - wanted.mean(0)).square().sum())


def _fit_site(name: str, module: nn.Module, layer: Activations, settings: FitSettings) -> SiteFit:
    start = time.monotonic()
    operator = _operator_in(name, module)
    first, second = (_input_of(operator, module, x) for x in layer.inputs)
    problem = Problem(operator, first, layer.outputs[0], layer.channels)
    fitted = problem.solve(settings.sweeps, settings.iterations)
    judged = Problem(operator, second, layer.outputs[1], layer.channels)
    return SiteFit(name, judged.residual(), fitted, time.monotonic() - start)


def _operator_in(name: str, module: nn.Module) -> SynthesizedOperator:
    found = [each for each in module.modules() if isinstance(each, SynthesizedOperator)]
    if len(found) != 1:
        raise ModelError(f"The site {name} holds {len(found)} operators; a fit takes one.")
    return found[0]


def _input_of(operator: SynthesizedOperator, module: nn.Module, x: Tensor) -> Tensor:
    """Return what the operator is given (pooled, as rows) when `module` is given `x`."""
    found: list[Tensor] = []
    handle = operator.register_forward_pre_hook(lambda _module, inputs: found.append(inputs[0]))
    try:
        with torch.no_grad():
            module(x)
    finally:
        handle.remove()
    return found[0]


def renew_statistics(network: nn.Module, images: Tensor) -> None:
    """Let every batch normalization take its running statistics from `images`, in place."""
    norms = [each for each in network.modules() if isinstance(each, _NORMS)]
    kept = [(norm.momentum, norm.training) for norm in norms]
    try:
        with evaluating(network), torch.no_grad():
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # the mean over all images since the reset
                norm.train()
            network(images)
    finally:
        for norm, (momentum, training) in zip(norms, kept, strict=True):
            norm.momentum = momentum
            norm.train(training)
