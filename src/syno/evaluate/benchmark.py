"""A network against itself with an operator at chosen sites: as a whole, and site by site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from syno.evaluate.latency import compare
from syno.ir.errors import SizeError
from syno.ir.operator import Operator
from syno.lower.plan import plan
from syno.nn.sites import Site, find_sites
from syno.nn.substitution import count_parameters, replacement, sizes_at, substitute


@dataclass(frozen=True)
class Place:
    """Sites of one shape: what stands there, and what it costs at one of them.

    Pairs are of the original and of the operator. `multiply_adds` count one for each
    multiply-add of one forward, `parameters` include a bias.
    """

    sites: tuple[Site, ...]
    layers: tuple[nn.Module, nn.Module]
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        site = self.sites[0]
        return {
            "form": site.form,
            **{
                name: site.sizes[name] for name in ("C_in", "C_out", "H", "W") if name in site.sizes
            },
            **({"rows": site.sizes["N"]} if site.kind == "linear" else {}),
            "kernel": list(site.kernel),
            "stride": site.stride,
            "groups": site.groups,
            "count": len(self.sites),
            "names": [each.name for each in self.sites],
            "parameters": list(self.parameters),
            "multiply_adds": list(self.multiply_adds),
        }


@dataclass(frozen=True)
class Replaced:
    """A network and its copy with an operator at `places`.

    `left_alone` says where it does not fit, and why; `coefficients` are the sizes of its symbols
    that are no sizes of a site.
    """

    original: nn.Module
    changed: nn.Module
    places: tuple[Place, ...]
    left_alone: Mapping[str, str]
    coefficients: Mapping[str, int]

    @property
    def parameters(self) -> tuple[int, int]:
        """Trainable parameters of the whole network, before and after."""
        return count_parameters(self.original), count_parameters(self.changed)

    @property
    def removed(self) -> float:
        """The share of the network's parameters that is gone; below 0 where some were added."""
        before, after = self.parameters
        return (before - after) / before

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Multiply-adds of one forward at all places, before and after."""
        pairs = [(len(place.sites), *place.multiply_adds) for place in self.places]
        return sum(n * one for n, one, _ in pairs), sum(n * two for n, _, two in pairs)


def replace_sites(
    model: nn.Module,
    op: Operator,
    sites: Sequence[Site],
    example_input: Tensor,
    *,
    coefficients: Mapping[str, int],
    seed: int = 0,
) -> Replaced:
    """Put `op` at those of `sites` where it fits.

    `coefficients` join the sizes of every site. Raises SizeError, naming the first site, where it
    fits none.
    """
    tried = [(group, _misfit(op, group[0], coefficients, seed)) for group in _by_shape(sites)]
    fitting = [group for group, reason in tried if reason is None]
    if not fitting:
        raise SizeError(f"{tried[0][1]} (It fits none of the {len(sites)} chosen sites.)")
    names = {site.name for group in fitting for site in group}
    assignment = {site.name: op for site in sites if site.name in names}
    changed = substitute(model, assignment, example_input, coefficients=coefficients, seed=seed)
    places = tuple(_place(group, op, model, changed, coefficients) for group in fitting)
    left = {site.name: reason for group, reason in tried if reason is not None for site in group}
    own = op.symbols - sizes_at(op, fitting[0][0], {}).keys()
    given = {name: coefficients[name] for name in sorted(own)}
    return Replaced(model, changed, places, left, given)


def replace_assigned(
    model: nn.Module, assignment: Mapping[str, Operator], example_input: Tensor, *, seed: int = 0
) -> Replaced:
    """Put operators without coefficients at sites, by name; what stands at none stays.

    Raises ModelError for a name that is no site, SizeError, naming the site, for an operator that
    does not fit.
    """
    changed = substitute(model, assignment, example_input, seed=seed)
    sites = [site for site in find_sites(model, example_input) if site.name in assignment]
    places = tuple(
        _place(group, op, model, changed, {})
        for op in dict.fromkeys(assignment.values())
        for group in _by_shape(site for site in sites if assignment[site.name] is op)
    )
    return Replaced(model, changed, places, {}, {})


def compare_places(
    replaced: Replaced,
    *,
    backend: str = "torch",
    threads: int = 1,
    rounds: int = 15,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterable[dict[str, Any]]:
    """Time the layer and the operator of each place in isolation, on random input.

    Yields plain data, one place at a time: that of the place, with the comparison as
    `syno.evaluate.latency.compare` returns it.
    """
    for number, place in enumerate(replaced.places):
        if on_progress is not None:
            on_progress(number, len(replaced.places))
        x = torch.randn(place.sites[0].input_shape, generator=torch.Generator().manual_seed(0))
        options: Any = {"threads": threads, "rounds": rounds, "alone": alone}
        found = compare(*place.layers, x, backend=backend, **options)
        yield {**place.to_dict(), "latency": found.to_dict()}


def _by_shape(sites: Iterable[Site]) -> list[tuple[Site, ...]]:
    """Return the sites in groups of one shape, in the order of the network."""
    groups: dict[tuple[Any, ...], list[Site]] = {}
    for site in sites:
        shapes = site.input_shape, site.output_shape
        key = (site.kind, site.kernel, site.stride, site.groups, site.parameters, *shapes)
        groups.setdefault(key, []).append(site)
    return [tuple(group) for group in groups.values()]


def _misfit(op: Operator, site: Site, coefficients: Mapping[str, int], seed: int) -> str | None:
    """Return why `op` cannot stand at `site`; None where it can."""
    try:
        replacement(op, site, coefficients, seed=seed)
    except SizeError as error:
        return str(error)
    return None


def _place(
    group: tuple[Site, ...],
    op: Operator,
    model: nn.Module,
    changed: nn.Module,
    coefficients: Mapping[str, int],
) -> Place:
    site = group[0]
    layers = model.get_submodule(site.name), changed.get_submodule(site.name)
    after = plan(op, sizes_at(op, site, coefficients)).flops
    counts = count_parameters(layers[0]), count_parameters(layers[1])
    return Place(group, layers, counts, (site.flops, after))
