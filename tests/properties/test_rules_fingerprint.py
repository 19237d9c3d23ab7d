"""The fingerprint of whatever the primitives build does not see the labels of weights and sums."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from syno.ir.coord import reduce
from syno.ir.errors import SizeError
from syno.ir.operator import Operator
from syno.rules import fingerprint
from syno.testing.strategies import Case, valid_cases


@given(valid_cases(), st.data())
def test_labels_are_not_seen(case: Case, data: st.DataObject) -> None:
    op = case.op
    numbers = data.draw(st.permutations(range(len(op.reductions))))
    pairs = zip(op.reductions, numbers, strict=True)
    names = {leaf: reduce(20 + number, leaf.size) for leaf, number in pairs}
    weights = [tuple(data.draw(st.permutations(index))) for index in op.weights]
    other = object.__new__(Operator)  # `Operator.build` would undo all of this
    other.input, other.output, other.outputs = op.input, op.output, op.outputs
    other.data = tuple(coord.replace(names.get) for coord in op.data)
    other.weights = tuple(
        tuple(coord.replace(names.get) for coord in index)
        for index in data.draw(st.permutations(weights))
    )
    other.reductions = tuple(data.draw(st.permutations(list(names.values()))))
    try:
        found = fingerprint(op, case.sizes)
    except SizeError:
        assume(False)
    assert fingerprint(other, case.sizes) == found
