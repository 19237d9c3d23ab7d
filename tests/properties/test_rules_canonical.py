"""The canonical form of whatever the primitives build: the same function, and its own form."""

from __future__ import annotations

from hypothesis import given, settings

from syno.ir.verify import verify
from syno.rules import canonical, same_operator
from syno.testing.strategies import Case, valid_cases


@given(valid_cases())
@settings(max_examples=150, deadline=None)
def test_it_is_the_same_operator(case: Case) -> None:
    form = canonical(case.op, [case.sizes])
    assert same_operator(case.op, form, [case.sizes])


@given(valid_cases())
@settings(max_examples=150, deadline=None)
def test_it_is_its_own_form(case: Case) -> None:
    form = canonical(case.op, [case.sizes])
    assert canonical(form, [case.sizes]) is form


@given(valid_cases())
@settings(max_examples=150, deadline=None)
def test_without_bindings_it_is_the_same_operator_too(case: Case) -> None:
    form = canonical(case.op)
    if not verify(form, [case.sizes]):
        assert same_operator(case.op, form, [case.sizes])
    assert canonical(form) is form
