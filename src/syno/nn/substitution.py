"""Substitution: a copy of a model with operators in the place of layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn

from syno.ir.errors import ModelError, SizeError
from syno.ir.operator import Operator
from syno.lower.plan import plan
from syno.nn.initialization import constant_scale
from syno.nn.modes import evaluating
from syno.nn.module import SynthesizedOperator
from syno.nn.pooling import AveragePool
from syno.nn.sites import Site, find_sites


class WithBias(nn.Module):
    """A module followed by the bias of the layer that it replaces, on dimension `dimension`."""

    def __init__(self, inner: nn.Module, bias: Tensor, dimension: int) -> None:
        super().__init__()
        self.inner = inner
        self.bias = nn.Parameter(bias.detach().clone())
        self.dimension = dimension

    def forward(self, x: Tensor) -> Tensor:
        """Apply the module and add the bias."""
        y: Tensor = self.inner(x)
        shape = [1] * y.dim()
        shape[self.dimension] = -1
        return y + self.bias.reshape(shape)


class OnRows(nn.Module):
    """An operator on rows `[N, C_in]`, applied to all leading dimensions together.

    Whatever dimensions follow the rows in its result become one.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator to the rows of x."""
        y: Tensor = self.inner(x.reshape(-1, x.shape[-1]))
        return y.reshape(*x.shape[:-1], -1)


def substitute(
    model: nn.Module,
    assignment: Mapping[str, Operator],
    example_input: Tensor,
    *,
    coefficients: Mapping[str, int] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Return a deep copy of `model` with the operators of `assignment`, by site name.

    A strided convolution becomes average pooling followed by the operator; a bias is kept. The new
    weights have the type and the device of the old. `coefficients` (k, s, g, ...) join the sizes of
    every site. Raises ModelError for a name that is no site, SizeError (naming the site) where an
    operator does not fit.
    """
    sites = {site.name: site for site in find_sites(model, example_input)}
    changed = copy.deepcopy(model)
    for number, (name, op) in enumerate(assignment.items()):
        if name not in sites:
            raise ModelError(f"{name!r} is no site; sites are: {', '.join(sites) or 'none'}.")
        site = sites[name]
        original = changed.get_submodule(name)
        made = replacement(op, site, coefficients or {}, seed=seed + number)
        changed = _put(changed, name, _finished(made, original, site))
    _check(changed, example_input, model)
    return changed


def replacement(
    op: Operator, site: Site, coefficients: Mapping[str, int], *, seed: int = 0
) -> nn.Module:
    """Return the module that stands at `site`, without the bias; SizeError where it cannot."""
    try:
        sizes = sizes_at(op, site, coefficients)
        rows = _takes_rows(op, site, sizes)
        if not rows:
            _same("input", op.input_shape(sizes), _pooled(site))
            _same("output", op.output_shape(sizes), site.output_shape)
        made: nn.Module = SynthesizedOperator(op, sizes, seed=seed, scale=constant_scale(op, sizes))
    except SizeError as error:
        raise SizeError(f"The operator does not fit the site {site.name}: {error}") from None
    if rows:
        return OnRows(made)
    if site.stride == 1:
        return made
    return nn.Sequential(AveragePool(site.stride), made)


def sizes_at(op: Operator, site: Site, coefficients: Mapping[str, int]) -> dict[str, int]:
    """Return what the symbols of `op` stand for at `site`.

    Where a linear layer gets an operator on two dimensions, the first is the rows, whatever its
    symbol (`[T, C_in]`).
    """
    sizes = {**coefficients, **site.sizes}
    if site.kind == "linear" and len(op.input) == 2:
        symbol = str(op.input[0])
        if symbol.isidentifier() and symbol not in {"C_in", "C_out"}:
            sizes[symbol] = site.sizes["N"]
    return sizes


def _takes_rows(op: Operator, site: Site, sizes: Mapping[str, int]) -> bool:
    """Tell whether `op` maps the rows of a linear layer, in other shapes than the layer does."""
    if site.kind != "linear":
        return False
    rows = sizes["N"], sizes["C_in"]
    count, *last = op.output_shape(sizes)
    fits = op.input_shape(sizes) == rows and (count, prod(last)) == (rows[0], sizes["C_out"])
    return fits and (site.input_shape != rows or len(last) != 1)


def _pooled(site: Site) -> tuple[int, ...]:
    """Return the shape that the operator is given: a strided site is pooled first."""
    if site.kind != "conv2d":
        return site.input_shape
    lengths = (-(-length // site.stride) for length in site.input_shape[2:])
    return (*site.input_shape[:2], *lengths)


def site_flops(op: Operator, site: Site, coefficients: Mapping[str, int]) -> int:
    """Return the multiply-adds of `op` at `site` for a batch of one, one for each multiply-add.

    The batch is the first dimension of the layer's input.
    """
    rows = 1 if site.kind == "conv2d" else prod(site.input_shape[1:-1])
    one = replace(site, sizes={**site.sizes, "N": rows})
    return plan(op, sizes_at(op, one, coefficients)).flops


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _finished(made: nn.Module, original: nn.Module, site: Site) -> nn.Module:
    """Bring `made` to where the original's weight is, with its type, mode and bias."""
    weight, bias = original.weight, getattr(original, "bias", None)
    assert isinstance(weight, Tensor)  # a site is a convolution or a linear layer
    made = made.to(weight.device, weight.dtype).train(original.training)
    if bias is None:
        return made
    return WithBias(made, bias, 1 if site.kind == "conv2d" else -1).train(original.training)


def _put(model: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Return `model` with `module` at `name`; `module` itself where the model is the site."""
    if not name:
        return module
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)
    return model


def _same(what: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise SizeError(f"its {what} has shape {found}, the layer's has {wanted}.")


def _check(changed: nn.Module, example_input: Tensor, model: nn.Module) -> None:
    """Run both models once: the result has to have the same shape."""
    with evaluating(changed, model), torch.no_grad():
        _same("output", tuple(changed(example_input).shape), tuple(model(example_input).shape))
