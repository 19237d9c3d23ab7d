"""Spellings that people try: each is the operator it says."""

from __future__ import annotations

import pytest

import syno
from syno.ir.operator import Operator
from syno.zoo.named import NAMED

CONVOLUTION = NAMED["convolution"].text
IMAGE = "[N, C_in, H, W] -> [N, C_out, H, W]\n"
ROWS = "x[n, c, h + a - k//2, w + b - k//2]"
SUM = "sum[c:C_in, a:k, b:k]"

SPELLINGS = {
    "convolution": [
        f"{IMAGE}y[n,o,h,w] = {SUM} {ROWS} * w1[o,c,a,b]",
        f"y[n,o,h,w] = {SUM} {ROWS} * w[o,c,a,b]",
        f"y[n,o,h,w] = {SUM} w1[o,c,a,b] * {ROWS}",
        f"y[n,o,h,w] = {SUM} {ROWS} * w1[b,a,c,o]",
        f"y[n,o,h,w]={SUM.replace(' ', '')}{ROWS.replace(' ', '')}*w1[o,c,a,b]",
        f"\n\n  y[n,o,h,w]\n=\n\t{SUM}\n  {ROWS}\n  * w1[o,c,a,b]\n\n",
        f"out[n,o,h,w] = {SUM} {ROWS} * weight[o,c,a,b]",
        f"y[n:N, o:C_out, h:H, w:W] = {SUM} {ROWS} * w1[o,c,a,b]",
        "y[n,o,h,w] = sum[b:k, a:k, c:C_in] x[n, c, a + h - k//2, b + w - k//2] * w1[o,c,a,b]",
        f"y[n,o,h,w] = {SUM} x[n, c, h - k//2 + a, w - k//2 + b] * w1[o,c,a,b]",
        f"y[n,o,h,w] = {SUM} x[n, c, -k//2 + h + a, -(k//2) + w + b] * w1[o,c,a,b]",
        f"y[n,o,h,w] = {SUM} x[n, c, h + (a - k//2), w - (k//2) + b] * w1[o,c,a,b]",
        f"y[n,o,h,w] = {SUM} x[n, c, h + a + (-(k//2)), w - (k//2 - 0) + b] * w1[o,c,a,b]",
        f"y[n,o,h,w] = {SUM} x[n, 1*c, (h + a) - k//2, w + b - (k)//(2)] * w1[o,c*1,a,b]",
        f"y[n,o,h,w] = {SUM} x[(n), ((c)), (h + a - k//2), ((w) + (b) - k//2)] * w1[(o),c,a,b]",
        f"y[n,o,h,w] = {SUM} x[n, c, h+a-k//2, w+b-k//2] * w1[o,c,a,b,a,o]",
        f"y[n,o,h,w] = {SUM} x[n, c, h+a-k//2, w+b-k//2] * w1[o//s,o%s,c//(g),c,a,b,b]",
        f"y[n,o,h,w] = {SUM} x[n, c, h+a-k//2, w+b-k//2] * w1[(o+1)%C_out,s*c,a*k+b]",
        (
            "[N,C_in,H,W]->[N,C_out,H,W] y[i,j,p,q]=sum[z:C_in,u:k,v:k]"
            "x[i,z,p+u-k//2,q+v-k//2]*w1[j,z,u,v]"
        ),
    ],
    "grouped-convolution": [
        NAMED["grouped-convolution"].text.replace(
            "w1[o,c,a,b]", "w1[o // (C_out/g), o % (C_out/g), c, a, b]"
        ),
        NAMED["grouped-convolution"].text.replace(
            "(o // (C_out/g))*(C_in/g) + c", "(C_in/g)*(o // (C_out/g)) + c"
        ),
        NAMED["grouped-convolution"].text.replace(
            "(o // (C_out/g))*(C_in/g) + c", "c + o//(C_out/g)*C_in/g"
        ),
        NAMED["grouped-convolution"].text.replace("w1[o,c", "w1[(o // (C_out/g))*(C_in/g) + c, o"),
        (
            "[N, C_in, H, W] -> [N, (g, C_out/g), H, W]\n"
            "y[n,(p,q),h,w] = sum[c:C_in/g, a:k, b:k] "
            "x[n, p*(C_in/g) + c, h+a-k//2, w+b-k//2] * w1[p,q,c,a,b]"
        ),
        (
            "[N, C_in, H, W] -> [N, C_out, H, W]\n"
            "y[n,(p:g,q:C_out/g),h,w] = sum[c:C_in/g, a:k, b:k] "
            "x[n, p*(C_in/g) + c, h+a-k//2, w+b-k//2] * w1[p,q,c,a,b]"
        ),
    ],
    "dilated-convolution": [
        NAMED["dilated-convolution"].text.replace("(k*s)//2", "(s*k)//2"),
        NAMED["dilated-convolution"].text.replace("(k*s)//2", "s*k//2").replace("s*a", "a*s"),
        NAMED["dilated-convolution"].text.replace("h + s*a", "a*s + h"),
    ],
    "pixel-shuffle": [
        NAMED["pixel-shuffle"].text.replace(
            "c*s*s + (h % s)*s + w % s", "c*s^2 + s*(h % s) + (w % s)"
        ),
        NAMED["pixel-shuffle"].text.replace("c*s*s + (h % s)*s + w % s", "(c*s + h % s)*s + w % s"),
        NAMED["pixel-shuffle"].text.replace("c*s*s + (h % s)*s + w % s", "w % s + s*(h%s + s*c)"),
    ],
    "shifted-convolution-1d": [
        (
            "[C_in, H] -> [C_out, H]\n"
            "y[o,h] = sum[c:C_in, a:k] x[c, (1 + (h + a - k//2)) % H] * w1[o,c,a]"
        ),
        (
            "[C_in, H] -> [C_out, H]\n"
            "y[o,h] = sum[c:C_in, a:k] x[c, ((h + a - k//2) + 3 - 2) % (H)] * w1[o,c,a]"
        ),
    ],
    "linear": [
        "y[t,o] = sum[c:C_in] x[t,c] * w[o,c]",
        "[T, C_in] -> [T, C_out]\ny[..,o] = sum[c:C_in] x[..,c] * w[c,o]",
        "[T, C_in] -> [T, C_out]\ny[...,o] = sum[c:C_in] x[...,c] * w[o,c]",
    ],
    "low-rank-linear": [
        "y[t,o] = sum[r:R, c:C_in] w1[c,r] * x[t,c] * w2[r,o]",
        "y[t,o] = sum[q:R, i:C_in] x[t,i] * w9[q,o] * w3[i,q]",
    ],
    "average-pooling": [
        "y[n, c, h:H/s, w:W/s] = sum[a:s, b:s] x[n, c, s*h + a, b + w*s]",
        "[N, C, H, W] -> [N, C, H/s, W/s]\ny[..,h,w] = sum[b:s, a:s] x[.., h*s + a, w*s + b]",
    ],
    "gpt2-projection": [
        "[T, 768] -> [T, 2304]\ny[t,(a:72,b:2,c:16)] = sum[r:384] x[t, b*384 + r] * w[a,r,c]",
        "[T, 768] -> [T, (72, 2, 16)]\ny[..,(a,b,c)] = sum[r:384] x[.., b*384+r] * w[a,r,c]",
        (
            "[T, 768] -> [T, 2304]\n"
            "y[t,o] = sum[r:384] x[t, ((o // 16) % 2)*384 + r] * w[o // 32, r, o % 16]"
        ),
        (
            "[T, 768] -> [T, 2304]\n"
            "y[t,o] = sum[r:384] x[t, ((o % 32) // 16)*384 + r] * w[o // 16 // 2, r, (o % 32) % 16]"
        ),
        (
            "[T, 2*384] -> [T, 3*2^8*3]\n"
            "y[t,(a:72,b:2,c:16)] = sum[r:2^7*3] x[t, r + 384*b] * w[c,r,a]"
        ),
    ],
}
PAIRS = [(name, text) for name, texts in SPELLINGS.items() for text in texts]


