"""The fingerprint: blind to the names of weights and sums, and to nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable

import numpy as np
import pytest

import syno
from syno.ir.coord import Coord, output, reduce, shift, split
from syno.ir.errors import SizeError
from syno.ir.operator import Index, Operator
from syno.ir.size import Size
from syno.rules import fingerprint as fingerprint_of
from syno.rules import same_operator
from syno.zoo.named import NAMED

fingerprints = sys.modules["syno.rules.fingerprint"]
Fingerprint = Callable[[Operator, dict[str, int]], str]

SIZES = {"C_in": 4, "C_out": 4, "C": 4, "H": 6, "W": 6, "T": 3, "R": 2, "g": 2, "k": 3, "s": 2}
OTHER = {"C_in": 6, "C_out": 4, "C": 6, "H": 8, "W": 4, "T": 2, "R": 3, "g": 2, "k": 3, "s": 2}

_LINE = "[C_in, H] -> [C_out, H]\ny[o,h] = "
_DEEP = "[C, H] -> [C, H]\ny[c,h] = "
_PLANE = "[H, W] -> [H, W]\ny[h,w] = "
_ROWS = "[T, C_in] -> [T, C_out]\ny[t,o] = "
_POOL = "[H] -> [H/s]\ny[h] = "
NEAR: dict[str, tuple[str, str]] = {
    "a tap moved": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, (h + 1)%H + a - k//2] * w1[o,c,a]",
    ),
    "shift before or after the window": (
        _LINE + "sum[c:C_in, a:k] x[c, (h + 1)%H + a - k//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, (h + a - k//2 + 1)%H] * w1[o,c,a]",
    ),
    "shift forth or back": (
        _LINE + "sum[c:C_in] x[c, (h + 1)%H] * w1[o,c]",
        _LINE + "sum[c:C_in] x[c, (h - 1)%H] * w1[o,c]",
    ),
    "the window of the other dimension": (
        _PLANE + "sum[a:k] x[h+a-k//2, w] * w1[a]",
        _PLANE + "sum[a:k] x[h, w+a-k//2] * w1[a]",
    ),
    "one window twice or two windows": (
        _PLANE + "sum[a:k, b:k] x[h+a-k//2+b-k//2, w] * w1[a,b]",
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a,b]",
    ),
    "a full window or a separable one": (
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a,b]",
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a] * w2[b]",
    ),
    "a weighted window or a mean": (
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[a]",
        _PLANE + "sum[a:k, b:k] x[h+a-k//2, w+b-k//2] * w1[b]",
    ),
    "dilated or dense": (
        _LINE + "sum[c:C_in, a:k] x[c, h + s*a - (k*s)//2] * w1[o,c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c,a]",
    ),
    "high or low digit": (
        "[H] -> [H]\ny[h] = x[h] * w1[h//s]",
        "[H] -> [H]\ny[h] = x[h] * w1[h%s]",
    ),
    "digits in their order or swapped": (
        "[H] -> [H]\ny[h] = x[h] * w1[h]",
        "[H] -> [H]\ny[h] = x[(h%s)*(H/s) + h//s] * w1[h]",
    ),
    "grouped or interleaved": (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE + "sum[c:C_in/g] x[c*g + o//(C_out/g), h] * w1[o,c]",
    ),
    "groups of neighbours or of remainders": (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE + "sum[c:C_in/g] x[(o%g)*(C_in/g) + c, h] * w1[o,c]",
    ),
    "grouped or dense": (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE + "sum[c:C_in] x[c, h] * w1[o,c]",
    ),
    "depthwise or dense": (
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[c,a]",
        _DEEP + "sum[d:C, a:k] x[d, h+a-k//2] * w1[c,d,a]",
    ),
    "a window for each channel or one for all": (
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[c,a]",
        _DEEP + "sum[a:k] x[c, h+a-k//2] * w1[a]",
    ),
    "low rank or full": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in] x[t,c] * w1[o,c]",
    ),
    "rank R or rank 1": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c]",
    ),
    "rank R or rank s*R": (
        _ROWS + "sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        _ROWS + "sum[c:C_in, r:s*R] x[t,c] * w1[o,r] * w2[c,r]",
    ),
    "one weight for all rows or one for each": (
        _ROWS + "sum[c:C_in] x[t,c] * w1[o,c]",
        _ROWS + "sum[c:C_in] x[t,c] * w1[t,o,c]",
    ),
    "the window of the first factor or of the second": (
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,c] * w2[c,a]",
        _LINE + "sum[c:C_in, a:k] x[c, h+a-k//2] * w1[o,a] * w2[c,a]",
    ),
    "blocks or every s-th place": (
        _POOL + "sum[a:s] x[h*s + a] * w1[a]",
        _POOL + "sum[a:s] x[a*(H/s) + h] * w1[a]",
    ),
    "a sum of blocks or a weighted one": (
        _POOL + "sum[a:s] x[h*s + a] * w1[a]",
        _POOL + "sum[a:s] x[h*s + a] * w1[h]",
    ),
    "the diagonal or the transpose": (
        "[H, H] -> [H, H]\ny[h,i] = x[h,i] * w1[h,i]",
        "[H, H] -> [H, H]\ny[h,i] = x[i,h] * w1[h,i]",
    ),
}


def raw(
    op: Operator, weights: Iterable[Index], rename: dict[Coord, Coord] | None = None
) -> Operator:
    """Return `op` with weights as given: `Operator.build` would bring them into one form."""
    table = rename or {}
    made = object.__new__(Operator)
    made.input, made.output, made.outputs, made.text = op.input, op.output, op.outputs, "raw"
    made.data = tuple(coord.replace(table.get) for coord in op.data)
    made.weights = tuple(tuple(c.replace(table.get) for c in index) for index in weights)
    made.reductions = tuple(table.get(leaf, leaf) for leaf in op.reductions)[::-1]
    return made


def relabelled(op: Operator) -> list[Operator]:
    """Return spellings of `op` that differ in the labels of weights and sums alone."""
    turned = [index[::-1] for index in op.weights]
    names = {leaf: reduce(9 - int(str(leaf.arg)), leaf.size) for leaf in op.reductions}
    shifted = [(shift(index[0], 1), *index[1:]) for index in op.weights]
    joined = [(split(index[-1], index[0]), *index[1:-1]) for index in op.weights if index[1:]]
    joined += [index for index in op.weights if not index[1:]]
    doubled = [(*index, *index[:1]) for index in op.weights]
    every = [turned, op.weights[::-1], shifted, joined, doubled]
    return [raw(op, op.weights, names), *(raw(op, weights) for weights in every)]


def tells_apart(fingerprint: Fingerprint) -> None:
    for name, texts in NEAR.items():
        one, two = (syno.parse(text) for text in texts)
        for sizes in (SIZES, OTHER):
            assert fingerprint(one, sizes) != fingerprint(two, sizes), name


def is_blind_to_labels(fingerprint: Fingerprint) -> None:
    for texts in NEAR.values():
        for op in map(syno.parse, texts):
            for other in relabelled(op):
                assert fingerprint(op, SIZES) == fingerprint(other, SIZES), f"{op}\n{other.weights}"


@pytest.mark.parametrize("name", NEAR)
def test_near_misses_are_told_apart(name: str) -> None:
    one, two = (syno.parse(text) for text in NEAR[name])
    for sizes in (SIZES, OTHER):
        assert fingerprint_of(one, sizes) != fingerprint_of(two, sizes)
    assert not same_operator(one, two, [SIZES])


def test_labels_are_not_seen() -> None:
    is_blind_to_labels(fingerprint_of)


def test_the_same_operator_in_two_spellings() -> None:
    texts = (
        _LINE + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        _LINE
        + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o//(C_out/g), o%(C_out/g), c]",
    )
    assert same_operator(*map(syno.parse, texts), [SIZES, OTHER])
    mirrored = raw(
        syno.parse(_PLANE + "sum[a:k] x[h+a-k//2, w] * w1[a]"), [(shift(reduce(0, K), 2),)]
    )
    assert same_operator(mirrored, syno.parse(_PLANE + "sum[b:k] x[h+b-k//2, w] * w1[b]"), [SIZES])


K = Size.symbol("k")


def _of_shapes(op: Operator, sizes: dict[str, int]) -> str:
    return f"{op.input_shape(sizes)}{sorted(op.weight_shapes(sizes).values())}"


def _of_text(op: Operator, sizes: dict[str, int]) -> str:
    return f"{op.data}{op.weights}{sizes}"


def test_a_fingerprint_of_shapes_is_found_out() -> None:
    with pytest.raises(AssertionError, match="a tap moved"):
        tells_apart(_of_shapes)


def test_a_fingerprint_of_the_text_is_found_out() -> None:
    with pytest.raises(AssertionError):
        is_blind_to_labels(_of_text)


def test_a_fingerprint_of_coefficients_alone_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tells_apart(fingerprint_of)
    monkeypatch.setattr(fingerprints, "_refined", lambda values, *_: np.sort(values).tobytes())
    with pytest.raises(AssertionError, match="rank R or rank 1"):
        tells_apart(fingerprint_of)


def test_a_fingerprint_that_sees_order_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_refined", lambda values, *_: values.tobytes())
    with pytest.raises(AssertionError):
        is_blind_to_labels(fingerprint_of)


def test_named_operators_of_one_shape_are_told_apart() -> None:
    small = {"N": 1, "C_in": 4, "C_out": 4, "C": 4, "H": 4, "W": 4, "k": 3, "s": 2, "g": 2, "G": 2}
    small |= {"R": 2, "T": 3}
    ops = [row.operator for row in NAMED.values() if row.name != "gpt2-projection"]
    assert len({fingerprint_of(op, small) for op in ops}) == len(ops)


CODE = """
import syno
from syno.rules import fingerprint
print(fingerprint(syno.parse({text!r}), {sizes!r}))
"""


def test_every_process_finds_the_same() -> None:
    text = NEAR["low rank or full"][0]
    found = {
        subprocess.run(
            [sys.executable, "-c", CODE.format(text=text, sizes=SIZES)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "77")
    }
    assert found == {fingerprint_of(syno.parse(text), SIZES)}


def test_sizes_that_take_too_long_are_refused() -> None:
    op = NAMED["convolution"].operator
    with pytest.raises(SizeError, match="Sizes of 2 to 6 are enough"):
        fingerprint_of(op, {"N": 8, "C_in": 64, "C_out": 64, "H": 32, "W": 32, "k": 3})


def test_an_operator_without_weights_has_one() -> None:
    plain = Operator.build((K,), (K,), (output(0, K),), ())
    moved = Operator.build((K,), (K,), (shift(output(0, K), 1),), ())
    assert fingerprint_of(plain, {"k": 3}) != fingerprint_of(moved, {"k": 3})
