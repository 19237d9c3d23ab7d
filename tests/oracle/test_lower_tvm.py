"""The tvm backend against the reference and against torch; tuning with a small budget."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import syno
from syno.ir.errors import OperatorError, SizeError
from syno.ir.semantics import reference
from syno.lower.backends import lower
from syno.zoo.named import NAMED

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tvm") is None, reason="the extra `compilers` is not installed"
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNO_CACHE", str(tmp_path))


def backend() -> Any:
    import syno.lower.backends.tvm as module

    return module


@pytest.mark.parametrize("name", NAMED)
def test_named_operators_agree_with_the_reference(name: str) -> None:
    op, sizes = NAMED[name].operator, NAMED[name].sizes
    drawn = np.random.default_rng(0)
    x = drawn.standard_normal(op.input_shape(sizes))
    weights = {key: drawn.standard_normal(v) for key, v in op.weight_shapes(sizes).items()}
    tensors = [torch.tensor(each, dtype=torch.float32) for each in (x, *weights.values())]
    found = lower(op, sizes, "tvm").function(*tensors)
    np.testing.assert_allclose(found.numpy(), reference(op, sizes, x, weights), atol=1e-4)


def network() -> nn.Module:
    """Return convolutions of all kinds with what stands around them in networks."""
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, groups=4),
        nn.SiLU(),
        nn.Conv2d(32, 32, 3, padding=2, dilation=2, groups=32),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(32, 24, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 5),
        nn.Softmax(-1),
    ]
    made = nn.Sequential(*layers)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(16)
            module.running_var = torch.rand(16) + 0.5
    return made.eval()


def test_a_network_agrees_with_torch() -> None:
    module, x = network(), torch.randn(2, 3, 20, 20)
    compiled = backend().compile_module(module, [x])
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), module(x), rtol=1e-4, atol=1e-5)


class Parts(nn.Module):
    """Several outputs, several inputs, windows, shifts and a pool with a divisor of its own."""

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        windows = F.pad(x, (1, 1)).unfold(3, 3, 1).sum(-1)
        rolled = torch.roll(torch.roll(x, -1, 2), 2, 3)
        pooled = F.avg_pool2d(x, 2, 2, divisor_override=1)
        return {"first": (windows, rolled * y), "second": pooled}


def test_outputs_keep_their_structure() -> None:
    inputs = torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 8)
    module = Parts()
    compiled = backend().compile_module(module, inputs)
    torch.testing.assert_close(compiled(*inputs), module(*inputs))


def test_memory_that_begins_anywhere_is_read_as_it_is() -> None:
    module = nn.Linear(5, 3)
    compiled = backend().compile_module(module, [torch.randn(4, 5)])
    x = torch.randn(21)[1:].reshape(4, 5)
    assert x.data_ptr() % 64
    torch.testing.assert_close(compiled(x), module(x).detach())


def test_another_shape_is_refused() -> None:
    compiled = backend().compile_module(nn.ReLU(), [torch.randn(4, 5)])
    with pytest.raises(SizeError, match="Compiled for"):
        compiled(torch.randn(5, 5))


class Unknown(nn.Module):
    """An operation without a translation."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_an_unknown_operation_is_told() -> None:
    with pytest.raises(OperatorError, match=r"TVM cannot take this network.*bessel_j0"):
        backend().compile_module(Unknown(), [torch.eye(3)])


def test_every_loop_nest_gets_a_schedule() -> None:
    module, x = network(), torch.randn(2, 3, 20, 20)
    target = backend().target_here(1)
    graph, _ = backend().imported(module, [x], target)
    from syno.lower.backends.tvm_schedules import scheduled

    functions = [each for _, each in scheduled(graph).functions_items()]
    nests = [each for each in functions if type(each).__name__ == "PrimFunc"]
    assert len(nests) > 8
    assert all(each.attrs.get("tirx.is_scheduled") for each in nests)


@pytest.mark.parametrize("accumulators", [24, 6])
def test_the_best_tile_fills_vectors_and_registers(
    accumulators: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syno.lower.backends import tvm_schedules
    from syno.lower.backends.tvm_schedules import VECTOR, best_tiles

    monkeypatch.setattr(tvm_schedules, "accumulators", lambda: accumulators)
    for rows, lanes in ((28, 128), (56, 64), (7, 512), (1, 1000), (14, 24)):
        tile = best_tiles(rows, lanes)[0]
        assert rows % tile.rows == 0 and lanes % tile.lanes == 0
        assert tile.rows * -(-tile.lanes // VECTOR) <= accumulators
    assert best_tiles(28, 128)[0].lanes % VECTOR == 0


def test_tuning_writes_records_that_are_used_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syno.lower.backends import tvm_schedules, tvm_tuning

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        module, x = (
            nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()),
            torch.randn(1, 8, 8, 8),
        )
        folder = tmp_path / "records"
        assert tvm_tuning.tune(module, [x], trials=3, database=folder) == 1
        assert tvm_tuning.tune(module, [x], trials=3, database=folder) == 0
        (records,) = folder.glob("*/database_tuning_record.json")
        assert len(records.read_text().splitlines()) == 5  # the schedule without a search twice
        left_over: list[Any] = []
        monkeypatch.setattr(tvm_schedules, "schedule_function", spy(left_over))
        compiled = backend().compile_module(module, [x], database=folder)
    finally:
        torch.set_num_threads(threads)
    assert not any("conv" in str(each) for each in left_over)
    torch.testing.assert_close(compiled(x), module(x).detach(), rtol=1e-4, atol=1e-5)


def spy(seen: list[Any]) -> Callable[[Any], Any]:
    """Return a function that notes what it is given and returns it."""

    def note(function: Any) -> Any:
        seen.append(function)
        return function

    return note


def test_a_wrong_schedule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from syno.lower.backends import tvm_schedules

    right = tvm_schedules.schedule_function

    def wrong(function: Any) -> Any:
        import tvm

        text = right(function).script(show_meta=True).replace("T.float32(0.0)", "T.float32(1.0)")
        return tvm.script.from_source(text)

    monkeypatch.setattr(tvm_schedules, "schedule_function", wrong)
    op = syno.parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in] x[t,c] * w1[o,c]")
    made = lower(op, {"T": 4, "C_in": 8, "C_out": 16}, "tvm")
    x, weight = torch.randn(4, 8), torch.randn(16, 8)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(made.function(x, weight), x @ weight.T)
