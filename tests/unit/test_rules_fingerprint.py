"""The fingerprint: blind to labels and to the order of dimensions, and to nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from near_misses import NEAR, OTHER, SIZES, orders, raw, reordered

import syno
from syno.ir.coord import output, reduce, shift, split
from syno.ir.errors import SizeError
from syno.ir.operator import Operator
from syno.ir.size import Size
from syno.rules import fingerprint as fingerprint_of
from syno.rules import same_operator
from syno.zoo.named import NAMED

fingerprints = sys.modules["syno.rules.fingerprint"]
Fingerprint = Callable[[Operator, dict[str, int]], str]

OPERATORS = tuple(dict.fromkeys(syno.parse(text) for pair in NEAR.values() for text in pair))
# One operator, with the dimensions of x, y and the weights written in different orders.
ORDERS: dict[str, tuple[str, ...]] = {
    "a matrix product": (
        "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c] * w1[o,c]",
        "[C_in, T] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[c,t] * w1[o,c]",
        "[T, C_in] -> [C_out, T]\ny[o,t] = sum[c:C_in] x[t,c] * w1[c,o]",
        "[C_in, T] -> [C_out, T]\ny[o,t] = sum[c:C_in] x[c,t] * w1[c,o]",
    ),
    "a window with a shift": (
        "[C_in, H] -> [C_out, H]\ny[o,h] = sum[c:C_in, a:k] x[c, (h+a-k//2+1)%H] * w1[o,c,a]",
        "[H, C_in] -> [H, C_out]\ny[h,o] = sum[c:C_in, a:k] x[(h+a-k//2+1)%H, c] * w1[a,o,c]",
        "[H, C_in] -> [C_out, H]\ny[o,h] = sum[a:k, c:C_in] x[(h+a-k//2+1)%H, c] * w1[c,a,o]",
    ),
    "a window over rows, with a weight for each channel": (
        "[C, H, W] -> [C, H, W]\ny[c,h,w] = sum[a:k] x[c, h+a-k//2, w] * w1[c,a]",
        "[H, W, C] -> [H, W, C]\ny[h,w,c] = sum[a:k] x[h+a-k//2, w, c] * w1[a,c]",
        "[W, C, H] -> [C, H, W]\ny[c,h,w] = sum[a:k] x[w, c, h+a-k//2] * w1[c,a]",
        "[C, H, W] -> [W, H, C]\ny[w,h,c] = sum[a:k] x[c, h+a-k//2, w] * w1[c,a]",
    ),
    "channels that become places": (
        "[C*s*s, H, W] -> [C, H*s, W*s]\ny[c,h,w] = x[c*s*s + (h%s)*s + w%s, h//s, w//s]",
        "[W, H, C*s*s] -> [C, H*s, W*s]\ny[c,h,w] = x[w//s, h//s, c*s*s + (h%s)*s + w%s]",
        "[C*s*s, H, W] -> [W*s, C, H*s]\ny[w,c,h] = x[c*s*s + (h%s)*s + w%s, h//s, w//s]",
    ),
    "two weights on one rank": (
        "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]",
        "[C_in, T] -> [C_out, T]\ny[o,t] = sum[r:R, c:C_in] x[c,t] * w1[r,c] * w2[r,o]",
    ),
    "two dimensions of one name, and one of another": (
        "[H, C, H] -> [H, C, H]\ny[h,c,i] = sum[j:H] x[j,c,i] * w1[c,h,j]",
        "[C, H, H] -> [H, C, H]\ny[h,c,i] = sum[j:H] x[c,j,i] * w1[j,h,c]",
        "[H, C, H] -> [H, H, C]\ny[h,i,c] = sum[j:H] x[j,c,i] * w1[h,c,j]",
    ),
}
# Where two dimensions have one name, the first is the first: here x, or y, is transposed.
TRANSPOSED: dict[str, tuple[str, str]] = {
    "x, weighted": (
        "[H, H] -> [H, H]\ny[h,i] = x[h,i] * w1[h,i]",
        "[H, H] -> [H, H]\ny[h,i] = x[i,h] * w1[h,i]",
    ),
    "x, without a weight": (
        "[H, H] -> [H, H]\ny[h,i] = x[h,i]",
        "[H, H] -> [H, H]\ny[h,i] = x[i,h]",
    ),
    "y, after a product": (
        "[H, H] -> [H, H]\ny[h,i] = sum[j:H] x[j,i] * w1[h,j]",
        "[H, H] -> [H, H]\ny[i,h] = sum[j:H] x[j,i] * w1[h,j]",
    ),
    "x, beside a dimension of another name": (
        "[H, C, H] -> [H, C, H]\ny[h,c,i] = sum[j:H] x[j,c,i] * w1[c,h,j]",
        "[H, C, H] -> [H, C, H]\ny[h,c,i] = sum[j:H] x[i,c,j] * w1[c,h,j]",
    ),
}


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


def rewritten(op: Operator) -> list[Operator]:
    """Return `op` with the dimensions of x, of y and of both in the order farthest from its own."""
    last_in, last_out = orders(op.input)[-1], orders(op.output)[-1]
    plain_in, plain_out = range(len(op.input)), range(len(op.output))
    pairs = ((last_in, plain_out), (plain_in, last_out), (last_in, last_out))
    return [reordered(op, *pair) for pair in pairs]


def tells_apart(fingerprint: Fingerprint) -> None:
    for name, texts in NEAR.items():
        one, two = (syno.parse(text) for text in texts)
        for sizes in (SIZES, OTHER):
            assert fingerprint(one, sizes) != fingerprint(two, sizes), name


def is_blind_to_labels(fingerprint: Fingerprint) -> None:
    sees_nothing_of(relabelled, fingerprint)


def is_blind_to_order(fingerprint: Fingerprint) -> None:
    sees_nothing_of(rewritten, fingerprint)


def sees_nothing_of(
    spellings: Callable[[Operator], list[Operator]], fingerprint: Fingerprint
) -> None:
    for op in OPERATORS:
        found = fingerprint(op, SIZES)
        for other in spellings(op):
            assert fingerprint(other, SIZES) == found, f"{op}\n{other.data}\n{other.weights}"


@pytest.mark.parametrize("name", NEAR)
def test_near_misses_are_told_apart(name: str) -> None:
    one, two = (syno.parse(text) for text in NEAR[name])
    for sizes in (SIZES, OTHER):
        assert fingerprint_of(one, sizes) != fingerprint_of(two, sizes)
    assert not same_operator(one, two, [SIZES])


def test_no_pair_stands_twice() -> None:
    pairs = {frozenset(map(syno.parse, texts)) for texts in NEAR.values()}
    assert len(pairs) == len(NEAR) >= 40


def test_labels_are_not_seen() -> None:
    is_blind_to_labels(fingerprint_of)


def test_entries_of_weights_are_not_seen_in_any_order() -> None:
    random = np.random.default_rng(0)
    for op in OPERATORS:
        inside, out, read, places = fingerprints.terms(op, SIZES)
        products = (fingerprints.mix(out) * fingerprints.mix(read + np.uint64(1 << 40)))[inside]
        plain = [place[inside].astype(np.int64) for place in places]
        mixed = [random.permutation(int(place.max()) + 1)[place] for place in plain][::-1]
        assert fingerprints._form(products, mixed) == fingerprints._form(products, plain), op


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("sizes", [SIZES, OTHER])
def test_the_order_of_dimensions_is_not_seen(name: str, sizes: dict[str, int]) -> None:
    ops = [syno.parse(text) for text in ORDERS[name]]
    assert len(set(ops)) == len(ops)  # the text does see it
    assert len({fingerprint_of(op, sizes) for op in ops}) == 1


def test_no_operator_shows_the_order_of_its_dimensions() -> None:
    is_blind_to_order(fingerprint_of)


@pytest.mark.parametrize("name", TRANSPOSED)
@pytest.mark.parametrize("sizes", [SIZES, OTHER])
def test_the_order_of_dimensions_of_one_name_is_seen(name: str, sizes: dict[str, int]) -> None:
    one, two = (syno.parse(text) for text in TRANSPOSED[name])
    assert fingerprint_of(one, sizes) != fingerprint_of(two, sizes)


def test_the_same_operator_in_two_spellings() -> None:
    line, plane = "[C_in, H] -> [C_out, H]\ny[o,h] = ", "[H, W] -> [H, W]\ny[h,w] = "
    texts = (
        line + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o,c]",
        line + "sum[c:C_in/g] x[(o//(C_out/g))*(C_in/g) + c, h] * w1[o//(C_out/g), o%(C_out/g), c]",
    )
    assert same_operator(*map(syno.parse, texts), [SIZES, OTHER])
    mirrored = raw(
        syno.parse(plane + "sum[a:k] x[h+a-k//2, w] * w1[a]"), [(shift(reduce(0, K), 2),)]
    )
    assert same_operator(mirrored, syno.parse(plane + "sum[b:k] x[h+b-k//2, w] * w1[b]"), [SIZES])


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
    with pytest.raises(AssertionError, match="four weights in a ring or in two pairs"):
        tells_apart(fingerprint_of)


def test_a_fingerprint_that_sees_order_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_refined", lambda values, *_: values.tobytes())
    with pytest.raises(AssertionError):
        is_blind_to_labels(fingerprint_of)


def test_a_fingerprint_of_dimensions_as_written_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fingerprints, "_dimensions", lambda sizes: [*map(str, range(len(sizes)))])
    is_blind_to_labels(fingerprint_of)
    with pytest.raises(AssertionError):
        is_blind_to_order(fingerprint_of)


def test_a_fingerprint_without_an_order_in_one_name_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fingerprints, "_dimensions", lambda sizes: [*map(str, sizes)])
    is_blind_to_order(fingerprint_of)
    with pytest.raises(AssertionError, match="the diagonal or the transpose"):
        tells_apart(fingerprint_of)


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
