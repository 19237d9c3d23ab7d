"""Where operators start: as loud as the layers whose places they take."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from syno.ir.errors import ModelError
from syno.nn.module import SynthesizedOperator
from syno.nn.sites import Site


def start_like(original: nn.Module, changed: nn.Module, sites: Sequence[Site]) -> None:
    """Scale the fresh weights of `changed` so that operators start with the layers' variance.

    An operator keeps the variance of its input at the start; networks that choose the scale of a
    layer on purpose, as GPT-2 does (0.02, and less before a sum), count on it. `original` has to be
    fresh as well: the standard deviation of a layer's weight and its number of terms give the
    factor, whose K-th root goes to each of an operator's K weights. Raises ModelError where no
    operator stands at a site.
    """
    for site in sites:
        weight = original.get_submodule(site.name).weight
        assert isinstance(weight, Tensor)  # a site is a convolution or a linear layer
        terms = weight.numel() / site.sizes["C_out"]
        gain = float(weight.detach().std()) * terms**0.5
        operator = _operator_at(changed, site)
        weights = list(operator.parameters())
        with torch.no_grad():
            for each in weights:
                each.mul_(gain ** (1 / len(weights)))


def _operator_at(changed: nn.Module, site: Site) -> SynthesizedOperator:
    for module in changed.get_submodule(site.name).modules():
        if isinstance(module, SynthesizedOperator):
            return module
    raise ModelError(f"No operator stands at the site {site.name}.")
