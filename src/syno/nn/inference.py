"""Operators for inference alone: what weights decide is computed once, and planned for free."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from syno.lower.backends import lower
from syno.lower.machine import Target
from syno.nn.module import SynthesizedOperator


class PreparedOperator(nn.Module):
    """A synthesized operator whose weights are arranged, multiplied and laid out already.

    It computes the same function and has buffers in the place of parameters: it is not to be
    trained. The plan may be another one, for what weights alone decide costs nothing here.
    """

    def __init__(self, trained: SynthesizedOperator, target: Target) -> None:
        super().__init__()
        self.op, self.sizes, self.scale = trained.op, trained.sizes, trained.scale
        self.target = target
        self._lower()
        weights = [parameter.detach() for parameter in trained.parameters()]
        with torch.no_grad():
            made = weights if self._prepare is None else self._prepare(*weights)
            for number, value in enumerate(made, start=1):
                self.register_buffer(
                    f"k{number}", value.clone(memory_format=torch.contiguous_format)
                )
        self.train(trained.training)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the operator."""
        y: Tensor = self._compute(x, *self.buffers())
        return y if self.scale == 1.0 else y * self.scale

    def extra_repr(self) -> str:
        """Show the formula where torch prints modules."""
        return str(self.op).replace("\n", "; ")

    def _lower(self) -> None:
        lowered = lower(self.op, self.sizes, "torch", inference=True, target=self.target)
        self._prepare, self._compute = lowered.prepare, lowered.compute or lowered.function

    def __getstate__(self) -> dict[str, Any]:
        """Leave the generated functions out: they are made again from the operator."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_prepare", "_compute")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._lower()


def for_inference(model: nn.Module, target: Target | None = None) -> nn.Module:
    """Return a copy of `model` in evaluation mode, its synthesized operators prepared.

    The copy computes what the model computes in evaluation mode. Compilers and timings take it; to
    train on, keep the model. `target` is what the copy will run on: eager torch with
    as many threads as now, if it is not given. A model without
    synthesized operators is returned as it is.
    """
    if not any(isinstance(each, SynthesizedOperator) for each in model.modules()):
        return model
    target = target or Target(threads=torch.get_num_threads())
    model = copy.deepcopy(model).eval()
    if isinstance(model, SynthesizedOperator):
        return PreparedOperator(model, target)
    for name, module in list(model.named_modules()):
        if isinstance(module, SynthesizedOperator):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, PreparedOperator(module, target))
    return model
