"""Put an operator in the place of the convolutions of your own model.

Run it with `python examples/replace_a_layer.py`; it takes some seconds and trains nothing. It shows
the four steps: find the sites, choose an operator, substitute it, use the result as any module.
"""

# ruff: noqa: T201 -- an example prints

from __future__ import annotations

import torch
from torch import Tensor, nn

import syno
from syno.nn import find_sites, replaceable, substitute
from syno.nn.substitution import count_parameters, site_flops

COEFFICIENTS = {"k": 3, "g": 4}  # the small constants in the formula

# A window over each channel, then a grouped product over the channels.
OPERATOR = """
[N, C_in, H, W] -> [N, C_out, H, W]
y[n,o,h,w] = sum[c:C_in/g, a:k, b:k] x[n, (o // (C_out/g))*(C_in/g) + c, h+a-k//2, w+b-k//2]
             * w1[o,c] * w2[o // (C_out/g),c,a,b]
"""


class MyNetwork(nn.Module):
    """A network that Syno knows nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.body = nn.Sequential(
            nn.Conv2d(16, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, 10)."""
        features: Tensor = self.body(torch.relu(self.stem(x)))
        scores: Tensor = self.head(features.mean((2, 3)))
        return scores


def main() -> None:
    """Replace the convolutions of the body, check the shape, take one step of training."""
    torch.manual_seed(0)
    model, example = MyNetwork(), torch.randn(1, 3, 32, 32)
    op = syno.parse(OPERATOR)
    print(op)

    sites = replaceable(find_sites(model, example))  # ungrouped windows with 8 channels or more
    for site in sites:
        before, after = site.flops, site_flops(op, site, COEFFICIENTS)
        print(f"{site.name}: {before:,} multiply-adds before, {after:,} after")

    assignment = {site.name: op for site in sites}
    changed = substitute(model, assignment, example, coefficients=COEFFICIENTS)
    print(f"parameters: {count_parameters(model):,} before, {count_parameters(changed):,} after")

    images, labels = torch.randn(8, 3, 32, 32), torch.randint(10, (8,))  # any batch
    optimizer = torch.optim.SGD(changed.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy(changed(images), labels)
    loss.backward()
    optimizer.step()
    print(f"output {tuple(changed(images).shape)}; the new weights are random: train the model")


if __name__ == "__main__":
    main()
