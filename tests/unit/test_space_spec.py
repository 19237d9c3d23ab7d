"""Specs: what they refuse, which sizes are legal, what they offer, and their digest."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from syno.ir.errors import SpecError
from syno.ir.size import Size
from syno.space.networks import convolution_spec
from syno.space.spec import Limits, Spec
from syno.space.specs import named_spec, small_spec_names


def spec(**changes: Any) -> Spec:
    given: dict[str, Any] = {
        "name": "a",
        "input": ("N", "C", "H"),
        "output": ("N", "D", "H"),
        "coefficients": {"k": 1, "s": 2},
        "bindings": ({"N": 1, "C": 8, "D": 12, "H": 10, "k": 3, "s": 2},),
        "fixed": ("N",),
    }
    return Spec(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bindings": ()}, "The spec a has no binding"),
        ({"bindings": ({"N": 1, "C": 8},)}, "The spec a cannot be bound: .*H has no value"),
        ({"input": ("N", "C/s", "H"), "bindings": ({"C": 7, "s": 2},)}, "cannot be bound"),
        ({"fixed": ("C",)}, "C is fixed in a, but is no dimension of both"),
        ({"fixed": ("Z",)}, "Z is fixed in a"),
        ({"windowed": ("D",)}, "D has to be windowed in a, but is no dimension of x"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        spec(**changes)


@pytest.mark.parametrize("text", ["C", "C/s", "C*s", "D/k", "k", "s*s", "k*s", "C*H", "C/(s*s)"])
def test_a_legal_size(text: str) -> None:
    assert spec().is_legal(Size.parse(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("C/k", "8/3 is no whole number"),
        ("k*k", "k may stand once"),
        ("C/(s*s*s)", "s may stand twice"),
        ("s/C", "a dimension is never divided by"),
        ("k/s", "3/2 is no whole number"),
        ("C*D*H*k", "four symbols"),
        ("N", "a size of 1"),
        ("C/C", "a size of 1"),
        ("Q", "no value"),
    ],
)
def test_an_illegal_size(text: str, why: str) -> None:
    assert not spec().is_legal(Size.parse(text)), why


def test_a_size_is_legal_only_under_every_binding() -> None:
    bound = [{"N": 1, "C": c, "D": 12, "H": 10, "k": 3, "s": 2} for c in (8, 9)]
    assert spec(bindings=(bound[0],)).is_legal(Size.parse("C/s"))
    assert not spec(bindings=tuple(bound)).is_legal(Size.parse("C/s"))
    assert spec(bindings=tuple(bound)).values(Size.parse("C*s")) == (16, 18)
    assert spec(bindings=tuple(bound)).values(Size.parse("C/s")) is None


def test_small_sizes_are_made_of_coefficients_alone() -> None:
    assert spec().is_small(Size.parse("k*s"))
    assert not spec().is_small(Size.parse("C/s"))
    assert not spec().is_small(Size.parse("C/C"))


def test_the_whole_family_is_offered_unless_it_is_listed() -> None:
    family = ("C", "C/s", "C/(s*s)", "D/k", "H", "H/s", "k", "s", "k*s")
    assert {Size.parse(text) for text in family} <= set(spec().reduction_sizes)
    assert not {Size.parse(text) for text in ("C/k", "N")} & set(spec().reduction_sizes)
    listed = spec(reductions=("C", "C/k"), blocks=("s",))
    assert [str(size) for size in listed.reduction_sizes] == ["C"]
    assert [str(size) for size in listed.block_sizes] == ["s"]


def test_steps_of_strides_are_products_of_coefficients() -> None:
    found = set(spec(reductions=("C",)).stride_sizes)
    assert found == {Size.parse(text) for text in ("k", "s", "s*s", "k*s", "k*s*s")}


def test_symbols_and_places() -> None:
    made = spec()
    assert made.primaries == ("C", "D", "H")
    assert {str(size) for size in made.kept_sizes} == {"N", "H"}
    assert spec(windowed=("H",)).windowed_sizes == {Size.parse("H")}


def test_every_field_changes_the_digest() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"name": "b"},
        {"input": ("N", "C", "H/s")},
        {"output": ("N", "C", "H")},
        {"coefficients": {"k": 1, "s": 1}},
        {"fixed": ()},
        {"windowed": ("H",)},
        {"untasted": ("even-window",)},
        {"shifts": (1, 2)},
        {"reductions": ("C",)},
        {"blocks": ("s",)},
        {"limits": Limits(steps=8)},
        {"bindings": ({"N": 2, "C": 8, "D": 12, "H": 10, "k": 3, "s": 2},)},
    ]
    assert len({spec(**change).digest() for change in changes}) == len(changes)


def test_the_digest_does_not_see_the_order_of_symbols() -> None:
    bound = {"s": 2, "k": 3, "H": 10, "D": 12, "C": 8, "N": 1}
    assert spec(bindings=(bound,)).digest() == spec().digest()


def test_the_digest_is_the_same_in_every_process() -> None:
    code = "from syno.space.specs import named_spec; print(named_spec('conv2d').digest())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "5")
    }
    assert found == {named_spec("conv2d").digest()}


@pytest.mark.parametrize("name", small_spec_names())
def test_a_named_spec_answers_to_its_name(name: str) -> None:
    assert named_spec(name).name == name


def test_an_unknown_spec_is_told_with_those_that_are_known() -> None:
    with pytest.raises(SpecError, match="no spec called 'conv9d'; known are: conv1d, conv2d"):
        named_spec("conv9d")


def test_sites_of_one_shape_are_one_binding() -> None:
    site = {"C_in": 16, "C_out": 16, "H": 8, "W": 8}
    made = convolution_spec([site, {**site}, {**site, "C_out": 32}])
    assert [each["C_out"] for each in made.bindings] == [16, 32]
    assert made.digest() == convolution_spec([{**site, "C_out": 32}, site]).digest()
    assert replace(made, name="b").digest() != made.digest()
