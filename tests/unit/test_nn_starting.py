"""Operators that start as loud as the layers whose places they take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from syno.evaluate.library_models import Gpt2
from syno.ir.errors import ModelError
from syno.ir.parser import parse
from syno.nn.sites import find_sites, select_sites
from syno.nn.starting import start_like
from syno.nn.substitution import substitute

GROUPED = parse(
    "[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in/g] x[t, (o // (C_out/g))*(C_in/g) + c] * w[o,c]"
)
LOW_RANK = parse("[T, C_in] -> [T, C_out]\ny[t,o] = sum[c:C_in, r:R] x[t,c] * w1[o,r] * w2[c,r]")
WINDOW = parse("y[n,o,h,w] = sum[c:C_in, a:k, b:k] x[n,c,h+a-k//2,w+b-k//2] * w1[o,c,a,b]")
SIZES = {"g": 4, "R": 32, "k": 3}


@pytest.mark.parametrize("op", [GROUPED, LOW_RANK], ids=["grouped", "low-rank"])
def test_in_gpt2_every_place_starts_with_the_variance_of_its_layer(op: object) -> None:
    torch.manual_seed(0)
    model = Gpt2(2, width=128, heads=2, length=16, tokens=64, dropout=0.0)
    example = torch.zeros(1, 16, dtype=torch.int64)
    sites = select_sites(find_sites(model, example), ("*.c_attn", "*.mlp.*"))
    changed = substitute(model, {site.name: op for site in sites}, example, coefficients=SIZES)
    start_like(model, changed, sites)
    for site in sites:
        x = torch.randn(256, site.sizes["C_in"])
        pair = [each.get_submodule(site.name)(x).detach().std() for each in (model, changed)]
        assert float(pair[1] / pair[0]) == pytest.approx(1, rel=0.15), site.name


def test_a_convolution_counts_its_whole_window() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False))
    nn.init.normal_(model[0].weight, std=0.01)
    example = torch.randn(4, 16, 12, 12)
    sites = find_sites(model, example)
    changed = substitute(model, {"0": WINDOW}, example, coefficients=SIZES)
    start_like(model, changed, sites)
    found = float((changed(example).std() / model(example).std()).detach())
    assert found == pytest.approx(1, rel=0.15)


def test_a_site_without_an_operator_is_told() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    with pytest.raises(ModelError, match="No operator stands at the site 0"):
        start_like(model, model, find_sites(model, torch.zeros(1, 8)))
