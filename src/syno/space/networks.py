"""Specs of networks: what is asked of an operator in the place of their layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from syno.space.spec import Limits, Spec

COEFFICIENTS: Mapping[str, int] = {"k": 3, "s": 2, "g": 4}
_POWERS: Mapping[str, int] = {"k": 2, "s": 1, "g": 1}
_REDUCTIONS = ("C_in", "C_in/g", "C_in/s", "C_out/g", "C_out/s", "C_out/(g*s)", "k", "g", "s")
_BLOCKS = ("C_out/g", "C_out/s", "g", "s")

_FEW_PRUNES = ("contraction-without-outer",)  # else no convolution is depthwise or separable


def convolution_spec(bindings: Iterable[Mapping[str, int]], name: str = "conv2d") -> Spec:
    """Return the spec of operators in the place of 2-D convolutions.

    `bindings` hold C_in, C_out, H, W of every site; the coefficients k=3, s=2, g=4 are added.
    """
    sites = {(b["C_in"], b["C_out"], b["H"], b["W"]) for b in bindings}
    bound = tuple(
        {"N": 1, "C_in": i, "C_out": o, "H": h, "W": w, **COEFFICIENTS}
        for i, o, h, w in sorted(sites)
    )
    return Spec(
        name,
        ("N", "C_in", "H", "W"),
        ("N", "C_out", "H", "W"),
        _POWERS,
        bound,
        fixed=("N",),
        windowed=("H", "W"),
        untasted=_FEW_PRUNES,
        reductions=_REDUCTIONS,
        blocks=_BLOCKS,
        limits=Limits(weight_parameters=40),
    )


_CONVNET = [
    {"C_in": 64, "C_out": 64, "H": 16, "W": 16},
    {"C_in": 64, "C_out": 128, "H": 8, "W": 8},
    {"C_in": 128, "C_out": 128, "H": 8, "W": 8},
]


def _convnet() -> Spec:
    """The question that the small network of the tutorial asks."""
    return convolution_spec(_CONVNET, "convnet")


_RESNET18 = {
    (64, 64, 56): 4,
    (64, 128, 28): 2,
    (128, 128, 28): 3,
    (128, 256, 14): 2,
    (256, 256, 14): 3,
    (256, 512, 7): 2,
    (512, 512, 7): 3,
}


def _resnet18_imagenet() -> Spec:
    """The question that the published search asks of ResNet-18 (ASPLOS 2025, its options)."""
    constants = {"N": 1, "k_1": 3, "k_2": 7, "s": 2, "g": 32}
    parts = ("", "/s", "/s^2", "/g", "*s/g", "*s^2/g")
    return Spec(
        "resnet18-imagenet",
        ("N", "C_in", "H", "H"),
        ("N", "C_out", "H", "H"),
        {"k_1": 2, "k_2": 2, "s": 2, "g": 3},
        tuple({"C_in": i, "C_out": o, "H": h, **constants} for i, o, h in _RESNET18),
        fixed=("N",),
        untasted=_FEW_PRUNES,
        reductions=(
            *(f"C_in{part}" for part in parts),
            *(f"C_out{part}" for part in parts),
            *("k_1", "k_2", "s", "s^2", "g/s^2", "g/s", "g"),
        ),
        blocks=(*(f"C_out{part}" for part in parts[1:]), "s", "s^2", "g/s^2", "g/s", "g"),
        limits=Limits(
            steps=12,
            reductions=5,
            splits=3,
            shifts=2,
            weight_parameters=100,
            flops=(145_361_075, 1_513_172_531),
            domain=4,
            rank=8,
        ),
        powers={"C_in": 2, "C_out": 4, "H": 1},
        occurrences=tuple(_RESNET18.values()),
    )


def _gpt2_linear() -> Spec:
    """The projection of GPT-2 to queries, keys and values: 768 to 2304 channels."""
    return Spec(
        "gpt2-linear",
        ("N", "T", "C"),
        ("N", "T", "3*C"),
        {"s": 2, "g": 1},
        ({"N": 1, "T": 512, "C": 768, "s": 2, "g": 16},),
        fixed=("N",),
        untasted=_FEW_PRUNES,
        reductions=("C", "C/s", "C/s^2", "C/g", "C/(g*s)", "s", "s^2", "g", "g*s"),
        blocks=("C/s", "C/g", "3*C/s", "3*C/g", "s", "s^2", "g", "g*s"),
        limits=Limits(steps=10, merges=2, shifts=0, unfolds=0, weight_parameters=100),
    )


def _vit_mlp() -> Spec:
    """Both layers of the MLP in a block of ViT-S: 384 to 1536 channels, and back."""
    sizes = {"N": 1, "T": 197, "s": 2, "g": 32}
    return Spec(
        "vit-mlp",
        ("N", "T", "C_in"),
        ("N", "T", "C_out"),
        {"s": 2, "g": 1},
        ({**sizes, "C_in": 384, "C_out": 1536}, {**sizes, "C_in": 1536, "C_out": 384}),
        fixed=("N",),
        untasted=_FEW_PRUNES,
        reductions=("C_in", "C_in/s", "C_in/s^2", "C_in/g", "C_out/g", "s", "s^2", "g"),
        blocks=("C_out/s", "C_out/s^2", "C_out/g", "s", "s^2", "g"),
        limits=Limits(steps=10, shifts=0, unfolds=0, weight_parameters=100),
    )


NETWORKS: Mapping[str, Callable[[], Spec]] = {
    "convnet": _convnet,
    "gpt2-linear": _gpt2_linear,
    "resnet18-imagenet": _resnet18_imagenet,
    "vit-mlp": _vit_mlp,
}
"""The specs by name."""
