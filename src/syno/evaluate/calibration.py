"""Calibration: measure kernels of many sizes, once for each machine, so that plans can be compared.

Every kind of kernel is sampled at random where operators use it, timed alone by torch, and fitted:
microseconds for each term of `syno.lower.machine`, then trees for what the sum leaves unexplained.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import exp, log
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from syno.evaluate.latency import machine as about_machine
from syno.lower import values
from syno.lower.backends.torch import TorchWords
from syno.lower.machine import DEPTH, Kernel, Machine, Terms, features, kind_of, sizes_of, terms_of
from syno.lower.program import Extent, Slide, Value

_MOST_WORK = 3e8
_SECONDS = 0.02
_TREES = 120

Sample = tuple[Terms, float]


def calibrate(
    *, scale: float = 1.0, seed: int = 0, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Machine, dict[str, tuple[float, float]]]:
    """Measure this machine with as many threads as torch has now; takes about two minutes.

    `scale` multiplies the number of samples. Also returned is how good the model is, by kind: the
    factor between predicted and measured time, median and ninth decile, of a fifth of the samples
    that a fit to the others did not see.
    """
    rng = Random(seed)
    counts = {name: max(40, round(scale * count)) for name, (count, _) in SAMPLERS.items()}
    total, done = sum(counts.values()), 0
    found: dict[str, list[Sample]] = {}
    for name, (_, sampler) in SAMPLERS.items():
        for _ in range(counts[name]):
            value = sampler(rng)
            seconds = measure(value)
            found.setdefault(kind_of(value), []).append((sizes_of(value), seconds))
            if value.op == "convolution" and torch.backends.mkldnn.is_available():
                found.setdefault("packed", []).append((sizes_of(value), _packed_seconds(value)))
            done += 1
            if on_progress is not None and done % 50 == 0:
                on_progress(done, total)
    found.pop("view", None)
    kernels = {kind: fit(kind, samples) for kind, samples in found.items()}
    kernels["view"] = Kernel((1e6 * _view_seconds(),))
    about = {**about_machine(), "threads": torch.get_num_threads(), "samples": total}
    about |= {"date": datetime.now(UTC).date().isoformat()}
    return Machine(kernels, about), {kind: errors(kind, found[kind]) for kind in found}


def errors(kind: str, samples: Sequence[Sample]) -> tuple[float, float]:
    """Return the factor by which predictions are off: median and ninth decile of unseen samples."""
    kernel = fit(kind, [each for place, each in enumerate(samples) if place % 5])
    off = [abs(log(seconds / kernel.seconds(kind, sizes))) for sizes, seconds in samples[::5]]
    middle, most = np.quantile(off, (0.5, 0.9))
    return round(exp(middle), 3), round(exp(most), 3)


def measure(value: Value, seconds: float = _SECONDS) -> float:
    """Return the least time of one value in seconds, its operands being there."""
    function = _function(value)
    operands = [_tensor(operand) for operand in value.operands]
    with torch.inference_mode():
        return _least(lambda: function(*operands), seconds)


def _least(call: Callable[[], object], seconds: float = _SECONDS) -> float:
    call()
    best, spent, calls = float("inf"), 0.0, 0
    while calls < 4 or (spent < seconds and calls < 50):
        start = time.perf_counter()
        call()
        once = time.perf_counter() - start
        best, spent, calls = min(best, once), spent + once, calls + 1
    return best


def _packed_seconds(value: Value) -> float:
    """Return the least time of a convolution as compiled: weights packed, channels last."""
    data, kernel = (_tensor(operand) for operand in value.operands)
    slides, groups = value.options["slides"], value.options["groups"]
    sides, steps, spread = (
        [getattr(slide, name) for slide in slides] for name in ("left", "stride", "dilation")
    )
    data = data.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        packed = reorder(kernel.to_mkldnn(), sides, steps, spread, groups, list(data.shape))
        run = torch.ops.mkldnn._convolution_pointwise
        return _least(lambda: run(data, packed, None, sides, steps, spread, groups, "none", [], ""))


def fit(kind: str, samples: Sequence[Sample]) -> Kernel:
    """Return the kernel that fits measured samples: terms first, then trees for their errors."""
    from scipy.optimize import nnls
    from sklearn.ensemble import GradientBoostingRegressor

    terms = np.array([terms_of(kind, sizes) for sizes, _ in samples])
    measured = np.array([1e6 * seconds for _, seconds in samples])
    coefficients = nnls(terms / measured[:, None], np.ones(len(samples)))[0]
    base = np.maximum(terms @ coefficients, 0.01)
    points = np.array(
        [
            features(sizes, tuple(row), float(total))
            for (sizes, _), row, total in zip(samples, terms, base, strict=True)
        ]
    )
    forest = GradientBoostingRegressor(
        n_estimators=_TREES,
        max_depth=DEPTH,
        learning_rate=0.12,
        subsample=0.7,
        min_samples_leaf=3,
        loss="huber",
        random_state=0,
        init="zero",
    )
    forest.fit(points, np.log(measured / base))
    return Kernel(tuple(map(float, coefficients)), _flat(forest))


def _flat(forest: Any) -> NDArray[np.float32]:
    """Return fitted trees as one array (trees, nodes, 5); see `Kernel`."""
    trees = [each[0].tree_ for each in forest.estimators_]
    found = np.zeros((len(trees), max(tree.node_count for tree in trees), 5), dtype=np.float32)
    for row, tree in zip(found, trees, strict=True):
        here = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        row[here, 0] = np.where(leaf, 0, tree.feature)
        row[here, 1] = tree.threshold
        row[here, 2] = np.where(leaf, here, tree.children_left)
        row[here, 3] = np.where(leaf, here, tree.children_right)
        row[here, 4] = forest.learning_rate * tree.value[:, 0, 0]
    return found


def _function(value: Value) -> Callable[..., Tensor]:
    """Return the torch function of one value of its operands."""
    names = [f"t{number}" for number in range(len(value.operands))]
    code = getattr(TorchWords(), value.op)(value, *names)
    scope = {"torch": torch, "F": functional}
    made: Callable[..., Tensor] = eval(f"lambda {', '.join(names)}: {code}", scope)
    return made


def _tensor(value: Value) -> Tensor:
    if value.op == "input":
        return torch.randn(value.shape)
    return _function(value)(*(_tensor(operand) for operand in value.operands))


def _view_seconds() -> float:
    value = values.permute(_data(64, 14, 14), (1, 0, 2))
    return measure(value)


# What is sampled


def _between(rng: Random, low: float, high: float) -> int:
    return round(exp(rng.uniform(log(low), log(high))))


def _data(*shape: int) -> Value:
    return values.argument("x", shape, fixed=False)


def _weight(*shape: int) -> Value:
    return values.argument("w", shape, fixed=True)


def _channels(rng: Random, most: int = 512) -> int:
    usual = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768]
    return rng.choice([each for each in usual if each <= most])


_WINDOWS = ((1, 1), (3, 3), (3, 3), (1, 3), (3, 1), (5, 5), (1, 5), (7, 7), (1, 7), (7, 1))


def _convolution(rng: Random) -> Value:
    while True:
        groups = rng.choice((1, 1, 1, 1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512))
        inside, outside = _channels(rng), _channels(rng)
        if groups > 1 and rng.random() < 0.5:
            inside = rng.choice((1, 1, 2, 4, 8, 16))
            outside = inside * rng.choice((1, 1, 1, 2, 3, 4))
        rows = columns = rng.choice((7, 8, 14, 16, 28, 32, 56))
        if rng.random() < 0.2:
            rows, columns = rng.choice((7, 14, 28, 56)), rng.choice((7, 14, 28, 56, 196, 784))
        elif rng.random() < 0.15:
            rows, columns = 1, _between(rng, 7, 3200)
        window = rng.choice(_WINDOWS)
        window = (1, window[1]) if rows == 1 else window
        work = groups * inside * outside * rows * columns * window[0] * window[1]
        if not 1e4 < work < _MOST_WORK or groups * max(inside, outside) > 2048:
            continue
        data = _data(1, groups * inside, rows, columns)
        if rng.random() < 0.2:
            data = values.permute(_data(1, columns, groups * inside, rows), (0, 2, 3, 1))
        dilation, stride = rng.choice((1,) * 12 + (2,)), rng.choice((1,) * 8 + (2,))
        reach = [dilation * (size - 1) // 2 for size in window]
        slides = [
            Slide(size, side, side, stride, dilation)
            for size, side in zip(window, reach, strict=True)
        ]
        kernel = _weight(groups * outside, inside, *window)
        return values.convolution(data, kernel, slides, groups)


def _product(rng: Random) -> tuple[int, int, int, int]:
    while True:
        batch = rng.choice((1, 1, 1, 2, 3, 4, 8, 16, 32, 64, 128, 256))
        rows, summed, columns = (_between(rng, 1, n) for n in (1200, 2400, 3200))
        if 1e4 < batch * rows * summed * columns < _MOST_WORK:
            return batch, rows, summed, columns


def _matmul(rng: Random) -> Value:
    batch, rows, summed, columns = _product(rng)
    right = _data(batch, summed, columns)
    if rng.random() < 0.25:
        right = values.permute(_data(batch, columns, summed), (0, 2, 1))
    elif rng.random() < 0.25:
        right = values.permute(_data(summed, columns, batch), (2, 0, 1))
    return values.matmul(_weight(batch, rows, summed), right)


def _linear(rng: Random) -> Value:
    _, rows, summed, columns = _product(rng)
    data = _data(rows, summed)
    if rng.random() < 0.3:
        data = values.permute(_data(summed, rows), (1, 0))
    return values.linear(data, _weight(columns, summed))


def _einsum(rng: Random) -> Value:
    batch, rows, summed, columns = _product(rng)
    names = {"b": batch, "m": rows, "k": summed, "n": columns}
    left, right, result = list("bkn"), list("bmk"), list("bmn")
    for each in (left, right, result):
        if rng.random() < 0.6:
            rng.shuffle(each)
    spec = f"{''.join(left)},{''.join(right)}->{''.join(result)}"
    return values.einsum(
        spec, _data(*(names[x] for x in left)), _weight(*(names[x] for x in right))
    )


def _image(rng: Random, most: float = 2e6) -> tuple[int, ...]:
    while True:
        shape = tuple(_between(rng, 1, n) for n in (64, 512, 56, 56))
        if 100 < np.prod(shape) < most:
            return shape


def _copy(rng: Random) -> Value:
    shape = _image(rng)
    order = list(range(4))
    rng.shuffle(order)
    value = values.permute(_data(*shape), order)
    return values.reshape(value, [Extent(value.elements, str(value.elements))])


def _turned(rng: Random) -> Value:
    """Return data that lie in order, or some of the time do not."""
    order = list(range(4))
    if rng.random() < 0.4:
        rng.shuffle(order)
    return values.permute(_data(*_image(rng)), order)


def _sum(rng: Random) -> Value:
    axes = sorted(rng.sample(range(4), rng.choice((1, 1, 2))))
    return values.total(_turned(rng), axes)


def _add(rng: Random) -> Value:
    shape = list(_image(rng))
    axis, places = rng.choice((2, 3)), rng.choice((3, 5, 7))
    if rng.random() < 0.3:
        places = rng.choice((2, 2, 3))
        shape[axis] *= places
        whole = _data(*shape)
        return values.add([values.cut(whole, axis, n, step=places) for n in range(places)])
    shape[axis] += places - 1
    whole = _data(*shape)
    stops = shape[axis] - places + 1
    return values.add([values.cut(whole, axis, n, n + stops) for n in range(places)])


def _multiply(rng: Random) -> Value:
    data = _turned(rng)
    return values.multiply(data, _weight(data.shape[1], 1, 1))


def _pad(rng: Random) -> Value:
    return values.padded(_turned(rng), rng.choice((2, 3)), 1, 1)


def _roll(rng: Random) -> Value:
    return values.roll(_turned(rng), rng.choice((1, 2, 3)), 1)


def _stack(rng: Random) -> Value:
    batch, channels, rows, columns = _image(rng, 7e5)
    data = _data(batch, channels, 3, rows, columns)
    return values.diagonal(data, rng.choice((3, 4)), 2)


SAMPLERS: dict[str, tuple[int, Callable[[Random], Value]]] = {
    "convolution": (5000, _convolution),
    "matmul": (1200, _matmul),
    "linear": (600, _linear),
    "einsum": (1500, _einsum),
    "copy": (600, _copy),
    "sum": (500, _sum),
    "add": (300, _add),
    "multiply": (300, _multiply),
    "pad": (300, _pad),
    "roll": (300, _roll),
    "stack": (300, _stack),
}
"""How many samples of each kind, and what makes one."""