@pytest.mark.parametrize(
    ("name", "text"), PAIRS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(PAIRS)]
)
def test_a_spelling_is_the_named_operator(name: str, text: str) -> None:
    assert syno.parse(text) is NAMED[name].operator


@pytest.mark.parametrize("name", NAMED)
def test_a_named_operator_prints_and_parses_back(name: str) -> None:
    op = NAMED[name].operator
    assert syno.parse(str(op)) is op
    assert syno.parse(NAMED[name].text) is op


@pytest.mark.parametrize(
    ("one", "two"),
    [
        # Numbers in the place of symbols: a window may be centred by the number itself.
        (
            "y[h:8] = sum[a:3] x[h + a - 1] * w[a]",
            "[8] -> [8]\ny[i] = sum[j:3] x[i + j - 3//2] * w[j]",
        ),
        (
            "y[h:8] = sum[a:5] x[h + a - 2] * w[a]",
            "[2^3] -> [4*2]\ny[h] = sum[a:5] x[-2 + a + h] * w[a]",
        ),
        (
            "y[h:8] = sum[a:3] x[(h + a - 1 + 1) % 8] * w[a]",
            "y[h:8] = sum[a:3] x[((h + a - 3//2) + 1) % 8] * w[a]",
        ),
        (
            "y[h:8] = sum[a:3] x[(h + a - 1) % 2, (h + a - 1) // 2] * w[a]",
            "y[h:8] = sum[a:3] x[(h + a - 3//2) % 2, (h + a - 3//2) // 2] * w[a]",
        ),
        ("y[h] = x[(h + 1) % H]", "y[h] = x[(1 + h) % H]"),
        ("y[h] = x[(h - 1) % H]", "y[h] = x[(-1 + h) % H]"),
        ("y[h] = x[(h - 1) % H]", "y[h] = x[(h - (2 - 1)) % H]"),
        ("y[h:24] = x[h // 2 // 3, h % 6]", "y[h:24] = x[h // 6, h % 6]"),
        ("y[h:24] = x[(h % 6) // 2, h % 2, h // 6]", "y[h:24] = x[(h//2)%3, (h%6)%2, h//6]"),
        ("y[h:H*s] = x[h // s, h % s]", "[H, s] -> [(H, s)]\ny[(a, b)] = x[a, b]"),
        ("y[(a:H, b:s)] = x[a, b]", "[H, s] -> [(H, s)]\ny[(a, b)] = x[a, b]"),
    ],
)
def test_two_spellings_are_one_operator(one: str, two: str) -> None:
    assert syno.parse(one) is syno.parse(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("y[h] = x[(h + 1) % H]", "y[h] = x[(h - 1) % H]"),
        ("y[h] = sum[a:k] x[(h + a - k//2 + 1) % H]", "y[h] = sum[a:k] x[(h + 1) % H + a - k//2]"),
        ("y[h] = sum[a:k] x[h + a - k//2]", "y[h] = sum[a:k] x[h + a - k//2] * w[a]"),
        ("y[h:6,w:4] = x[h*4 + w]", "y[h:6,w:4] = x[w*6 + h]"),
        ("y[h:6] = x[h // 3, h % 3]", "y[h:6] = x[h // 2, h % 2]"),
        ("y[h:3] = sum[a:3] x[h + a - 1] * w[a]", "y[h:3] = sum[a:3] x[a + h - 1] * w[h]"),
    ],
)
def test_different_functions_are_different_operators(one: str, two: str) -> None:
    assert syno.parse(one) is not syno.parse(two)


