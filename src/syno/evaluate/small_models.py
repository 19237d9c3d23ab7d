"""Small networks written here: a ConvNet for digits, and the ResNet-20 of CIFAR."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ConvNet(nn.Module):
    """A small network for 8x8 digits: the image twice enlarged, a stem, six 3x3 convolutions."""

    def __init__(self, width: int = 64, depth: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.stem = _conv_bn(1, width)
        self.first = nn.ModuleList(_conv_bn(width, width) for _ in range(depth))
        self.down = _conv_bn(width, 2 * width, stride=2)
        self.second = nn.ModuleList(_conv_bn(2 * width, 2 * width) for _ in range(depth - 1))
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, 8, 8) to (batch, classes)."""
        x = F.relu(self.stem(F.interpolate(x, scale_factor=2.0)))
        for layer in self.first:
            x = F.relu(x + layer(x))
        x = F.relu(self.down(x))
        for layer in self.second:
            x = F.relu(x + layer(x))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He, Zhang, Ren, Sun 2016)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.stride = stride
        self.extra = outside - inside

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inside, h, w) to (batch, outside, h / stride, w / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.stride > 1 or self.extra:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return F.relu(out + x)


class ResNet20(nn.Module):
    """CIFAR ResNet-20 with parameter-free shortcuts (He et al. 2016, section 4.2, option A)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, 1)
        self.layer2 = self._layer(16, 32, 2)
        self.layer3 = self._layer(32, 64, 2)
        self.fc = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def _layer(inside: int, outside: int, stride: int) -> nn.Sequential:
        rest = [BasicBlock(outside, outside, 1) for _ in range(2)]
        return nn.Sequential(BasicBlock(inside, outside, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, 32, 32) to (batch, classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        scores: Tensor = self.fc(x.mean((2, 3)))
        return scores


def _conv_bn(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside))
