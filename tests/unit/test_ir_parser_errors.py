"""Texts that are no operator: each ends in one clear paragraph, never in a bare Python error."""

from __future__ import annotations

import pytest

import syno
from syno.ir.errors import OperatorError, ParseError, SynoError

CONVOLUTION = "y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n, c, h+a-k//2, w+b-k//2] * w1[o,c,a,b]"

# A text and what its message has to say.
BAD = [
    ("", "Expected a left side"),
    ("   \n ", "Expected a left side"),
    ("[N, C] -> [N, C]", "Expected a left side"),
    ("[N, C]", "between the input shape and the output shape"),
    ("y", "after the name of the output"),
    ("y[h]", "Expected '=' after the left side"),
    ("y[h] =", r"Expected x\[...\] or a weight"),
    ("y[h] = x", r"Expected '\[' to open the index"),
    ("y[h] = x[h", "or ']' after a coordinate"),
    ("y[h] = x[h]]", "Unexpected ']' after the product"),
    ("y[h] = x[h] x[h]", "Unexpected 'x' after the product"),
    ("y[h] = x[h] + w[h]", r"Unexpected '\+' after the product"),
    ("y[h] = x[h] * x[h]", "x stands twice"),
    ("y[h] = x[h] * w1[h] * w1[h]", "w1 stands twice"),
    ("y[h] = w[h]", "never reads the data"),
    ("y[h] = z[h]", "neither the data x nor a weight"),
    ("y[h] = x[,h]", "Expected a name, a number"),
    ("y[h,] = x[h]", "Expected an output iterator"),
    ("y[h,h] = x[h]", "named twice"),
    ("y[h] = sum[h:k] x[h]", "named twice"),
    ("y[h] = sum[a] x[h + a - k//2]", "the size of a"),
    ("y[h] = sum[a:] x[h + a - k//2]", "Expected a name, a number"),
    ("y[h] = sum[a:k x[h]", "or ']' after a reduction"),
    ("y[h] = sum[a:k] x[h]", "a is summed but read nowhere"),
    ("y[h] = sum[a:1] x[h]", "size 1 says nothing"),
    ("[1, C] -> [1, C]\ny[..,c] = x[..,c]", "size 1 says nothing"),
    ("y[q] = x[q]", "size of q is unknown: write q:SIZE"),
    ("y[h] = x[q]", "q is neither an output iterator nor summed over; known here: h"),
    ("y[h] = x[h] * w[q]", "q is neither an output iterator"),
    ("y[h] = x[H]", "H is neither an output iterator"),
    ("y[h] = x[0]", "a constant index reads one fixed element"),
    ("y[h] = x[h, 3]", "a constant index reads one fixed element"),
    ("y[h] = x[k//2]", "subtracting k//2, not adding it"),
    ("y[h] = sum[a:k] x[h + a + k//2]", "subtracting k//2, not adding it"),
    ("y[h] = sum[a:k] x[h + a - (-(k//2))]", "subtracting k//2, not adding it"),
    ("y[h] = sum[a:k] x[h + a]", "A window is h . a - k//2"),
    ("y[h] = sum[a:k] x[h + a - k]", "k is neither an output iterator"),
    ("y[h] = sum[a:k] x[h + a - k/2]", "half a window"),
    ("y[h] = sum[a:k] x[h + a - s//2]", "No chain of primitives"),
    ("y[h] = sum[a:k] x[h + a - k//3]", "half a window"),
    ("y[h:8] = sum[a:3] x[h + a - 2]", "No chain of primitives"),
    ("y[h] = x[h + 1]", r"\+ 1 reads out of nowhere.*write \(... \+ 1\) % H"),
    ("y[h] = x[h - 1]", r"- 1 reads out of nowhere.*write \(... - 1\) % H"),
    ("y[h] = x[(h + 1) % W]", "A shift is taken modulo the size of what it shifts"),
    ("y[h] = x[(h + 1) % (H*s)]", "A shift is taken modulo the size of what it shifts"),
    ("y[h:8] = x[(h + 1) % 4]", "A shift is taken modulo the size of what it shifts"),
    ("y[h] = x[-h]", "cannot be subtracted"),
    ("y[h] = x[H - 1 - h]", "cannot be subtracted|neither an output"),
    ("y[h,w] = x[h - w]", "cannot be subtracted"),
    ("y[h,w] = x[h*w]", "multiplied by sizes only"),
    ("y[h,w] = x[h/w]", "multiplied by sizes only"),
    ("y[h] = x[k/h]", "multiplied by sizes only"),
    ("y[h] = x[h/2]", "divided with //"),
    ("y[h] = x[h/s]", "divided with //"),
    ("y[h] = x[h^2]", "cannot stand in an index"),
    ("y[h] = x[2^h]", "cannot stand in an index"),
    ("y[h] = x[h*0]", "0 is not a size"),
    ("y[h] = x[h // 0]", "0 is not a size"),
    ("y[h] = x[h % 0]", "0 is not a size"),
    ("y[h] = x[h % 1]", "does nothing or leaves nothing"),
    ("y[h] = x[h // 1]", "does nothing or leaves nothing"),
    ("y[h] = x[h // H]", "does nothing or leaves nothing"),
    ("y[h] = x[h % H]", "does nothing or leaves nothing"),
    ("y[h] = x[(h + 0) % H]", "does nothing or leaves nothing"),
    ("y[h] = x[h // -2]", "Expected a name, a number"),
    ("y[h,w] = x[h // w]", "right side of // and % is a size"),
    ("y[h,w] = x[h % w]", "right side of // and % is a size"),
    ("y[h] = x[h // (k+1)]", "cannot stand in it"),
    ("y[h:4] = x[h // 3, h % 3]", "3 does not divide the size 4"),
    ("y[h:4] = x[h % 8]", "8 does not divide the size 4"),
    ("y[i:12] = x[(i % 4) % 3]", "3 does not divide the size 4"),
    ("y[h] = x[(h % k) % s]", r"not plain that s divides k"),
    ("y[h] = x[h, h]", "read in two places of x"),
    ("y[h] = x[h // s, h]", "read in two places of x"),
    ("y[h,w] = x[h*W + w, w]", "read in two places of x"),
    ("y[h:24] = x[h // 2, h % 3]", "(?s)in: y"),
    ("y[h] = sum[a:k] x[h + a - k//2] * w[h, h + a - k//2]", "No order of steps"),
    ("[N, H] -> [N, W]\ny[n,w] = x[n,w]", "Dimension 1 of x has size H"),
    ("[N, H] -> [N, H]\ny[n,h] = x[n]", "gives x 2 dimensions, the formula reads 1"),
    ("[N, H] -> [N, H]\ny[n] = x[n]", "has 2 output dimensions, the left side 1"),
    ("[N, H] -> [N, H]\ny[n:W,h] = x[n,h]", "n has size W, but the header says N"),
    ("[N] -> [6]\ny[(a,b)] = x[a]", "needs the size of each"),
    ("[N] -> [6]\ny[(a:2,b:2)] = x[a]", "do not multiply"),
    ("[6] -> [(2,3)]\ny[(a,a)] = x[a]", "named twice"),
    ("y[..] = x[..]", "needs the header"),
    ("[N, H] -> [N, H]\ny[..,..] = x[..,..]", "once"),
    ("[N, H] -> [N, H]\ny[..] = x[..] * w[..]", "Expected a name, a number"),
    ("[H] -> [H/2/0]\ny[h] = x[h]", "0 is not a size"),
    ("y[h:1/2] = x[h]", "no whole number"),
    ("[1/N] -> [1/N]\ny[h] = x[h]", "no whole number"),
    ("y[h:2^65] = x[h]", "at most 64"),
    ("y[h] = x[п]", "Unexpected character 'п'"),
    ("y[h] = x[h²]", "Unexpected character '²'"),
    ("y[i:4] = x[(i+٣) % 4]", "Unexpected character"),
    ("y[h] = x[h];", "Unexpected character ';'"),
    ("y[h] = x[h]\0", "Unexpected character"),
    ("y[h] = x[h] # note", "Unexpected character '#'"),
    ("y[h] = x[1.5*h]", "Expected ',' or ']'|Unexpected character"),
    ("y[h] = x[__import__('os')]", "Unexpected character"),
    ("y[h] = x[((h]", "to close the parenthesis"),
    ("y[h] = x[()]", "Expected a name, a number"),
]


