"""The fingerprint of whatever the primitives build sees neither labels nor the order of dimensions.

Labels are those of sums, of weight tensors and of the entries in a weight.
"""

from __future__ import annotations

import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from near_misses import orders, raw, reordered

from syno.ir.coord import reduce, shift, split
from syno.ir.operator import Index
from syno.rules import fingerprint
from syno.testing.strategies import Case, valid_cases

fingerprints = sys.modules["syno.rules.fingerprint"]


@given(valid_cases(), st.data())
def test_labels_of_weights_and_sums_are_not_seen(case: Case, data: st.DataObject) -> None:
    op = case.op
    numbers = data.draw(st.permutations(range(len(op.reductions))))
    pairs = zip(op.reductions, numbers, strict=True)
    names = {leaf: reduce(20 + number, leaf.size) for leaf, number in pairs}
    weights = [tuple(data.draw(st.permutations(index))) for index in op.weights]
    summed = tuple(data.draw(st.permutations(list(names.values()))))
    other = raw(op, data.draw(st.permutations(weights)), names, summed)
    assert fingerprint(other, case.sizes) == fingerprint(op, case.sizes)


@given(valid_cases(), st.data())
def test_labels_of_entries_are_not_seen(case: Case, data: st.DataObject) -> None:
    other = raw(case.op, [spelled_otherwise(index, case, data) for index in case.op.weights])
    assert fingerprint(other, case.sizes) == fingerprint(case.op, case.sizes)


def spelled_otherwise(index: Index, case: Case, data: st.DataObject) -> Index:
    """Return another index of the same weight: with shifts, and with two coordinates in one."""
    distances = [data.draw(st.integers(0, coord.size.evaluate(case.sizes) - 1)) for coord in index]
    moved = [shift(coord, by) if by else coord for coord, by in zip(index, distances, strict=True)]
    if len(moved) > 1 and data.draw(st.booleans()):
        moved = [split(moved[1], moved[0]), *moved[2:]]
    return tuple(moved)


@given(valid_cases(), st.integers(0, 2**32 - 1))
def test_entries_of_weights_are_not_seen_in_any_order(case: Case, seed: int) -> None:
    random = np.random.default_rng(seed)
    inside, out, read, places = fingerprints.terms(case.op, case.sizes)
    products = (fingerprints.mix(out) * fingerprints.mix(read + np.uint64(1 << 40)))[inside]
    plain = [place[inside].astype(np.int64) for place in places]
    mixed = [random.permutation(int(place.max(initial=0)) + 1)[place] for place in plain]
    turn = random.permutation(len(products))  # terms, too, come in any order
    again = [mixed[place][turn] for place in random.permutation(len(mixed))]
    assert fingerprints._form(products[turn], again) == fingerprints._form(products, plain)


@given(valid_cases(), st.data())
def test_the_order_of_dimensions_is_not_seen(case: Case, data: st.DataObject) -> None:
    op = case.op
    order_in = data.draw(st.sampled_from(orders(op.input)))
    order_out = data.draw(st.sampled_from(orders(op.output)))
    other = reordered(op, order_in, order_out)
    assert fingerprint(other, case.sizes) == fingerprint(op, case.sizes)
