"""Sites: the layers of a model in whose place an operator can stand, found by tracing shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from syno.ir.errors import ModelError

_LEAST_CHANNELS = 8


@dataclass(frozen=True)
class Site:
    """One convolution or linear layer, with the sizes an operator would have there.

    `sizes` holds N, C_in, C_out and the height and width of the *output* (a strided site is pooled
    first); for a linear layer N (all leading dimensions together), C_in, C_out. `flops` counts one
    for each multiply-add of the original.
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


def find_sites(model: nn.Module, example_input: Tensor) -> list[Site]:
    """Return all convolutions and linear layers that one forward of `model` reaches."""
    found: dict[str, Site] = {}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            handles.append(module.register_forward_hook(_recorder(name, found)))
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            model(example_input)
    finally:
        for module, mode in modes:  # a frozen part may be in another mode than the whole
            module.training = mode
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


def _recorder(name: str, found: dict[str, Site]) -> Callable[..., None]:
    def record(module: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> None:
        shapes = tuple(inputs[0].shape), tuple(result.shape)
        if isinstance(module, nn.Conv2d):
            found[name] = _convolution(name, module, *shapes)
        elif isinstance(module, nn.Linear):
            found[name] = _linear(name, module, *shapes)

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


def _linear(
    name: str, linear: nn.Linear, shape_in: tuple[int, ...], shape_out: tuple[int, ...]
) -> Site:
    rows = prod(shape_in[:-1])
    sizes = {"N": rows, "C_in": linear.in_features, "C_out": linear.out_features}
    entries = linear.weight.numel()
    return Site(name, "linear", sizes, 1, (1,), 1, shape_in, shape_out, entries, entries * rows)
