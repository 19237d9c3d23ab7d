"""Prepared operators: the same function, its weights arranged once."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from syno.lower import backends
from syno.nn import SynthesizedOperator
from syno.nn.inference import PreparedOperator, for_inference
from syno.zoo.named import NAMED, NamedOperator


@pytest.mark.parametrize("row", NAMED.values(), ids=lambda row: row.name)
def test_a_prepared_operator_computes_the_same(row: NamedOperator) -> None:
    made = SynthesizedOperator(row.operator, row.sizes, seed=0).double()
    x = torch.randn(row.operator.input_shape(row.sizes), dtype=torch.float64)
    prepared = for_inference(made)
    assert isinstance(prepared, PreparedOperator)
    assert not list(prepared.parameters())
    torch.testing.assert_close(prepared(x), made(x))


def test_a_network_is_copied_and_its_operators_prepared() -> None:
    row = NAMED["paper-operator-2"]
    network = nn.Sequential(
        SynthesizedOperator(row.operator, row.sizes, seed=0), nn.BatchNorm2d(16)
    )
    x = torch.randn(row.operator.input_shape(row.sizes))
    network(x)  # statistics of the batch
    ready = for_inference(network)
    assert isinstance(network[0], SynthesizedOperator) and network.training
    assert isinstance(ready.get_submodule("0"), PreparedOperator) and not ready.training
    torch.testing.assert_close(ready(x), network.eval()(x), rtol=1e-4, atol=1e-5)


def test_weights_are_not_arranged_again_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    row = NAMED["paper-operator-1"]
    prepared = for_inference(SynthesizedOperator(row.operator, row.sizes, seed=0))
    assert backends.lower(row.operator, row.sizes, inference=True).prepare is not None
    monkeypatch.setattr(prepared, "_prepare", lambda *_: pytest.fail("arranged again"))
    prepared(torch.randn(row.operator.input_shape(row.sizes)))


def test_it_survives_copies_and_pickling() -> None:
    row = NAMED["paper-operator-1"]
    prepared = for_inference(SynthesizedOperator(row.operator, row.sizes, seed=0, scale=2.0))
    x = torch.randn(row.operator.input_shape(row.sizes))
    for again in (copy.deepcopy(prepared), pickle.loads(pickle.dumps(prepared))):
        torch.testing.assert_close(again(x), prepared(x))
