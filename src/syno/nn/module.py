"""A synthesized operator as a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from syno.ir.operator import Operator
from syno.lower.backends import load_source, lower
from syno.nn.initialization import weight_std


class SynthesizedOperator(nn.Module):
    """The operator `op` under `sizes`, with one parameter for each weight: `w1`, `w2`, ....

    The input has shape `op.input_shape(sizes)`, except that a leading dimension that passes
    untouched (the batch) may have any extent. The weights keep the variance of the input at the
    start (design section 6); `seed` fixes them. The result is multiplied by `scale`, which serves
    operators without weights. Raises OperatorError or SizeError where `sizes` do not fit.
    """

    def __init__(
        self,
        op: Operator,
        sizes: Mapping[str, int],
        *,
        seed: int | None = None,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.op = op
        self.sizes = {name: int(value) for name, value in sizes.items()}
        self.scale = scale
        for name, shape in op.weight_shapes(self.sizes).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self._lower()
        self.reset_parameters(seed)

    def reset_parameters(self, seed: int | None = None) -> None:
        """Draw the weights anew; without a seed, from torch's global generator."""
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        std = weight_std(self.op, self.sizes)
        with torch.no_grad():
            for parameter in self.parameters():
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(drawn * std)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator."""
        y: Tensor = self._function(x, *self.parameters())
        return y if self.scale == 1.0 else y * self.scale

    @property
    def source(self) -> str:
        """The Python source that `forward` runs."""
        return self._source

    def use_source(self, source: str) -> None:
        """Let `forward` run other source of the torch backend, of the same operator and sizes.

        A copy of the module, or one that is read from a file, runs its own again.
        """
        self._source, self._function = source, load_source(source, "torch").forward

    def extra_repr(self) -> str:
        """Show the formula where torch prints modules."""
        return str(self.op).replace("\n", "; ")

    def _lower(self) -> None:
        lowered = lower(self.op, self.sizes, "torch")
        self._source, self._function = lowered.source, lowered.function

    def __getstate__(self) -> dict[str, Any]:
        """Leave the generated function out: it is made again from the operator."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_function", "_source")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._lower()
