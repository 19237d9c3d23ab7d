"""A network against itself: where an operator is put, what it costs there, where it stays away."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import syno
from syno.evaluate import models
from syno.evaluate.benchmark import (
    Replaced,
    compare_places,
    replace_assigned,
    replace_sites,
)
from syno.ir.errors import SizeError
from syno.nn import find_sites, select_sites
from syno.zoo.bound import bound
from syno.zoo.named import NAMED, named

COEFFICIENTS = {"k": 3, "s": 2, "g": 4, "G": 4, "R": 8}
X = torch.randn(2, 8, 12, 12, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 12, 3, padding=1, stride=2, bias=False),
        nn.Conv2d(12, 20, 1),
    )


def replaced(op: str = "grouped-convolution", **coefficients: int) -> Replaced:
    model = network().eval()
    sites = find_sites(model, X)
    sizes = {**COEFFICIENTS, **coefficients}
    return replace_sites(model, named(op), sites, X, coefficients=sizes)


def test_sites_of_one_shape_are_one_place() -> None:
    found = replaced()
    assert [[site.name for site in place.sites] for place in found.places] == [
        ["0", "1"],
        ["2"],
        ["3"],
    ]
    assert found.left_alone == {}
    assert found.coefficients == {"g": 4, "k": 3}


def test_a_place_says_what_it_costs_before_and_after() -> None:
    place = replaced().places[0]
    assert place.parameters == (8 * 8 * 9 + 8, 2 * 8 * 9 + 8)
    assert place.multiply_adds == (2 * 144 * 8 * 8 * 9, 2 * 144 * 2 * 8 * 9)
    row = place.to_dict()
    assert (row["form"], row["count"], row["H"]) == ("conv3x3", 2, 12)


def test_totals_are_those_of_the_network() -> None:
    found = replaced()
    before, after = found.parameters
    lost = sum(len(p.sites) * (p.parameters[0] - p.parameters[1]) for p in found.places)
    assert before - after == lost
    assert found.removed == pytest.approx(lost / before)
    assert found.multiply_adds[1] == sum(len(p.sites) * p.multiply_adds[1] for p in found.places)


def test_where_it_does_not_fit_the_layer_is_left_alone() -> None:
    found = replaced(g=8)
    assert set(found.left_alone) == {"2", "3"}
    assert "site 2: The size C_out/g is 3/2" in found.left_alone["2"]
    assert found.changed.get_submodule("2").weight is not None
    assert found.changed(X).shape == found.original(X).shape


def test_an_operator_that_fits_nowhere_is_an_error() -> None:
    with pytest.raises(SizeError, match=r"site 0: The size .* fits none of the 4 chosen sites"):
        replaced(g=7)


def test_a_symbol_without_a_number_is_an_error() -> None:
    op = syno.parse("y[n,o,h,w] = sum[c:C_in/q] x[n, c, h, w] * w1[o,c]")
    with pytest.raises(SizeError, match="q"):
        replace_sites(network(), op, find_sites(network(), X), X, coefficients=COEFFICIENTS)


def test_each_place_is_timed_alone() -> None:
    seen: list[tuple[int, int]] = []

    def step(done: int, of: int) -> None:
        seen.append((done, of))

    rows = list(compare_places(replaced(), rounds=1, on_progress=step))
    assert [row["names"] for row in rows] == [["0", "1"], ["2"], ["3"]]
    assert all(row["latency"]["ratio"] > 0 for row in rows)
    assert seen == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("model", "op", "patterns", "places", "left"),
    [
        ("resnet34", "paper-operator-1", (), 7, 0),
        ("densenet121", "separable-convolution", (), 4, 0),
        ("densenet121", "pointwise-convolution", ("conv1x1",), 61, 0),
        ("resnext29-2x64d", "paper-operator-2", (), 5, 0),
        ("resnext29-2x64d", "pointwise-convolution", ("conv1x1",), 12, 0),
        ("efficientnetv2-s", "separable-convolution", (), 5, 0),
        ("efficientnetv2-s", "pointwise-convolution", ("conv1x1", "!*.fc?"), 16, 0),
        ("vit-s", "low-rank-linear", (), 2, 0),
        ("gpt2", "low-rank-linear", (), 3, 0),
        ("gpt2", "gpt2-projection", (), 1, 24),
    ],
)
def test_large_networks_keep_their_shape(
    model: str, op: str, patterns: tuple[str, ...], places: int, left: int
) -> None:
    row = models.info(model)
    with torch.device("meta"):
        made = models.build(model).eval()
    x = row.example_input().to("meta")
    chosen = select_sites(find_sites(made, x), patterns or row.sites, model)
    sizes = {**NAMED[op].sizes, **COEFFICIENTS}
    found = replace_sites(made, named(op), chosen, x, coefficients=sizes)  # compares the shapes
    assert (len(found.places), len(found.left_alone)) == (places, left)


def test_several_operators_stand_in_one_network() -> None:
    model = network().eval()
    separable, grouped = bound("separable-convolution"), bound("grouped-convolution g=2")
    given = {"0": separable.operator, "1": grouped.operator, "2": separable.operator}
    found = replace_assigned(model, given, X)
    assert [[site.name for site in place.sites] for place in found.places] == [["0"], ["2"], ["1"]]
    assert found.parameters[0] - found.parameters[1] == sum(
        place.parameters[0] - place.parameters[1] for place in found.places
    )
    assert found.left_alone == {} and found.changed(X).shape == model(X).shape
