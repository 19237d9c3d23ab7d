"""All models by name, each with what it expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from syno.evaluate import library_models as library
from syno.evaluate.small_models import ConvNet, ResNet20
from syno.ir.errors import ModelError


@dataclass(frozen=True)
class ModelInfo:
    """A model of the registry.

    `input_shape` is that of a batch of one: (1, channels, height, width) of an image, or (1,
    length) of a text, whose tokens are numbers below `vocabulary` (None: the input is no text).

    A search times candidates under `mode`: compiled, as a network is deployed, unless compiling
    would take longer than the training. `sites` are the patterns of `syno.nn.select_sites` that say
    which layers a benchmark replaces; none: those that a search replaces.
    """

    name: str
    input_shape: tuple[int, ...]
    classes: int
    default_data: str | None
    make: Callable[[], nn.Module]
    summary: str
    mode: str = "compile"
    vocabulary: int | None = None
    sites: tuple[str, ...] = ()

    def example_input(self, batch: int = 1) -> Tensor:
        """Return random input of a batch: float32 pixels, or int64 tokens."""
        shape, generator = (batch, *self.input_shape[1:]), torch.Generator().manual_seed(0)
        if self.vocabulary is None:
            return torch.randn(shape, generator=generator)
        return torch.randint(self.vocabulary, shape, generator=generator)


def info(name: str) -> ModelInfo:
    """Return the registry's row for `name`; ModelError for an unknown one."""
    if name not in MODELS:
        known = ", ".join(sorted(MODELS))
        raise ModelError(f"There is no model called {name!r}; known are: {known}.")
    return MODELS[name]


def build(name: str, *, seed: int = 0) -> nn.Module:
    """Return a freshly initialized model; the seed fixes its weights.

    Raises ModelError for an unknown name, and where the library that defines a model is missing.
    """
    found = info(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return found.make()


_IMAGE = (1, 3, 224, 224)


def _cifar(name: str, make: Callable[[], nn.Module], summary: str) -> ModelInfo:
    return ModelInfo(name, (1, 3, 32, 32), 10, "cifar10", make, summary)


def _imagenet(
    name: str, make: Callable[[], nn.Module], summary: str, sites: tuple[str, ...] = ()
) -> ModelInfo:
    return ModelInfo(name, _IMAGE, 1000, None, make, summary, sites=sites)


def _small_gpt2(name: str, make: Callable[[], nn.Module], summary: str) -> ModelInfo:
    return ModelInfo(
        name,
        (1, 128),
        4096,
        None,  # text is no data set of images: bench/language.py trains it
        make,
        summary,
        vocabulary=4096,
        sites=("*.c_attn", "*.mlp.*"),
    )


MODELS: Mapping[str, ModelInfo] = {
    row.name: row
    for row in (
        ModelInfo(
            "convnet",
            (1, 1, 8, 8),
            10,
            "digits",
            ConvNet,
            "small ConvNet for 8x8 digits",
            mode="eager",
        ),
        _cifar("resnet20", ResNet20, "CIFAR ResNet-20"),
        _cifar("resnet18-cifar", library.resnet18_cifar, "ResNet-18 with a stem for CIFAR"),
        _cifar(
            "resnet18-cifar-16",
            library.resnet18_cifar_16,
            "the same with a quarter of the channels, for a processor",
        ),
        _imagenet("resnet18", library.resnet18, "torchvision's ResNet-18"),
        _imagenet("resnet34", library.resnet34, "torchvision's ResNet-34"),
        _imagenet("densenet121", library.densenet121, "torchvision's DenseNet-121"),
        _imagenet(
            "resnext29-2x64d",
            library.resnext29_2x64d,
            "ResNeXt-29 of torchvision's blocks",
            sites=("grouped",),  # all its windows are: a search has no place there
        ),
        _imagenet("efficientnetv2-s", library.efficientnetv2_s, "torchvision's EfficientNetV2-S"),
        _imagenet("vit-s", library.vit_s, "timm's ViT-S/16", sites=("*.mlp.*",)),
        ModelInfo(
            "gpt2",
            (1, 512),
            50_257,
            None,
            library.Gpt2,
            "transformers' GPT-2, small",
            vocabulary=50_257,
            sites=("*.c_attn", "*.mlp.*"),
        ),
        _small_gpt2("gpt2-mini", library.gpt2_mini, "GPT-2, 4 layers of width 256"),
        _small_gpt2("gpt2-midi", library.gpt2_midi, "GPT-2, 6 layers of width 384"),
    )
}
