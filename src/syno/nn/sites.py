"""Sites: the layers of a model in whose place an operator can stand, found by tracing shapes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod

import torch
from torch import Tensor, nn

from syno.ir.errors import ModelError
from syno.nn.modes import evaluating

_LEAST_CHANNELS = 8


@dataclass(frozen=True)
class Site:
    """One convolution or linear layer, with the sizes an operator would have there.

    `sizes` holds N, C_in, C_out and the height and width of the *output* (a strided site is pooled
    first); for a linear layer N (all leading dimensions together), C_in, C_out. `flops` counts one
    for each multiply-add of the original.

    `kind` is `conv2d` or `linear`; the class `Conv1D` of transformers, a linear layer whose weight
    is transposed, is `linear` as well.
    """

    name: str
    kind: str
    sizes: Mapping[str, int]
    stride: int
    kernel: tuple[int, ...]
    groups: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    flops: int

    @property
    def form(self) -> str:
        """What patterns call it: `linear`, `grouped`, or by its window, as in `conv3x3`."""
        if self.kind == "linear":
            return "linear"
        return "grouped" if self.groups > 1 else f"conv{self.kernel[0]}x{self.kernel[1]}"


def find_sites(model: nn.Module, example_input: Tensor) -> list[Site]:
    """Return all convolutions and linear layers that one forward of `model` reaches."""
    found: dict[str, Site] = {}
    handles = []
    classes: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.Linear, *_conv1d())
    for name, module in model.named_modules():
        if isinstance(module, classes):
            handles.append(module.register_forward_hook(_recorder(name, found)))
    try:
        with evaluating(model), torch.no_grad():
            model(example_input)
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())


def replaceable(sites: Sequence[Site], model_name: str = "the model") -> list[Site]:
    """Return the sites a search replaces: square windows, ungrouped, not the stem.

    Raises ModelError where there is none.
    """
    chosen = [
        site
        for site in sites
        if site.kind == "conv2d"
        and site.groups == 1
        and min(site.kernel) > 1
        and site.sizes["C_in"] >= _LEAST_CHANNELS
    ]
    if not chosen:
        raise ModelError(
            f"There is no site for an operator in {model_name}: it has {len(sites)} convolutions "
            "and linear layers, and none is an ungrouped convolution with a window wider than 1 "
            f"and at least {_LEAST_CHANNELS} input channels. Choose another model."
        )
    return chosen


def select_sites(
    sites: Sequence[Site], patterns: Sequence[str], model_name: str = "the model"
) -> list[Site]:
    """Return the sites that `patterns` choose; without any, those of `replaceable`.

    A pattern is the form of sites (`conv3x3`, `conv1x1`, `grouped`, `linear`) or their name, in
    which `*` stands for anything (`layer1.*`). One that begins with `!` takes sites away: from the
    chosen, or from those of `replaceable` where nothing else is said. Raises ModelError for a
    pattern that fits no site, and where none is left.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    for pattern in (*wanted, *unwanted):
        if not any(_fits(site, pattern) for site in sites):
            raise ModelError(_no_site(pattern, sites, model_name))
    chosen = [site for site in sites if any(_fits(site, each) for each in wanted)]
    chosen = chosen if wanted else replaceable(sites, model_name)
    left = [site for site in chosen if not any(_fits(site, each) for each in unwanted)]
    if not left:
        raise ModelError(f"The patterns {', '.join(patterns)} leave no site of {model_name}.")
    return left


def _fits(site: Site, pattern: str) -> bool:
    return site.form == pattern or fnmatchcase(site.name, pattern)


def _no_site(pattern: str, sites: Sequence[Site], model_name: str) -> str:
    forms = ", ".join(sorted({site.form for site in sites})) or "none"
    names = ", ".join(site.name for site in sites[:3])
    return (
        f"No site of {model_name} is called {pattern!r}. Give a form ({forms}) or a name with * in "
        f"it; there are {len(sites)} sites, such as {names}."
    )


def _conv1d() -> tuple[type[nn.Module], ...]:
    """Return the class of transformers' linear layers, where some model has loaded it."""
    found = getattr(sys.modules.get("transformers.pytorch_utils"), "Conv1D", None)
    return () if found is None else (found,)


def _recorder(name: str, found: dict[str, Site]) -> Callable[..., None]:
    def record(module: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        shapes = tuple(inputs[0].shape), tuple(result.shape)
        if isinstance(module, nn.Conv2d):
            found[name] = _convolution(name, module, *shapes)
        else:
            weight = module.weight
            assert isinstance(weight, Tensor)
            found[name] = _linear(name, weight.numel(), *shapes)

    return record


def _convolution(
    name: str, conv: nn.Conv2d, shape_in: tuple[int, ...], shape_out: tuple[int, ...]
) -> Site:
    if len(shape_out) != 4:
        raise ModelError(
            f"The layer {name} was given an input of shape {shape_in}, without a batch. Give an "
            "example input of shape (N, C, H, W)."
        )
    kernel = (int(conv.kernel_size[0]), int(conv.kernel_size[1]))
    batch, outside, height, width = shape_out
    sizes = {"N": batch, "C_in": conv.in_channels, "C_out": outside, "H": height, "W": width}
    entries = conv.weight.numel()
    return Site(
        name,
        "conv2d",
        sizes,
        int(conv.stride[0]),
        kernel,
        conv.groups,
        shape_in,
        shape_out,
        entries,
        entries * batch * height * width,
    )


def _linear(name: str, entries: int, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> Site:
    rows = prod(shape_in[:-1])
    sizes = {"N": rows, "C_in": shape_in[-1], "C_out": shape_out[-1]}
    return Site(name, "linear", sizes, 1, (1,), 1, shape_in, shape_out, entries, entries * rows)
