"""Initial weights: the output varies as much as the input."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from syno.ir.operator import Operator
from syno.ir.semantics import evaluate


def mean_terms(op: Operator, sizes: Mapping[str, int]) -> float:
    """Return the mean number of terms of one output element that read inside the input.

    Data coordinates share no iterator, so the share of reads that fall inside is the product of the
    shares of the coordinates.
    """
    terms = float(prod(leaf.size.evaluate(sizes) for leaf in op.reductions))
    for coord in op.data:
        if any(node.op == "unfold" for node in coord.walk()):
            leaves = coord.leaves()
            ranges = [np.arange(leaf.size.evaluate(sizes)) for leaf in leaves]
            grid = np.meshgrid(*ranges, indexing="ij", sparse=True)
            _, inside = evaluate(coord, dict(zip(leaves, grid, strict=True)), sizes)
            terms *= float(np.mean(inside))
    return terms


def weight_std(op: Operator, sizes: Mapping[str, int]) -> float:
    """Return the standard deviation of every weight entry that keeps the variance.

    For independent inputs of variance 1, a sum of T products with one entry of each of K weights
    has variance T * std^(2K).
    """
    return float(mean_terms(op, sizes) ** (-0.5 / max(len(op.weights), 1)))


def constant_scale(op: Operator, sizes: Mapping[str, int]) -> float:
    """Return the factor that keeps the variance of an operator without weights; 1 with weights."""
    return 1.0 if op.weights else weight_std(op, sizes)
