"""Latency: ratios that mean something, and compiled times that are those of compiled code."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from syno.evaluate import latency
from syno.evaluate.latency import compare
from syno.ir.errors import OperatorError, SynoError


class Clock:
    """Stands in for the module time; its time passes in the modules below alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(latency, "time", made)
    return made


class Sleeper(nn.Module):
    """Takes a given time, and notes in which state it was called."""

    def __init__(
        self, clock: Clock, seconds: float, log: list[tuple[float, bool, bool, int]]
    ) -> None:
        super().__init__()
        self.clock, self.seconds, self.log = clock, seconds, log

    def forward(self, x: Tensor) -> Tensor:
        threads = torch.get_num_threads()
        self.log.append((self.seconds, self.training, torch.is_inference_mode_enabled(), threads))
        self.clock.now += self.seconds
        return x


def stack(layers: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(32, 32, 3, padding=1) for _ in range(layers)))


X = torch.randn(1, 32, 16, 16)


def test_equal_networks_have_ratio_1() -> None:
    found = compare(stack(4), stack(4), X, rounds=15)
    assert 0.75 < found.ratio < 1.33
    assert found.ratio_low <= found.ratio <= found.ratio_high


def test_a_quarter_of_the_layers_is_faster() -> None:
    found = compare(stack(8), stack(2), X, rounds=9)
    assert found.ratio > 2
    assert found.original_ms > found.candidate_ms


def test_a_known_ratio_is_found(clock: Clock) -> None:
    found = compare(Sleeper(clock, 0.02, []), Sleeper(clock, 0.01, []), X, rounds=3)
    assert found.ratio == pytest.approx(2)
    assert found.original_ms == pytest.approx(20)
    assert found.candidate_ms == pytest.approx(10)
    assert (found.batch, found.rounds, found.threads, found.backend) == (1, 3, 1, "torch")


def test_calls_are_interleaved_in_evaluation_mode_on_one_thread(clock: Clock) -> None:
    log: list[tuple[float, bool, bool, int]] = []
    torch.set_num_threads(2)
    compare(Sleeper(clock, 0.004, log), Sleeper(clock, 0.002, log), X, rounds=6)
    assert torch.get_num_threads() == 2
    assert {entry[1:] for entry in log} == {(False, True, 1)}
    blocks = 1 + sum(one[0] != two[0] for one, two in pairwise(log))
    assert blocks >= 6


def test_the_modules_themselves_are_left_alone() -> None:
    first, second = stack(1).train(), stack(1).train()
    compare(first, second, X, rounds=1)
    assert first.training and second.training


def test_one_round_has_no_spread() -> None:
    found = compare(stack(1), stack(1), X, rounds=1)
    assert found.ratio_low == found.ratio == found.ratio_high


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"threads": 0}])
def test_nothing_to_measure_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SynoError, match="1 or more rounds"):
        compare(stack(1), stack(1), X, **wrong)  # type: ignore[arg-type]


def test_threads_are_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        compare(stack(1), nn.Linear(3, 3), X, threads=2)
    assert torch.get_num_threads() == before


def test_what_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(module: nn.Module, _inputs: object) -> Any:
        return lambda x: module(x) * 1.02

    monkeypatch.setattr("syno.lower.backends.torch.compile_module", wrong)
    with pytest.raises(SynoError, match="backend torch made of the network computes something"):
        compare(stack(1), stack(1), X)


def test_a_backend_that_only_writes_is_told_from_those_that_compile() -> None:
    with pytest.raises(OperatorError, match=r"numpy writes .* compiles no networks; .* torch"):
        compare(stack(1), stack(1), X, backend="numpy")


def test_versions_are_those_of_the_packages_behind_the_imports() -> None:
    assert latency.versions(["torch.nn", "nosuch"]) == {"torch": torch.__version__}


def test_the_machine_is_named() -> None:
    found = latency.machine()
    assert found["cores"] and found["processor"] and found["torch"] == torch.__version__


def test_inductor_gives_a_ratio() -> None:
    found = compare(stack(6), stack(1), X, backend="inductor", rounds=3)
    assert found.backend == "inductor" and found.ratio > 1.5
