"""What a complete operator is not worth, told from its terms alone: no rule has a say in it.

The verifier looks at the formula. Where all rules are off, a formula may hide what is wrong with it
(`x[(h*s + a) // s] * w1[(h*s + a) % s]` never reads x with a), so that the certificate asks here
which classes of operators are none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from syno.ir.operator import Operator
from syno.rules.fingerprint import Words, mix, summed, terms


def degenerate(op: Operator, sizes: Mapping[str, int]) -> str | None:
    """Return why `op` says less than it seems to under `sizes`, or None.

    One of: `identity`, `unread` (an element of x never counts), `absorbed` (a weight follows from
    another), `idle` (all entries of a weight come in groups that count only as their sum),
    `repeats` (an output iterator without effect), `scales` (every term occurs several times).
    """
    inside, out, read, places = terms(op, sizes)
    out, read, places = out[inside], read[inside], [each[inside] for each in places]
    if not len(out) or len(np.unique(read)) < np.prod(op.input_shape(sizes)):
        return "unread"
    if not places and op.input == op.output and np.array_equal(out, read):
        return "identity"
    if _absorbs(places):
        return "absorbed"
    if any(_is_idle(out, read, places, number) for number in range(len(places))):
        return "idle"
    if _repeats(op, sizes, out, read, places):
        return "repeats"
    _, counts = np.unique(_sum([out, read, *places]), return_counts=True)
    return "scales" if np.gcd.reduce(counts) > 1 else None


def _sum(parts: list[Words]) -> Words:
    """Return one word for each term that depends on all `parts`, in their order."""
    words = np.zeros(len(parts[0]), dtype=np.uint64)
    for part in parts:
        words = mix(words ^ mix(part))
    return words


def _absorbs(places: list[Words]) -> bool:
    for one, small in enumerate(places):
        for two, large in enumerate(places):
            if one != two:
                pairs = len(np.unique(_sum([small, large])))
                if pairs == len(np.unique(large)):
                    return True
    return False


def _is_idle(out: Words, read: Words, places: list[Words], number: int) -> bool:
    """Tell whether the entries of one weight fall into groups of n, 2n, ... that say the same.

    That is so where a sum reaches one weight alone: its terms differ in this weight's entry only.
    """
    others = [each for place, each in enumerate(places) if place != number]
    sums = _sums(places[number], _sum([out, read, *others]))
    _, counts = np.unique(sums, return_counts=True)
    return bool(np.gcd.reduce(counts) > 1)


def _repeats(
    op: Operator, sizes: Mapping[str, int], out: Words, read: Words, places: list[Words]
) -> bool:
    """Tell whether the output is the same for all values of one of its iterators."""
    shape = op.output_shape(sizes)
    index = np.unravel_index(out.astype(np.int64), shape)
    for axis, length in enumerate(shape):
        others = [each.astype(np.uint64) for place, each in enumerate(index) if place != axis]
        words = _sum([*others, read, *places])
        sums = _sums(index[axis], words)
        if length > 1 and len(sums) == length and len(np.unique(sums)) == 1:
            return True
    return False


def _sums(groups: NDArray[np.integer], words: Words) -> Words:
    """Return the sum of the words of each group, which does not depend on their order."""
    _, inverse = np.unique(groups, return_inverse=True)
    return summed(inverse.ravel(), mix(words))


__all__ = ["degenerate"]
