"""syno assign and what its file is good for, as far as no network has to be trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from commands import syno

from syno.cli.assign import choices_table, doubtful, front_table
from syno.evaluate.assignment import Choice, Group, Selection, groups, pareto
from syno.evaluate.models import build, info
from syno.nn.sites import find_sites, replaceable
from syno.zoo.bound import bound

SEPARABLE, GROUPED = bound("separable-convolution"), bound("grouped-convolution g=2")


def selection() -> Selection:
    with torch.device("meta"):
        network = build("convnet")
    sites = replaceable(find_sites(network, info("convnet").example_input().to("meta")))
    return Selection(groups(sites), {"first.0.*": SEPARABLE, "down.0": GROUPED}, 0.5, 0.1)


def test_a_network_is_timed_with_an_assignment(tmp_path: Path) -> None:
    path = tmp_path / "assignment.json"
    path.write_text(json.dumps({**selection().to_dict(), "about": {"model": "convnet"}}))
    options = ("--model", "convnet", "--backend", "torch", "--rounds", "1", "--json")
    done = syno("bench", "--assignment", path, *options)
    assert done.code == 0, done.err
    assert done.json["assignment"] == str(selection())
    assert [row["names"] for row in done.json["sites"]] == [["first.0.0"], ["down.0"]]
    assert done.json["operator"] is None and done.json["parameters_removed"] > 0


def test_a_network_is_trained_with_an_assignment(tmp_path: Path) -> None:
    path = tmp_path / "assignment.json"
    path.write_text(json.dumps(selection().to_dict()))
    options = ("--model", "convnet", "--epochs", "0.1", "--json")
    done = syno("train", "--assignment", path, *options)
    assert done.code == 0, done.err
    assert done.json["assignment"] == str(selection())
    assert done.json["operator"] is None
    original = syno("train", *options)
    assert 0 < done.json["site_flops"] < original.json["site_flops"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bench",), "either --operator or --assignment"),
        (("bench", "--operator", "convolution", "--assignment", "x"), "either --operator or"),
        (("bench", "--assignment", "x", "--sites", "conv3x3"), "leave out --sites, --size"),
        (("bench", "--assignment", "nowhere.json"), "nowhere.json: No such file"),
        (("train", "--operator", "convolution", "--assignment", "x"), "either --operator or"),
        (("train", "--assignment", "x", "--size", "g=2"), "leave out --size"),
        (("assign", "--operator", "convolution", "--output", "x"), "Give --budget"),
        (("assign", "--operator", "convolutoin"), "no operator called 'convolutoin'"),
        (("assign", "--operator", "convolution", "--model", "resnet18"), "it can be timed"),
        (("assign", "--operator", "convolution", "--by", "colour"), "not by 'colour'"),
        (("assign", "--operator", "convolution", "--loss", "speed"), "not 'speed'"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = syno(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert message in done.err
    assert "training" not in done.err


def test_tables_hold_every_pair_and_part_of_a_long_front() -> None:
    found = [Group(str(number), (str(number),)) for number in range(6)]
    made = [Choice(str(n), SEPARABLE, 2.0**n, 2.0**n) for n in range(6)]
    table = choices_table(found, [SEPARABLE, GROUPED], made)
    assert table.row_count == 6
    assert next(iter(table.columns[2].cells)) == "1.000 ms, +1.0000"
    assert set(table.columns[3].cells) == {"does not fit"}
    front = front_table(pareto(found, made), [SEPARABLE, GROUPED])
    assert front.title == "the front: 64 assignments, 20 of them shown"
    assert front.row_count == 20
    assert next(iter(front.columns[2].cells)) == "none"
    assert list(front.columns[2].cells)[-1].startswith("0 #1; 1 #1")


def test_times_that_may_be_none_are_told() -> None:
    quartiles = [(0.1, 0.4), (-0.1, 0.4), (-0.4, -0.1)]
    made = [
        Choice(f"layer{n}.*", GROUPED, 0.0, 0.0, {"saved_low_ms": low, "saved_high_ms": high})
        for n, (low, high) in enumerate(quartiles)
    ]
    assert doubtful(made, [SEPARABLE, GROUPED]) == ["#2 at layer1.*"]