def test_parentheses_choose_the_order_of_windows() -> None:
    flat = syno.parse("y[h] = sum[a:k, b:s] x[h + a - k//2 + b - s//2] * w[a,b]")
    outer = syno.parse("y[h] = sum[a:k, b:s] x[(h + b - s//2) + a - k//2] * w[a,b]")
    assert syno.parse("y[h] = sum[a:k, b:s] x[(h + a - k//2) + b - s//2] * w[a,b]") is flat
    assert outer is not flat


def test_the_leading_dimensions_may_be_two_dots() -> None:
    text = "[N, T, 768] -> [N, T, (72, 2, 16)]\ny[..,(a,b,c)] = sum[r:384] x[..,b*384+r] * w[a,r,c]"
    op = syno.parse(text)
    assert op.output_shape({"N": 2, "T": 5}) == (2, 5, 2304)
    assert op.weight_shapes({}) == {"w1": (72, 16, 384)}


def test_a_row_of_outputs_without_input_dimensions() -> None:
    op = syno.parse("[] -> [C]\ny[c] = x[] * w[c]")
    assert op.input_shape({"C": 3}) == ()
    assert syno.parse(str(op)) is op


def test_the_whole_input_may_be_summed() -> None:
    op = syno.parse("[C] -> []\ny[] = sum[c:C] x[c] * w[c]")
    assert op.output_shape({"C": 3}) == ()
    assert syno.parse(str(op)) is op


def test_symbols_may_be_called_like_iterators() -> None:
    op = syno.parse("[o, c] -> [o, h]\ny[a,b] = sum[d:c] x[a,d] * w[b,d]")
    assert op.symbols == {"o", "c", "h"}
    assert syno.parse(str(op)) is op


@pytest.mark.parametrize("symbol", ["x", "y", "sum", "w1", "n", "r1"])
def test_symbols_may_have_the_names_of_the_text(symbol: str) -> None:
    op = syno.parse(f"[{symbol}, H] -> [{symbol}, H]\ny[p,q] = x[p,q] * w1[p]")
    assert syno.parse(str(op)) is op


def test_the_same_text_is_read_once() -> None:
    found: list[Operator] = [syno.parse(CONVOLUTION) for _ in range(2)]
    assert found[0] is found[1]
