"""What stands around a measurement: modes that come back, results that are there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from syno.nn.modes import evaluating, finish


def test_every_module_gets_its_own_mode_back() -> None:
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2))
    network[1].eval()
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network] == [True, False]


def test_each_device_is_waited_for_once_and_a_cpu_never(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    first, second = (SimpleNamespace(is_cuda=True, device=f"cuda:{n}") for n in range(2))
    given: list[Any] = [torch.ones(1), first, second, first]
    finish(*given)
    assert sorted(waited) == ["cuda:0", "cuda:1"]
