"""Zero-cost proxies: what a network at random start is thought to be worth, before any training.

Each costs one or two passes. They are what a search has to beat that trains anything. All of them
work on a copy, so that weights, modes and statistics of the network stay what they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from syno.ir.errors import ModelError

_NORMALIZATIONS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
)
_RELUS = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


def synflow(model: nn.Module, input_shape: Sequence[int]) -> float:
    """Return the synaptic flow of a network: the sum over its weights w of w * dR/dw.

    Tanaka, Kunin, Yamins, Ganguli 2020, "Pruning neural networks without any data by iteratively
    conserving synaptic flow", equation 2. R is the sum of the outputs where every weight is
    replaced by its absolute value and every input is 1. In a chain of linear layers and ReLUs each
    layer holds R of it, so that the sum is R times the number of layers. Biases are 0 and
    normalizations are left out (Abdelfattah et al. 2021, "Zero-cost proxies for lightweight NAS"):
    both add what flows through no weight. Computed in float64; `input_shape` includes the batch,
    commonly of one. It grows exponentially with depth: compare logarithms or ranks.
    """
    changed = copy.deepcopy(model).double().eval()
    weights = _absolute(changed)
    for module in changed.modules():
        if isinstance(module, _NORMALIZATIONS):
            module.register_forward_hook(_left_out)
    device = weights[0].device if weights else None
    ones = torch.ones(tuple(input_shape), dtype=torch.float64, device=device)
    flow = changed(ones).sum()
    gradients = _gradients(flow, weights)
    return float(sum((weight * slope).sum() for weight, slope in gradients))


def _absolute(model: nn.Module) -> list[Tensor]:
    """Replace weights by absolute values and biases by 0; return the weights."""
    weights = []
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.abs_()
            if name.rpartition(".")[2] == "bias":
                parameter.zero_()
            else:
                weights.append(parameter.requires_grad_())
    return weights


def _left_out(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> Tensor:
    return inputs[0]


def naswot(model: nn.Module, images: Tensor) -> float:
    """Return log |det K| of a batch, K counting the ReLUs that two images agree on.

    Mellor, Turner, Storkey, Crowley 2021, "Neural architecture search without training", equation
    2: the code of an image says which ReLUs let it through; K is the number of ReLUs less the
    Hamming distance of two codes. The more the codes differ, the larger it is; -inf where two
    images have the same code. ReLUs are caught where torch computes them, so that functions count
    as modules do; normalizations use the statistics of the batch. `images` has the shape (batch,
    ...), on the device of the model. Raises ModelError for a network without ReLU.
    """
    changed = copy.deepcopy(model).train()
    with torch.no_grad(), _own_dice(), _Codes(len(images)) as codes:
        changed(images)
    if codes.agreeing is None:
        raise ModelError("NASWOT counts ReLUs, and this network has none.")
    return float(torch.linalg.slogdet(codes.agreeing).logabsdet)


class _Codes(TorchFunctionMode):
    """Sums up, over all ReLUs that are computed, which images of the batch agree on each."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.batch = batch
        self.agreeing: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute `func`; look at its input where it is a ReLU."""
        if func in _RELUS:
            self._add(args[0])
        return func(*args, **(kwargs or {}))

    def _add(self, x: Tensor) -> None:
        code = (x.detach().reshape(self.batch, -1) > 0).double()
        both = code @ code.T + (1 - code) @ (1 - code).T
        self.agreeing = both if self.agreeing is None else self.agreeing + both


def gradient_norm(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the Euclidean norms of the gradients of the weights, summed over the weight tensors.

    Abdelfattah, Mehrotra, Dudziak, Lane 2021, "Zero-cost proxies for lightweight NAS", section
    3.1. The loss is the mean cross-entropy of the batch, in training mode. `images` has the shape
    (batch, ...), `labels` (batch) of int64, both on the device of the model.
    """
    changed = copy.deepcopy(model).train()
    weights = [parameter for parameter in changed.parameters() if parameter.requires_grad]
    with _own_dice():
        loss = F.cross_entropy(changed(images), labels)
    return float(sum(slope.norm() for _, slope in _gradients(loss, weights)))


def _gradients(value: Tensor, weights: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return (weight, gradient of `value`) for each weight; none where `value` depends on none."""
    if not weights or not value.requires_grad:
        return []
    found = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
    return list(zip((weight.detach() for weight in weights), found, strict=True))


@contextmanager
def _own_dice() -> Iterator[None]:
    """Let dropout draw the same every time, and nothing from the generator of the process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
