"""The verifier: each check finds what is planted for it, and nothing in the named operators."""

from __future__ import annotations

import re

import pytest

import syno
from syno.ir.coord import output, quotient, reduce, shift, stride, unfold
from syno.ir.errors import OperatorError, SizeError
from syno.ir.operator import Operator
from syno.ir.size import Size
from syno.ir.verify import CHECKS, check, verify
from syno.zoo.named import NAMED

SIZES = {"N": 2, "C": 4, "H": 6, "W": 4, "R": 2, "k": 3, "s": 2, "g": 2}

# (the check that has to find it, what its message says, the text, or an operator for it)
PLANTED = [
    ("sizes", r"whole number", "[H] -> [H]\ny[h] = sum[r:W/k] x[h] * w1[h,r] * w2[r]"),
    ("sizes", r"whole number", "[H/W, W] -> [H]\ny[h] = x[h // W, h % W]"),
    ("sizes", "sums nothing", "[H] -> [H]\ny[h] = sum[r:R/s] x[h] * w1[h,r] * w2[r,h]"),
    ("sizes", "moves nothing", "[H] -> [H]\ny[h] = x[(h + 6) % H]"),
    ("sizes", "skips nothing", "[H*g/s] -> [H]\ny[h] = x[(g/s)*h]"),
    ("sizes", "window has size 6", "[W] -> [W]\ny[h] = sum[a:H] x[h + a - H//2]"),
    ("sizes", "has to lie between", "[W*s/g, g/s] -> [W]\ny[h] = x[h // (g/s), h % (g/s)]"),
    ("reductions", "reaches neither", "[H] -> [H]\ny[h] = sum[r:R] x[h] * w1[h,r]"),
    ("reductions", "reaches neither", "[H] -> [H]\ny[h] = sum[r:4] x[h] * w1[h,r//2] * w2[h,r%2]"),
    ("reductions", "g % 2 reaches neither", "[H,2]->[H]\ny[h] = sum[r:4] x[h,r//2] * w1[h,r%2]"),
    (
        "reductions",
        "r // 2 reaches neither",
        "[C]->[N]\ny[n] = sum[c:C, r:4] x[c] * w1[c,r%2] * w2[n+r//2-1,r%2]",
    ),
    (
        "constant",
        "always has the same value",
        "[s*H]->[H]\ny[h] = sum[a:k] x[((s*s)*h)//s + a - k//2] * w1[a, ((s*s)*h)%s]",
    ),
    ("repetition", "repeats along it", "[H] -> [H, W]\ny[h,w] = x[h]"),
    ("repetition", "with w % s: .* repeats", "[H,W/s]->[H,W]\ny[h,w] = x[h, w // s]"),
    ("repetition", "repeats along it", "[] -> [H]\ny[h] = x[]"),
    ("weights", "w1 is tied to neither", "[H] -> [H]\ny[h] = x[h] * w1[]"),
    ("weights", "w2 is tied to neither", "[H]->[H]\ny[h]=sum[r:R]x[h]*w1[h]*w2[r]*w3[r]"),
    ("weights", "tied to neither", "[H]->[H]\ny[h]=sum[r:2,q:3,p:4]x[h]*w1[r,q]*w2[q,p]*w3[p,r]"),
    ("absorbed", "w1 absorbs w2", "[H] -> [H]\ny[h] = x[h] * w1[h] * w2[h]"),
    ("absorbed", "w2 absorbs w1", "[H,W]->[H,W]\ny[h,w] = x[h,w] * w1[h] * w2[h,w]"),
    ("absorbed", "w1 absorbs w2", "[C,H]->[H]\ny[h] = sum[c:C] x[c,h] * w1[h,c] * w2[c]"),
    ("absorbed", "w1 absorbs w2", "[H] -> [H]\ny[h] = x[h] * w1[h] * w2[h // s]"),
    ("absorbed", "absorbs", "[H] -> [H]\ny[h] = x[h] * w1[h % s] * w2[h]"),
    ("absorbed", "absorbs", "[24] -> [24]\ny[h] = x[h] * w1[h % 4] * w2[(h // 2) % 2]"),
    ("absorbed", "absorbs", "[24] -> [24]\ny[h] = x[h] * w1[h // 2] * w2[(h % 4) // 2]"),
    ("absorbed", "absorbs", "[24] -> [24]\ny[h] = x[h] * w1[(h + 1) % 24] * w2[h // 3]"),
    ("absorbed", "absorbs", "[H]->[H]\ny[h] = sum[a:k] x[h+a-k//2] * w1[h,a] * w2[h+a-k//2]"),
    ("influence", "skips elements", "[s*H] -> [H]\ny[h] = x[s*h]"),
    ("influence", "skips elements", "[5*H] -> [H]\ny[h] = sum[a:k] x[5*h + a - k//2]"),
    ("influence", "skips elements", "[C,s*H]->[C,H]\ny[c,h] = x[c, (s*h + 1) % (s*H)]"),
    ("influence", "skips elements", "[s*H*W] -> [H,W]\ny[h,w] = x[(s*h)*W + w]"),
]