@pytest.mark.parametrize(("text", "says"), BAD, ids=[text[:40] or "empty" for text, _ in BAD])
def test_a_bad_text_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(SynoError, match=says) as caught:
        syno.parse(text)
    message = str(caught.value)
    assert message.isprintable() or "\n" in message
    assert len(message) < 700


# Each would take seconds or gigabytes, or Python's own errors, without a limit.
ENDLESS = {
    "a long text": "y[h] = x[h]" + " " * 5_000 + "* w[h]",
    "deep parentheses": "y[h] = x[" + "(" * 1_900 + "h" + ")" * 1_900 + "]",
    "parentheses that never close": "y[h] = x[" + "(" * 3_900,
    "a long sum": "y[h] = x[" + "+".join(["h"] * 1_900) + "]",
    "a long product": "y[h] = x[" + "*".join(["2"] * 1_900) + "*h]",
    "many quotients": "y[h] = x[h" + "//2" * 1_300 + "]",
    "many remainders": "y[h] = x[h" + "%2" * 1_900 + "]",
    "many powers": "y[h:" + "^2" * 1_900 + "] = x[h]",
    "many signs": "y[h] = x[h " + "+-" * 1_900 + "]",
    "a huge number": "y[h] = x[(h + " + "9" * 3_900 + ") % H]",
    "a huge size": "y[h:" + "9" * 3_900 + "] = x[h]",
    "a huge shift": "y[h] = x[(h + 99999999999999999999) % H]",
    "a prime": "[1099511627689, 1099511627609] -> [H]\ny[h] = x[h]",
    "a tower": "y[h:((((H^64)^64)^64)^64)] = x[h]",
    "a large exponent": "y[h:" + "*".join(["H"] * 90) + "] = x[h:" + "]",
    "a long name": "y[h] = x[" + "h" * 3_900 + "]",
    "many names": "y[h] = x[" + ",".join(f"a{i}" for i in range(700)) + "]",
    "many dimensions": "[" + ",".join(["H"] * 500) + "] -> [H]\ny[h] = x[h]",
    "many outputs": "y[" + ",".join(f"a{i}:H" for i in range(60)) + "] = x[a1]",
    "many reductions": "y[h] = sum[" + ",".join(f"a{i}:H" for i in range(60)) + "] x[h]",
    "many weights": "y[h] = x[h]" + "".join(f"*w{i}[h]" for i in range(80)),
    "many rank dimensions": "y[h] = sum["
    + ",".join(f"r{i}:R" for i in range(9))
    + "] x[h]"
    + "".join(f"*w{i}[h,r{i},r{i + 1}]" for i in range(8)),
    "ambiguous windows": "y[h:3] = sum["
    + ",".join(f"a{i}:3" for i in range(7))
    + "] x[h"
    + "".join(f"+a{i}" for i in range(7))
    + "-1" * 8
    + "]",
    "ambiguous splits": "y[h:3] = sum["
    + ",".join(f"a{i}:3" for i in range(7))
    + "] x[h"
    + "".join(f"+3*a{i}" for i in range(7))
    + "-3//2" * 6
    + "]",
    "too many terms": "y[h] = x[" + "+".join(["h"] * 20) + "]",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_text_is_refused(name: str) -> None:
    with pytest.raises(SynoError) as caught:
        syno.parse(ENDLESS[name])
    assert len(str(caught.value)) < 5_000


def test_the_position_is_shown_under_the_line() -> None:
    with pytest.raises(ParseError) as caught:
        syno.parse("[H] -> [H]\ny[h] = x[h + q]")
    assert str(caught.value).splitlines()[-2:] == ["  y[h] = x[h + q]", "               ^"]
    assert caught.value.position == 24


def test_of_a_long_line_the_part_around_the_position_is_shown() -> None:
    text = "y[h] = x[h" + " " * 900 + "+ q" + " " * 900 + "]"
    with pytest.raises(ParseError) as caught:
        syno.parse(text)
    shown, caret = str(caught.value).splitlines()[-2:]
    assert len(shown) < 300
    assert shown[caret.index("^")] == "q"


def test_an_operator_that_no_steps_build_shows_its_text() -> None:
    with pytest.raises(OperatorError, match=r"in: y\[h\] = x\[h, h\]"):
        syno.parse("y[h] = x[h, h]")


CUTS = [cut for cut in range(len(CONVOLUTION)) if CONVOLUTION[:cut].count("]") < 3]


@pytest.mark.parametrize("cut", CUTS[::3])
def test_every_beginning_of_a_formula_is_refused(cut: int) -> None:
    with pytest.raises(SynoError):
        syno.parse(CONVOLUTION[:cut])


def test_a_text_that_was_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(ParseError):
            syno.parse("y[h] = x[h + 1]")
