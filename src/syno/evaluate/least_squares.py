"""Least squares for the weights of one operator, on one set of activations.

An operator is linear in each of its weights: one after the other is solved for while the others
stand still (alternating least squares). Where the entries of a weight that different output
channels read are different ones, the columns of the problem are read off by probing all channels
at once, and the normal equations are solved; else conjugate gradients descend on the lowered
operator, which needs its forward and its gradient alone (CGLS; Hestenes, Stiefel 1952).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from syno.ir.coord import Coord
from syno.ir.operator import Operator
from syno.ir.semantics import evaluate
from syno.nn.module import SynthesizedOperator

_SMALL = 1e-12
_RIDGE = 1e-3  # of the mean of the diagonal: where positions are few, rounding decides no entry
_FLAT = 1e-6  # of the first squared slope: from there on a descent is over
_PASSES = 24  # forwards that reading off the columns of a weight may take


@dataclass(frozen=True)
class Probes:
    """Which entries of a weight to set to 1 so that one forward gives a column for every channel.

    `own` are the axes that the output channel alone decides, `slices` their values (axis, channel),
    `columns` the number of entries that one channel reads. Channels of one row of `classes` see the
    same columns, whoever of them is probed.
    """

    own: tuple[int, ...]
    slices: tuple[tuple[int, ...], ...]
    columns: int
    classes: tuple[tuple[int, ...], ...]

    @property
    def passes(self) -> int:
        """The number of forwards that give all columns."""
        return max(-(-self.columns // len(members)) for members in self.classes)


def probes(op: Operator, number: int, sizes: Mapping[str, int], dimension: int) -> Probes | None:
    """Return how to read off the columns of weight `number` (from 0); None where channels share.

    `dimension` is that of the output which holds the channels.
    """
    leaf = _output_leaf(op, dimension)
    index = op.weights[number]
    own = tuple(axis for axis, coord in enumerate(index) if leaf in coord.leaves())
    if leaf is None or not own or any(set(index[axis].leaves()) != {leaf} for axis in own):
        return None
    values = np.arange(leaf.size.evaluate(sizes))
    slices = [
        np.broadcast_to(evaluate(index[axis], {leaf: values}, sizes)[0], values.shape)
        for axis in own
    ]
    if len(set(zip(*(each.tolist() for each in slices), strict=True))) < len(values):
        return None
    rest = [coord.size.evaluate(sizes) for axis, coord in enumerate(index) if axis not in own]
    others = [*op.data, *(c for k, each in enumerate(op.weights) if k != number for c in each)]
    classes = _classes(leaf, [coord for coord in others if leaf in coord.leaves()], sizes)
    return Probes(own, tuple(tuple(each.tolist()) for each in slices), prod(rest), classes)


def _output_leaf(op: Operator, dimension: int) -> Coord | None:
    leaves = {leaf for coord in op.coordinates for leaf in coord.leaves() if leaf.op == "output"}
    return next((leaf for leaf in leaves if leaf.arg == dimension), None)


def _classes(
    leaf: Coord, coords: Sequence[Coord], sizes: Mapping[str, int]
) -> tuple[tuple[int, ...], ...]:
    """Return the values of `leaf` in classes for which all `coords` are the same functions."""
    count = leaf.size.evaluate(sizes)
    signatures = [b""] * count
    for coord in coords:
        others = [each for each in coord.leaves() if each is not leaf]
        axes = np.meshgrid(
            np.arange(count),
            *(np.arange(each.size.evaluate(sizes)) for each in others),
            indexing="ij",
            sparse=True,
        )
        value, inside = evaluate(coord, dict(zip([leaf, *others], axes, strict=True)), sizes)
        table = np.where(inside, value, -1).reshape(count, -1)
        signatures = [one + row.tobytes() for one, row in zip(signatures, table, strict=True)]
    found: dict[bytes, list[int]] = {}
    for value_of_leaf, signature in enumerate(signatures):
        found.setdefault(signature, []).append(value_of_leaf)
    return tuple(tuple(members) for members in found.values())


class Problem:
    """Least squares for the weights of one operator, on one set of activations."""

    def __init__(
        self, operator: SynthesizedOperator, x: Tensor, wanted: Tensor, channels: int
    ) -> None:
        self.operator = operator
        self.x = x
        with torch.no_grad():
            found = operator(x)
        self.dimension = 1 if found.dim() == wanted.dim() == 4 else None
        self.shape = wanted.shape
        self.channels = channels
        target = self._by_channel(wanted)
        self.mean = target.mean(1, keepdim=True)
        self.scale = target.std(1, keepdim=True).clamp_min(1e-6).reciprocal()
        self.target = (target - self.mean) * self.scale
        self.total = float(self.target.square().sum())
        self._probes = [self._probed(number) for number in range(len(operator.op.weights))]

    def _by_channel(self, y: Tensor) -> Tensor:
        """Return (channels, positions)."""
        return y.reshape(self.shape).movedim(self.dimension or -1, 0).reshape(self.channels, -1)

    def _centered(self, found: Tensor) -> Tensor:
        return (found - found.mean(1, keepdim=True)) * self.scale

    def residual(self) -> float:
        """Return the squared error over that of a constant for each channel."""
        with torch.no_grad():
            apart = self.target - self._centered(self._by_channel(self.operator(self.x)))
        return float(apart.square().sum()) / max(self.total, _SMALL)

    def solve(self, sweeps: int, iterations: int) -> float:
        """Find the weights and return the residual."""
        weights = list(self.operator.parameters())
        if len(weights) == 1:
            sweeps, iterations = 1, sweeps * iterations
        for _ in range(sweeps):
            for number, weight in enumerate(weights):
                found = self._probes[number]
                if found is None:
                    self._descend(weight, iterations)
                else:
                    self._solve_exactly(weight, found)
        _balance(weights)
        return self.residual()

    def _probed(self, number: int) -> Probes | None:
        """Return how a weight is probed, where that is cheap."""
        operator = self.operator
        dimension = 1 if self.dimension is not None else len(operator.op.output) - 1
        found = probes(operator.op, number, operator.sizes, dimension)
        return found if found is not None and found.passes <= _PASSES else None

    def _apply(self, weight: nn.Parameter, value: Tensor) -> Tensor:
        """Return the result, (channels, positions), with `value` in the place of a weight."""
        kept = weight.data
        weight.data = value
        try:
            with torch.no_grad():
                return self._by_channel(self.operator(self.x))
        finally:
            weight.data = kept

    def _solve_exactly(self, weight: nn.Parameter, found: Probes) -> None:
        """Solve for a weight through the normal equations of each class of channels."""
        axes = tuple(range(len(found.own)))
        slices = tuple(torch.tensor(each) for each in found.slices)
        columns = self._columns(weight, found)
        solved = weight.detach().movedim(found.own, axes).clone()
        for members, table in zip(found.classes, columns, strict=True):
            chosen = torch.tensor(members)
            centered = table - table.mean(1, keepdim=True)
            normal = (centered @ centered.T).double()
            right = (centered @ (self.target / self.scale)[chosen].T).double()
            normal.diagonal().add_(_RIDGE * normal.diagonal().mean() + _SMALL)
            answer = torch.linalg.solve(normal, right).T.to(weight.dtype)
            places = tuple(each[chosen] for each in slices)
            solved[places] = answer.reshape(len(members), *solved.shape[len(axes) :])
        weight.data = solved.movedim(axes, found.own).contiguous()

    def _columns(self, weight: nn.Parameter, found: Probes) -> list[Tensor]:
        """Return for each class (entries that a channel reads, positions)."""
        axes = tuple(range(len(found.own)))
        slices = tuple(torch.tensor(each) for each in found.slices)
        tables = [torch.empty(found.columns, self.target.shape[1]) for _ in found.classes]
        for number in range(found.passes):
            unit = torch.zeros_like(weight.data.movedim(found.own, axes)).contiguous()
            flat = unit.reshape(*unit.shape[: len(axes)], -1)
            probed = []
            for members in found.classes:
                first = number * len(members)
                last = min(first + len(members), found.columns)
                entries = torch.arange(first, max(first, last))
                chosen = torch.tensor(members)[: len(entries)]
                flat[(*(each[chosen] for each in slices), entries)] = 1.0
                probed.append((chosen, entries))
            y = self._apply(weight, flat.reshape(unit.shape).movedim(axes, found.own).contiguous())
            for table, (chosen, entries) in zip(tables, probed, strict=True):
                table[entries] = y[chosen]
        return tables

    def _descend(self, weight: nn.Parameter, iterations: int) -> None:
        """Improve a weight by conjugate gradients on the normal equations."""
        for parameter in self.operator.parameters():
            parameter.requires_grad_(parameter is weight)
        y = self._centered(self._by_channel(self.operator(self.x)))

        def gradient(apart: Tensor) -> Tensor:
            found = torch.autograd.grad(y, weight, apart, retain_graph=True)[0]
            return found.to(memory_format=torch.contiguous_format)

        value = weight.detach().clone()
        apart = self.target - y.detach()
        slope = gradient(apart)
        direction, length = slope, float(slope.square().sum())
        start = length
        for _ in range(iterations):
            if length <= _FLAT * start or length < _SMALL:
                break
            change = self._centered(self._apply(weight, direction))
            step = length / max(float(change.square().sum()), _SMALL)
            value = value + step * direction
            apart = apart - step * change
            slope = gradient(apart)
            longer = float(slope.square().sum())
            direction, length = slope + (longer / length) * direction, longer
        weight.data = value
        for parameter in self.operator.parameters():
            parameter.requires_grad_(True)


def _balance(weights: Sequence[nn.Parameter]) -> None:
    """Give all weights the same mean square, leaving their product as it is."""
    if len(weights) < 2:
        return
    sizes = [float(weight.detach().square().mean().sqrt()) for weight in weights]
    if min(sizes) <= 0:
        return
    common = prod(sizes) ** (1 / len(sizes))
    for weight, size in zip(weights, sizes, strict=True):
        weight.data = weight.data * (common / size)