@pytest.mark.parametrize(
    ("name", "says", "text"), PLANTED, ids=[f"{n}: {t}" for n, _, t in PLANTED]
)
def test_a_planted_problem_is_found(name: str, says: str, text: str) -> None:
    op = syno.parse(text)
    found = verify(op, [SIZES])
    messages = "\n".join(each.message for each in found if each.check == name)
    assert re.search(says, messages), found
    with pytest.raises(OperatorError, match="in: "):
        check(op, [SIZES])


def test_every_check_has_something_planted() -> None:
    assert {name for name, _, _ in PLANTED} == {each.name for each in CHECKS}
    assert all(each.rule for each in CHECKS)


@pytest.mark.parametrize("name", [each.name for each in CHECKS])
def test_without_a_check_its_problem_is_overlooked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tuple(each for each in CHECKS if each.name != name)
    monkeypatch.setattr("syno.ir.verify.CHECKS", left)
    text = {
        "sizes": "[H] -> [H]\ny[h] = x[(h + 6) % H]",
        "reductions": "[H] -> [H]\ny[h] = sum[r:R] x[h] * w1[h,r]",
        "repetition": "[H] -> [H, W]\ny[h,w] = x[h]",
        "weights": "[H]->[H]\ny[h]=sum[r:2,q:3,p:4]x[h]*w1[r,q]*w2[q,p]*w3[p,r]",
        "absorbed": "[H] -> [H]\ny[h] = x[h] * w1[h] * w2[h // s]",
        "influence": "[s*H] -> [H]\ny[h] = x[s*h]",
        "constant": "[s*H]->[H]\ny[h] = sum[a:k] x[((s*s)*h)//s + a - k//2] * w1[a, ((s*s)*h)%s]",
    }[name]
    assert text in {each for planted, _, each in PLANTED if planted == name}
    assert verify(syno.parse(text), [SIZES]) == ()


@pytest.mark.parametrize("name", NAMED)
def test_named_operators_have_no_problem(name: str) -> None:
    assert verify(NAMED[name].operator, [NAMED[name].sizes]) == ()
    check(NAMED[name].operator, [NAMED[name].sizes])


@pytest.mark.parametrize("name", NAMED)
def test_named_operators_have_no_problem_before_numbers_are_known(name: str) -> None:
    assert verify(NAMED[name].operator) == ()


@pytest.mark.parametrize(
    "text",
    [
        "[s*H] -> [H]\ny[h] = sum[a:k] x[s*h + a - k//2] * w1[a]",
        "[s*H] -> [H]\ny[h] = sum[a:k] x[(s*h + a - k//2 + 1) % (s*H)]",
        "[H] -> [H]\ny[h] = sum[r:R] x[h] * w1[h,r] * w2[r,h // s]",
        "[24] -> [24]\ny[h] = x[h] * w1[h % 4] * w2[h // 2]",
        "[H] -> [H]\ny[h] = sum[a:k] x[h + a - k//2] * w1[h] * w2[a]",
        "[C] -> []\ny[] = sum[c:C] x[c]",
        "[] -> [H]\ny[h] = x[] * w1[h]",
        "[H] -> [H*s]\ny[h] = x[h // s] * w1[h % s]",
    ],
)
def test_what_only_looks_like_a_problem_is_none(text: str) -> None:
    expected = () if "R" not in text else ("absorbed",)
    assert tuple(each.check for each in verify(syno.parse(text), [SIZES])) == expected


def test_every_binding_counts() -> None:
    op = syno.parse("[H] -> [H]\ny[h] = sum[a:k] x[h + a - k//2]")
    assert verify(op, [SIZES]) == ()
    assert [each.check for each in verify(op, [SIZES, {"H": 2, "k": 3}])] == ["sizes"]


def test_a_symbol_without_a_number_is_a_problem_of_sizes() -> None:
    found = verify(syno.parse("[H] -> [H]\ny[h] = x[h]"), [{"N": 2}])
    assert [each.check for each in found] == ["sizes"]
    assert "The symbol H" in found[0].message


def test_without_symbols_no_binding_is_needed() -> None:
    wide, narrow = (
        syno.parse(f"y[h:4] = sum[a:{window}] x[8*h + a - {window}//2]") for window in (15, 3)
    )
    assert verify(wide) == ()
    assert [each.check for each in verify(narrow)] == ["influence"]


def test_too_large_an_image_asks_for_smaller_sizes() -> None:
    op = syno.parse("[s*H] -> [H]\ny[h] = sum[a:k] x[s*h + a - k//2] * w1[a]")
    with pytest.raises(SizeError, match="smaller sizes"):
        verify(op, [{"H": 3_000_000, "k": 3, "s": 2}])


def test_operators_built_by_hand_are_checked_as_well() -> None:
    size = Size.integer(6)
    o, r = output(0, size), reduce(0, Size.integer(3))
    built = Operator.build([Size.integer(12)], [size], [unfold(stride(o, Size.integer(2)), r)], [])
    assert verify(built) == ()
    moved = Operator.build([size], [size], [shift(o, 12)], [[quotient(o, Size.integer(2))]])
    assert [each.check for each in verify(moved)] == ["sizes"]
