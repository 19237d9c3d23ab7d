"""How operators are printed: names by custom, parentheses where they are needed."""

from __future__ import annotations

import pytest

import syno
from syno.ir.coord import Coord, merge, output, reduce, shift, split, stride, unfold
from syno.ir.size import Size
from syno.ir.text import format_coord, format_operator, leaf_names

H, A, B = (
    output(0, Size.symbol("H")),
    reduce(0, Size.symbol("k")),
    reduce(1, Size.parse("C/g")),
)
NAMES = {H: "h", A: "a", B: "b"}
S = Size.symbol("s")


@pytest.mark.parametrize(
    ("coord", "text"),
    [
        (H, "h"),
        (split(H, B), "h*(C/g) + b"),
        (split(H, split(A, B)), "h*(C*k/g) + a*(C/g) + b"),
        (split(unfold(H, A), B), "(h + a - k//2)*(C/g) + b"),
        (split(B, unfold(H, A)), "b*H + (h + a - k//2)"),
        (unfold(H, A), "h + a - k//2"),
        (unfold(unfold(H, A), B), "h + a - k//2 + b - (C/g)//2"),
        (unfold(H, unfold(B, A)), "h + (b + a - k//2) - (C/g)//2"),
        (unfold(split(H, B), A), "h*(C/g) + b + a - k//2"),
        (unfold(stride(H, S), stride(A, S)), "s*h + s*a - (k*s)//2"),
        (shift(unfold(H, A), 1), "(h + a - k//2 + 1) % H"),
        (shift(H, -2), "(h - 2) % H"),
        (unfold(shift(H, 1), A), "(h + 1) % H + a - k//2"),
        (stride(split(H, A), S * S), "(s*s)*(h*k + a)"),
        (merge(H, S)[0], "h // s"),
        (merge(merge(H, S)[0], S)[1], "(h // s) % s"),
        (merge(shift(H, 1), S)[1], "((h + 1) % H) % s"),
        (merge(unfold(H, A), S)[0], "(h + a - k//2) // s"),
    ],
)
def test_coordinates(coord: Coord, text: str) -> None:
    assert format_coord(coord, NAMES) == text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "[N, C_in, H, W] -> [N, C_out, H, W]\ny[p,q,u,v] = sum[z:C_in] x[p,z,u,v] * w[q,z]",
            "nohwc",
        ),
        ("[H] -> [H]\ny[p] = sum[z:k] x[p + z - k//2]", "ha"),
        ("[T, C_in] -> [T, C_out]\ny[p,q] = sum[z:C_in, m:R] x[p,z]*w1[q,m]*w2[z,m]", "tocr"),
        ("[H, H] -> [H, H]\ny[p,q] = x[p,q]", "ho"),
        ("[h, o] -> [h, o]\ny[p,q] = x[p,q]", "wt"),
        ("[6, 6] -> [6, 6]\ny[p,q] = x[p,q]", "oh"),
        ("[Batch, H] -> [Batch, H]\ny[p,q] = x[p,q]", "bh"),
    ],
)
def test_iterators_have_the_usual_names(text: str, names: str) -> None:
    op = syno.parse(text)
    assert "".join(leaf_names(op)[leaf] for leaf in (*op.outputs, *op.reductions)) == names


def test_no_iterator_is_called_like_a_symbol_or_a_word_of_the_language() -> None:
    text = "[n, o, h, w, a] -> [n, o, h, w, a]\ny[p,q,u,v,z] = x[p,q,u,v,z]"
    names = set(leaf_names(syno.parse(text)).values())
    assert len(names) == 5
    assert not names & {"n", "o", "h", "w", "a", "x", "y", "sum"}


def test_many_iterators_still_have_names() -> None:
    summed = [f"i{number}" for number in range(12)]
    binders = ",".join(f"{name}:k" for name in summed)
    op = syno.parse(f"[{','.join(['k'] * 12)}] -> []\ny[] = sum[{binders}] x[{','.join(summed)}]")
    assert len(set(leaf_names(op).values())) == 12
    assert syno.parse(str(op)) is op


def test_the_text_is_the_key() -> None:
    op = syno.parse("y[h] = sum[a:k] x[h + a - k//2] * w[a]")
    assert format_operator(op) == str(op) == op.text
    assert repr(op) == f"Operator({str(op)!r})"
