"""Networks defined by libraries, with random weights: torchvision's, timm's, transformers'.

torchvision is a dependency of Syno, so that whatever it has comes from it; timm and transformers
belong to the extra `models` and are imported when a network of theirs is built.
"""

from __future__ import annotations

from collections import OrderedDict
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from syno.evaluate.torchvision_compat import import_torchvision
from syno.ir.errors import ModelError

_CAUSAL = "syno_causal"


def resnet18() -> nn.Module:
    """ResNet-18 (He, Zhang, Ren, Sun 2016), torchvision's."""
    return _torchvision("resnet18")


def resnet18_cifar(width: int = 64, classes: int = 10) -> nn.Module:
    """ResNet-18 for 32x32 images: torchvision's, its stem a 3x3 window without stride or pooling.

    So it is trained on CIFAR in many papers since He et al. (2016). The four stages have `width`
    channels and twice, four and eight times as many; with 64, parameters are named as in
    torchvision's, which has no narrower ones.
    """
    parts: Any = import_torchvision().models.resnet
    stem = nn.Conv2d(3, width, 3, 1, 1, bias=False)
    named: dict[str, nn.Module] = {"conv1": stem, "bn1": nn.BatchNorm2d(width), "relu": nn.ReLU()}
    inside = width
    for number, outside in enumerate((width, 2 * width, 4 * width, 8 * width), start=1):
        stride, shortcut = 1, None
        if outside > inside:
            stride, norm = 2, nn.BatchNorm2d(outside)
            shortcut = nn.Sequential(parts.conv1x1(inside, outside, stride), norm)
        first = parts.BasicBlock(inside, outside, stride, shortcut)
        named[f"layer{number}"] = nn.Sequential(first, parts.BasicBlock(outside, outside))
        inside = outside
    named |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    network = nn.Sequential(OrderedDict({**named, "fc": nn.Linear(inside, classes)}))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def resnet18_cifar_16() -> nn.Module:
    """ResNet-18 for CIFAR with a quarter of the channels: one that a processor can train."""
    return resnet18_cifar(16)


def resnet34() -> nn.Module:
    """ResNet-34 (He, Zhang, Ren, Sun 2016), torchvision's."""
    return _torchvision("resnet34")


def densenet121() -> nn.Module:
    """DenseNet-121 (Huang, Liu, van der Maaten, Weinberger 2017), torchvision's."""
    return _torchvision("densenet121")


def efficientnetv2_s() -> nn.Module:
    """EfficientNetV2-S (Tan, Le 2021), torchvision's.

    timm's `tf_efficientnetv2_s` has the same weights but pads strided layers as TensorFlow does, on
    one side: more work that no operator changes.
    """
    return _torchvision("efficientnet_v2_s")


def resnext29_2x64d() -> nn.Module:
    """ResNeXt-29, 2x64d (Xie, Girshick, Dollar, Tu, He 2017, section 5.3), for 224x224 images.

    No library has it whole. The paper's network for CIFAR has three stages of three blocks, with
    256, 512 and 1024 channels at their ends: these are the first three stages of torchvision's
    ResNet of such blocks. The stem, the pooling after it and the 1000 classes are those for
    ImageNet.
    """
    resnet = import_torchvision().models.resnet
    network = resnet.ResNet(resnet.Bottleneck, [3, 3, 3, 1], groups=2, width_per_group=64)
    network.layer4 = nn.Identity()
    network.fc = nn.Linear(1024, 1000)
    made: nn.Module = network
    return made


def vit_s() -> nn.Module:
    """ViT-S/16 (Dosovitskiy et al. 2021; the small one of Touvron et al. 2021), timm's."""
    made: nn.Module = _library("timm", "vit-s").create_model("vit_small_patch16_224")
    return made


class Gpt2(nn.Module):
    """GPT-2, small (Radford et al. 2019), from tokens to logits: transformers' network inside.

    Its projections are modules of the class `Conv1D`, which are linear layers. Attention is torch's
    causal one under a name that the library has no masks for: else it looks into the input for
    several texts in one, and what is compiled or exported computes a mask that eager code does not.

    `layers`, `width` and `heads` are those of the small one by default. `length` is the longest
    text and `tokens` the size of the vocabulary; `dropout` is the share that training drops.
    `activation` is the library's name of one; `gelu_pytorch_tanh` computes what the default does,
    in one kernel.
    """

    def __init__(
        self,
        layers: int = 12,
        *,
        width: int = 768,
        heads: int = 12,
        length: int = 1024,
        tokens: int = 50_257,
        dropout: float = 0.1,
        activation: str = "gelu_new",
    ) -> None:
        super().__init__()
        library: Any = _library("transformers", "gpt2")
        attention = import_module("transformers.integrations.sdpa_attention").sdpa_attention_forward
        library.AttentionInterface.register(_CAUSAL, attention)
        config = library.GPT2Config(
            n_layer=layers,
            n_embd=width,
            n_head=heads,
            n_positions=length,
            vocab_size=tokens,
            bos_token_id=0,
            eos_token_id=0,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            activation_function=activation,
            use_cache=False,
            attn_implementation=_CAUSAL,
        )
        self.gpt2 = library.GPT2LMHeadModel(config)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, length) tokens to (batch, length, vocabulary) logits."""
        logits: Tensor = self.gpt2(tokens).logits
        return logits


def gpt2_mini() -> nn.Module:
    """GPT-2 with 4 layers of width 256, for texts of 128 tokens out of 4,096.

    It sees a text once: nothing is dropped.
    """
    return _small_gpt2(layers=4, width=256, heads=4)


def gpt2_midi() -> nn.Module:
    """GPT-2 with 6 layers of width 384, for texts of 128 tokens out of 4,096."""
    return _small_gpt2(layers=6, width=384, heads=6)


def _small_gpt2(layers: int, width: int, heads: int) -> nn.Module:
    fused = "gelu_pytorch_tanh"
    sizes = {"width": width, "heads": heads, "length": 128, "tokens": 4096}
    return Gpt2(layers, **sizes, dropout=0.0, activation=fused)


def _torchvision(name: str) -> nn.Module:
    made: nn.Module = getattr(import_torchvision().models, name)(weights=None)
    return made


def _library(package: str, model: str) -> ModuleType:
    if find_spec(package) is None:
        raise ModelError(
            f"The model {model} is defined by {package}, not installed here: "
            "pip install 'syno[models]'."
        )
    import_torchvision()  # both import it, perhaps beside a torch that it was not made for
    return import_module(package)
