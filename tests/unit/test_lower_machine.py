"""What kernels cost: sizes that decide, a fit that learns, a file that keeps it."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from random import Random

import numpy as np
import pytest

from syno.evaluate import calibration
from syno.lower import values
from syno.lower.machine import (
    Kernel,
    Machine,
    kind_of,
    load,
    save,
    sizes_of,
    terms_of,
    this_machine,
)
from syno.lower.program import OPERATIONS, Extent, Slide, Value


def data(*shape: int) -> Value:
    return values.argument("x", shape, fixed=False)


@pytest.mark.parametrize("name", calibration.SAMPLERS)
def test_every_kind_has_sizes_and_terms(name: str) -> None:
    rng = Random(0)
    for _ in range(20):
        value = calibration.SAMPLERS[name][1](rng)
        kind = kind_of(value)
        if kind == "view":
            continue
        sizes = sizes_of(value)
        assert all(size > 0 for size in sizes)
        assert all(term >= 0 for term in terms_of(kind, sizes))
        assert this_machine().seconds(value) > 0


def test_every_operation_has_a_kind() -> None:
    assert {kind_of(Value(op, (), (), ())) for op in OPERATIONS if op != "reshape"}


def test_a_view_costs_a_call_and_a_copy_what_it_moves() -> None:
    turned = values.permute(data(64, 56, 56), (1, 2, 0))
    flat = [Extent(turned.elements, "n")]
    copied, kept = values.reshape(turned, flat), values.reshape(data(64, 56, 56), flat)
    assert copied.copies and not kept.copies
    assert this_machine().seconds(copied) > 5 * this_machine().seconds(kept)


def test_more_work_takes_longer() -> None:
    def seconds(channels: int) -> float:
        kernel = values.argument("w", (channels, channels, 3, 3), fixed=True)
        slides = [Slide(3, 1, 1)] * 2
        return this_machine().seconds(
            values.convolution(data(1, channels, 28, 28), kernel, slides, 1)
        )

    assert seconds(32) < seconds(64) < seconds(128) < seconds(256)


def test_a_fit_learns_terms_and_what_they_leave_unexplained() -> None:
    """Made-up kernels: so much for a call and a multiply-add, twice as slow for short columns."""
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(600):
        sizes = (*(float(round(exp(each))) for each in rng.uniform(0, log(300), 4)), 1.0)
        work = terms_of("matmul", sizes)[1]
        samples.append((sizes, 1e-6 * (3 + 20 * work) * (2 if sizes[3] < 8 else 1)))
    middle, most = calibration.errors("matmul", samples)
    assert middle < 1.1 and most < 1.5


def test_a_kernel_walks_its_trees() -> None:
    """One tree: sizes up to 4 are twice as slow, others half as slow."""
    leaf = [[0, 0, place, place, value] for place, value in ((1, log(2)), (2, -log(2)))]
    trees = np.array([[[0, 2.0, 1, 2, 0], *leaf]])
    kernel = Kernel((1.0, 0.0, 0.0, 0.0), trees)
    assert kernel.seconds("copy", (3.0, 1.0, 1.0, 1.0)) == pytest.approx(2e-6)
    assert kernel.seconds("copy", (5.0, 1.0, 1.0, 1.0)) == pytest.approx(0.5e-6)


def test_a_machine_is_kept_in_a_file(tmp_path: Path) -> None:
    before = this_machine()
    save(before, tmp_path / "machine.npz")
    after = load(tmp_path / "machine.npz")
    value = values.matmul(data(4, 30, 50), data(4, 50, 70))
    assert after.seconds(value) == pytest.approx(before.seconds(value), rel=1e-4)
    assert after.about == before.about


def test_calibration_measures_every_kind() -> None:
    found, errors = calibration.calibrate(scale=0.001)
    assert isinstance(found, Machine)
    assert set(errors) | {"view"} == set(found.kernels) == set(this_machine().kernels)
    assert found.about["threads"] >= 1
