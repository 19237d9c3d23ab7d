"""Every backend against the reference: the operators of the design and random ones, both ways."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import syno
from syno.ir.coord import Coord, merge, output, reduce, shift, split, stride, unfold
from syno.ir.operator import Operator
from syno.ir.semantics import reference, reference_gradients
from syno.ir.size import Size
from syno.lower import backends
from syno.lower.backends import lower

Sizes = dict[str, int]

OPERATORS = {
    "convolution": "y[n,o,h,w] = sum[c:C_in, a:k, b:k] "
    "x[n, c, h + a - k//2, w + b - k//2] * w1[o,c,a,b]",
    "grouped": "y[n,o,h,w] = sum[c:C_in/g, a:k, b:k] "
    "x[n, (o // (C_out/g))*(C_in/g) + c, h+a-k//2, w+b-k//2] * w1[o,c,a,b]",
    "depthwise": "[N, C, H, W] -> [N, C, H, W]\n"
    "y[n,c,h,w] = sum[a:k,b:k] x[n,c,h+a-k//2,w+b-k//2]*w1[c,a,b]",
    "pointwise": "y[n,o,h,w] = sum[c:C_in] x[n,c,h,w]*w1[o,c]",
    "dilated": "y[n,o,h,w] = sum[c:C_in,a:k,b:k] x[n,c,h+s*a-(s*k)//2,w+s*b-s*k//2]*w1[o,c,a,b]",
    "separable": "y[n,o,h,w] = sum[c:C_in,a:k,b:k] x[n,c,h+a-k//2,w+b-k//2]*w1[c,a,b]*w2[o,c]",
    "linear": "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c]*w1[o,c]",
    "low rank": "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in,r:R] x[t,c]*w1[o,r]*w2[c,r]",
    "pool": "[N, C, H, W] -> [N, C, H/s, W/s]\ny[n,c,h,w] = sum[a:s,b:s] x[n,c,h*s+a,w*s+b]",
    "pixel shuffle": "[N, C*s*s, H, W] -> [N, C, H*s, W*s]\n"
    "y[n,c,h,w] = x[n,c*s*s+(h%s)*s+w%s,h//s,w//s]",
    "convolution and shift": "[C_in,H] -> [C_out,H]\n"
    "y[o,h] = sum[c:C_in,a:k] x[c,(h+a-k//2+1)%H]*w1[o,c,a]",
    "operator 1": "y[n,o,h,w] = sum[g:G, c:C_in/G, a:k, b:k, r:R] "
    "x[n, g*(C_in/G)+c, h+a-k//2, w+b-k//2] * w1[g,a,b,o,r] * w2[g*(C_in/G)+c, b, r]",
    "operator 2": "y[n,o,h,w] = sum[g:G, c:C_in/G, a:k, b:k, r:R] "
    "x[n, g*(C_in/G)+c, (h+a-k//2 + 1) % H, w+b-k//2] * w1[g,a,o,r] * w2[g*(C_in/G)+c, b, r]",
    "projection": "[T, 768] -> [T, (72, 2, 16)]\n"
    "y[t,(a,b,c)] = sum[r:384] x[t, b*384+r] * w[a,r,c]",
    # Beyond the design: what recognition has to leave alone or to treat with care.
    "two windows on one axis": "[N, C, H] -> [N, C, H]\n"
    "y[n,c,h] = sum[a:k,b:k] x[n,c,(h+a-k//2)+b-k//2]*w1[c,a]*w2[c,b]",
    "strided window": "[N, C_in, H*s] -> [N, C_out, H]\n"
    "y[n,o,h] = sum[c:C_in,a:k] x[n,c,s*h+a-k//2]*w1[o,c,a]",
    "window kept by a weight": "y[n,o,h,w] = sum[c:C_in,a:k,r:R] "
    "x[n,c,h+a-k//2,w]*w1[o,a,r]*w2[c,a,r]",
    "window pool": "[N, C, H, W] -> [N, C, H, W]\n"
    "y[n,c,h,w] = sum[a:k,b:k] x[n,c,h+a-k//2,w+b-k//2]",
    "weight on a window": "[N, C, H] -> [N, C, H]\n"
    "y[n,c,h] = sum[a:k] x[n,c,h+a-k//2]*w1[c,h+a-k//2]",
    "channels last": "[N, H, C_in] -> [N, H, C_out]\n"
    "y[n,h,o] = sum[c:C_in,a:k] x[n,h+a-k//2,c]*w1[o,c,a]",
    "sum beside a window": "[N, H, C] -> [N, H, C_out]\n"
    "y[n,h,o] = sum[a:k, c:C] x[n, h + a - k//2, c] * w1[o,a]",
    "a sum that weights read whole and in part": "[C_in, H] -> [C_out, H]\n"
    "y[o,h] = sum[c:C_in, a:k, r:R] x[c, h + a - k//2] * w1[o,c,r] * w2[c // s,a,r]",
    "scale": "[N, C, H] -> [N, C, H]\ny[n,c,h] = x[n,c,h]*w1[c]",
    "nearest upsampling": "[N, C, H] -> [N, C, H*s]\ny[n,c,h] = x[n,c,h//s]*w1[c,h%s]",
}
BINDINGS: tuple[Sizes, ...] = (
    {
        "N": 2,
        "C_in": 8,
        "C_out": 8,
        "C": 4,
        "H": 4,
        "W": 6,
        "k": 3,
        "g": 2,
        "G": 4,
        "R": 2,
        "s": 2,
        "T": 2,
    },
    {
        "N": 3,
        "C_in": 12,
        "C_out": 6,
        "C": 2,
        "H": 6,
        "W": 9,
        "k": 3,
        "g": 3,
        "G": 2,
        "R": 3,
        "s": 3,
        "T": 1,
    },
    {
        "N": 1,
        "C_in": 6,
        "C_out": 12,
        "C": 2,
        "H": 8,
        "W": 6,
        "k": 2,
        "g": 3,
        "G": 2,
        "R": 3,
        "s": 2,
        "T": 3,
    },  # an even window
)


def compare(op: Operator, sizes: Sizes, backend: str = "torch") -> None:
    """Assert that a backend computes `op` as the reference does, and torch its gradients."""
    drawn = np.random.default_rng(0)
    x = drawn.standard_normal(op.input_shape(sizes))
    weights = {k: drawn.standard_normal(v) for k, v in op.weight_shapes(sizes).items()}
    wanted = reference(op, sizes, x, weights)
    made = lower(op, sizes, backend)
    if backend == "numpy":
        np.testing.assert_allclose(made.function(x, *weights.values()), wanted, atol=1e-10)
        return
    leaves = [torch.tensor(each, requires_grad=True) for each in (x, *weights.values())]
    y = made.function(*leaves)
    assert tuple(y.shape) == wanted.shape
    np.testing.assert_allclose(y.detach().numpy(), wanted, atol=1e-10)
    grad = drawn.standard_normal(wanted.shape)
    grad_x, grad_weights = reference_gradients(op, sizes, x, weights, grad)
    y.backward(torch.tensor(grad))
    for leaf, expected in zip(leaves, (grad_x, *grad_weights.values()), strict=True):
        assert leaf.grad is not None
        np.testing.assert_allclose(leaf.grad.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("backend", sorted(backends.writers()))
@pytest.mark.parametrize("sizes", BINDINGS, ids=["first", "second", "even window"])
@pytest.mark.parametrize("name", OPERATORS)
def test_agrees_with_the_reference(name: str, sizes: Sizes, backend: str) -> None:
    compare(syno.parse(OPERATORS[name]), sizes, backend)


def primitive_operator(rng: random.Random) -> Operator:
    """Return an operator made by random primitives on a random output shape."""
    shape = [Size.integer(rng.choice((2, 3, 4, 6))) for _ in range(rng.randint(1, 3))]
    current: list[Coord] = [output(index, size) for index, size in enumerate(shape)]
    weights: list[tuple[Coord, ...]] = []
    for step in range(rng.randint(2, 7)):
        kind = rng.choice(list(_MOVES))
        _MOVES[kind](rng, current, weights, step)
    rng.shuffle(current)
    return Operator.build([coord.size for coord in current], shape, current, weights)


Current = list[Coord]
Weights = list[tuple[Coord, ...]]


def _length(coord: Coord) -> int:
    return coord.size.evaluate({})


def _take(rng: random.Random, current: Current, count: int) -> list[Coord]:
    """Remove and return `count` random coordinates; none at all where there are too few."""
    taken = rng.sample(current, count) if len(current) >= count else []
    for coord in taken:
        current.remove(coord)
    return taken


def _move_split(rng: random.Random, current: Current, weights: Weights, step: int) -> None:
    taken = _take(rng, current, 2)
    small = bool(taken) and prod(map(_length, taken)) <= 24
    current += [split(*taken)] if small else taken


def _move_merge(rng: random.Random, current: Current, weights: Weights, step: int) -> None:
    for coord in _take(rng, current, 1):
        blocks = [block for block in range(2, _length(coord)) if _length(coord) % block == 0]
        current += merge(coord, Size.integer(rng.choice(blocks))) if blocks else [coord]


def _move_shift(rng: random.Random, current: Current, weights: Weights, step: int) -> None:
    current += [shift(coord, rng.choice((-1, 1))) for coord in _take(rng, current, 1)]


def _move_stride(rng: random.Random, current: Current, weights: Weights, step: int) -> None:
    for coord in _take(rng, current, 1):
        current.append(stride(coord, Size.integer(2)) if _length(coord) < 7 else coord)


def _move_unfold(rng: random.Random, current: Current, weights: Weights, step: int) -> None:
    taken = sorted(_take(rng, current, 2), key=_length, reverse=True)
    current += [unfold(*taken)] if taken else []


def _move_reduce(rng: random.Random, current: Current, weights: Weights, step: int) -> None:
    current.append(reduce(step, Size.integer(rng.choice((2, 3)))))


def _move_contract(rng: random.Random, current: Current, weights: Weights, step: int) -> None:
    if current and len(weights) < 3:
        chosen = rng.sample(current, rng.randint(1, min(4, len(current))))
        weights.append(tuple(chosen))
        outer = [coord for coord in chosen if rng.random() < 0.35]
        current[:] = [coord for coord in current if coord not in outer]


_MOVES: dict[str, Callable[[random.Random, Current, Weights, int], None]] = {
    "split": _move_split,
    "merge": _move_merge,
    "shift": _move_shift,
    "stride": _move_stride,
    "unfold": _move_unfold,
    "unfold again": _move_unfold,
    "reduce": _move_reduce,
    "reduce again": _move_reduce,
    "contract": _move_contract,
    "contract again": _move_contract,
}


@pytest.mark.parametrize("seed", range(12))
def test_random_primitives_agree_with_the_reference(seed: int) -> None:
    rng, checked = random.Random(seed), 0
    while checked < 25:
        op = primitive_operator(rng)
        if op.data and prod(map(_length, (*op.outputs, *op.reductions))) < 20_000:
            for backend in backends.writers():
                compare(op, {}, backend)
            checked += 1


def convolution_like(rng: random.Random) -> Operator:
    """Return an operator on (n, c, h, w) with windows, strides, groups, ranks, shifts at random."""
    size = Size.integer
    n, o, h, w = (output(i, size(value)) for i, value in enumerate((2, 4, 4, 6)))
    c, a, b, r = (reduce(i, size(v)) for i, v in enumerate((rng.choice((2, 4)), 3, 2, 2)))
    window_a = stride(a, size(2)) if rng.random() < 0.2 else a
    base_h = stride(h, size(2)) if rng.random() < 0.3 else h
    rows, columns, first, second = base_h, w, [a], [b]
    if rng.random() < 0.3:
        rows = shift(rows, 1)
    if window_a.size.evaluate({}) <= rows.size.evaluate({}):
        rows = unfold(rows, window_a)
    else:
        first = []
    columns = unfold(columns, b)
    if rng.random() < 0.3:
        rows = shift(rows, -1)
    high, _ = merge(o, size(2))
    grouped = rng.random() < 0.5
    channels = split(high, c) if grouped else c
    one, two = [o, c, r], [c, r]
    for label in (*first, *second):
        rng.choice((one, two)).append(label)
    weights = [one, two] if rng.random() < 0.6 else [[o, c, *first, *second]]
    data = [n, channels, rows, columns]
    if rng.random() < 0.3:
        data = [n, rows, columns, channels]
    return Operator.build(
        [coord.size for coord in data], [x.size for x in (n, o, h, w)], data, weights
    )


@pytest.mark.parametrize("seed", range(6))
def test_random_convolutions_agree_with_the_reference(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(15):
        op = convolution_like(rng)
        for backend in backends.writers():
            compare(op, {}, backend)


def test_the_batch_may_have_any_length() -> None:
    op, sizes = syno.parse(OPERATORS["grouped"]), dict(BINDINGS[0], N=1)
    made = lower(op, sizes)
    weight = torch.randn(op.weight_shapes(sizes)["w1"])
    x = torch.randn(5, 8, 4, 6)
    single = torch.cat([made.function(each[None], weight) for each in x])
    torch.testing.assert_close(made.function(x, weight), single)


def _without_padding(source: str) -> str:
    return source.replace("padding=(1, 1)", "padding=(0, 2)")


def _without_roll(source: str) -> str:
    return source.replace("torch.roll(x, -1", "torch.roll(x, 1")


def _with_other_groups(source: str) -> str:
    return source.replace("w1, padding", "w1.flip(0), padding").replace(
        "*prepare(w1)", "*prepare(w1.flip(0))"
    )


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("convolution", _without_padding),
        ("operator 2", _without_roll),
        ("grouped", _with_other_groups),
    ],
)
def test_a_wrong_backend_is_caught(
    monkeypatch: pytest.MonkeyPatch, name: str, spoil: Callable[[str], str]
) -> None:
    import syno.lower.backends.torch as right

    op = syno.parse(OPERATORS[name])
    whole = right.source(backends.program_of(op, BINDINGS[0], "torch"))
    assert spoil(whole) != whole
    wrong: Any = SimpleNamespace(source=lambda program: spoil(right.source(program)))
    monkeypatch.setattr(backends, "import_module", lambda _name: wrong)
    with pytest.raises(AssertionError):
        compare(op, BINDINGS[0])


def test_a_backend_in_double_precision_agrees_with_torch_itself() -> None:
    op, sizes = syno.parse(OPERATORS["convolution"]), BINDINGS[0]
    x = torch.randn(2, 8, 4, 6, dtype=torch.float64)
    weight = torch.randn(8, 8, 3, 3, dtype=torch.float64)
    wanted = torch.nn.functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(lower(op, sizes).function(x, weight), wanted)
