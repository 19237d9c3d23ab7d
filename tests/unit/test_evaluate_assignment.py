"""Assignments: groups of sites, the exact front of what is saved and lost, text that reads back."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from syno.evaluate import models
from syno.evaluate.assignment import (
    GROUPINGS,
    Choice,
    Group,
    Selection,
    choose,
    groups,
    pareto,
    parse_selection,
    read_selection,
    selection_from,
)
from syno.ir.errors import ModelError, SynoError
from syno.nn.sites import Site, find_sites, select_sites
from syno.zoo.bound import bound

SEPARABLE = bound("separable-convolution")
GROUPED = bound("grouped-convolution g=2")
SHIFTED = bound("y[n,o,h,w] = sum[c:C_in] x[n, c, (h + 1) % H, w] * w1[o,c]")
OPERATORS = (SEPARABLE, GROUPED, SHIFTED)
THREE = tuple(Group(name, (f"{name}.0", f"{name}.1")) for name in ("a", "b", "c"))


def sites_of(model: str, *patterns: str) -> list[Site]:
    with torch.device("meta"):
        made = models.build(model).eval()
    row = models.info(model)
    found = find_sites(made, row.example_input().to("meta"))
    return select_sites(found, patterns or row.sites, model)


RESNET20 = sites_of("resnet20")


@pytest.mark.parametrize(
    ("model", "patterns", "expected"),
    [
        ("resnet20", (), ["layer1.*", "layer2.*", "layer3.*"]),
        ("resnet20", ("conv3x3",), ["conv1", "layer1.*", "layer2.*", "layer3.*"]),
        ("resnet20", ("layer2.*",), ["layer2.0.*", "layer2.1.*", "layer2.2.*"]),
        ("resnet20", ("linear",), ["fc"]),
        ("convnet", (), ["first.0.*", "first.1.*", "first.2.*", "down.0", "second.0.*"]),
        (
            "densenet121",
            ("conv1x1",),
            [f"features.{kind}{n}.*" for n in (1, 2, 3) for kind in ("denseblock", "transition")],
        ),
        ("efficientnetv2-s", (), [f"features.{n}.*" for n in (1, 2, 3)]),
        ("vit-s", (), [f"blocks.{n}.*" for n in range(12)]),
        ("gpt2", (), [f"gpt2.transformer.h.{n}.*" for n in range(12)]),
    ],
)
def test_stages_are_told_by_the_first_number_that_differs(
    model: str, patterns: tuple[str, ...], expected: list[str]
) -> None:
    found = [group.name for group in groups(sites_of(model, *patterns))]
    assert found[: len(expected)] == expected


@pytest.mark.parametrize("by", GROUPINGS)
@pytest.mark.parametrize("model", ["resnet20", "densenet121", "gpt2"])
def test_every_site_is_in_one_group(model: str, by: str) -> None:
    sites = sites_of(model, "*")
    found = groups(sites, by)
    assert sorted(name for group in found for name in group.sites) == sorted(s.name for s in sites)
    forms = {site.name: site.form for site in sites}
    if by != "stage":
        assert all(len({forms[name] for name in group.sites}) == 1 for group in found)


def test_shapes_have_names_for_people() -> None:
    assert [(group.name, len(group.sites)) for group in groups(sites_of("resnet20"), "shape")] == [
        ("conv3x3 16 to 16, 32x32", 6),
        ("conv3x3 16 to 32, 16x16, stride 2", 1),
        ("conv3x3 32 to 32, 16x16", 5),
        ("conv3x3 32 to 64, 8x8, stride 2", 1),
        ("conv3x3 64 to 64, 8x8", 5),
    ]
    assert groups(sites_of("resnext29-2x64d"), "shape")[0].name == (
        "grouped 3x3 128 to 128, 56x56, 2 groups"
    )
    assert groups(sites_of("gpt2"), "shape")[0].name == "linear 768 to 2304, 512 rows"
    assert [group.name for group in groups(sites_of("resnet20"), "kind")] == ["conv3x3"]
    with pytest.raises(SynoError, match="by stage, kind, shape, not by 'colour'"):
        groups([], "colour")


figures = st.one_of(
    st.integers(-3, 6).map(float),  # many ties
    st.floats(-1, 4, allow_nan=False, allow_subnormal=False),
)
choices_of = st.lists(
    st.builds(
        Choice,
        st.sampled_from([group.name for group in THREE]),
        st.sampled_from(OPERATORS),
        figures,
        figures,
    ),
    max_size=9,
)


def by_trying_all(choices: list[Choice]) -> set[tuple[float, float]]:
    """Return (saved, loss) of what nothing beats, among all assignments there are."""
    each = [[None, *(c for c in choices if c.group == group.name)] for group in THREE]
    sums = set()
    for taken in itertools.product(*each):
        saved = loss = 0.0
        for choice in taken:
            saved += choice.saved_ms if choice else 0.0
            loss += choice.loss if choice else 0.0
        sums.add((saved, loss))
    return {
        one
        for one in sums
        if not any(two != one and two[0] >= one[0] and two[1] <= one[1] for two in sums)
    }


@given(choices_of)
def test_the_front_is_that_of_trying_all(choices: list[Choice]) -> None:
    front = pareto(THREE, choices)
    assert [(each.saved_ms, each.loss) for each in front] == sorted(by_trying_all(choices))


@given(choices_of)
def test_the_figures_of_an_assignment_are_its_own(choices: list[Choice]) -> None:
    known: dict[tuple[str, str], list[Choice]] = {}
    for choice in choices:
        known.setdefault((choice.group, choice.operator.name), []).append(choice)
    for each in pareto(THREE, choices):
        taken = [known[name, op.name] for name, op in each.chosen.items()]
        sums = [sum(one.loss for one in some) for some in itertools.product(*taken)]
        assert any(total == pytest.approx(each.loss) for total in sums)


def test_leaving_a_group_alone_is_a_choice() -> None:
    front = pareto(THREE, [Choice("a", SEPARABLE, -1.0, 0.5), Choice("b", GROUPED, 2.0, 0.25)])
    assert [dict(each.chosen) for each in front] == [{}, {"b": GROUPED}]
    assert front[1].assignment == {"b.0": GROUPED.operator, "b.1": GROUPED.operator}


def test_choices_that_are_infinite_or_of_no_group() -> None:
    lost = [Choice("a", GROUPED, 1.0, float("inf")), Choice("a", GROUPED, float("nan"), 0.0)]
    assert len(pareto(THREE, lost)) == 1
    with pytest.raises(SynoError, match="'d', which is none of the groups"):
        pareto(THREE, [Choice("d", GROUPED, 1.0, 0.0)])


def test_the_fastest_within_a_budget() -> None:
    front = pareto(THREE, [Choice(name, GROUPED, 1.0, 0.25) for name in "abc"])
    assert [choose(front, at_most=budget).saved_ms for budget in (0.0, 0.3, 0.5, 9.0)] == [
        *(0.0, 1.0, 2.0, 3.0)
    ]
    with pytest.raises(SynoError, match="predicted loss of -1 or less"):
        choose(front, at_most=-1.0)


@pytest.mark.parametrize("by", GROUPINGS)
@given(data=st.data())
def test_text_and_json_read_back(by: str, data: st.DataObject) -> None:
    found = groups(RESNET20, by)
    drawn = {group.name: data.draw(st.sampled_from([None, *OPERATORS])) for group in found}
    chosen = {name: op for name, op in drawn.items() if op}
    selection = Selection(found, chosen, 1.5, 0.25)
    assert parse_selection(str(selection), RESNET20) == selection
    again = selection_from(json.loads(json.dumps(selection.to_dict())))
    assert (again, again.saved_ms, again.loss) == (selection, 1.5, 0.25)
    assert again.assignment == selection.assignment


def test_text_as_a_person_writes_it() -> None:
    text = """
layer1.*: separable-convolution

layer2.*.conv1, layer2.2.conv2: y[n,o,h,w] = sum[c:C_in, a:3]
    x[n, c, h+a-1, w] * w1[o,c,a]
layer3.*: original
"""
    found = parse_selection(text, RESNET20)
    assert found.groups[1].sites == (
        *("layer2.0.conv1", "layer2.1.conv1", "layer2.2.conv1", "layer2.2.conv2"),
    )
    assert found.assignment["layer1.0.conv1"] is SEPARABLE.operator
    assert len(found.assignment) == 6 + 4


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("layer1.* separable-convolution", SynoError, "written GROUP: OPERATOR; this is 'layer1"),
        ("layer9.*: original", ModelError, "called 'layer9"),
        ("layer1.*: original\nlayer1.0.*: original", ModelError, "layer1.0.conv1 is in two groups"),
        ("layer1.*: nothing", SynoError, "no operator called 'nothing'"),
    ],
)
def test_text_that_cannot_be_read(text: str, kind: type[SynoError], message: str) -> None:
    with pytest.raises(kind, match=message):
        parse_selection(text, RESNET20)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"groups": [{"name": 1}]}', "\udcff"])
def test_a_file_that_holds_no_assignment(content: str, tmp_path: Path) -> None:
    path = tmp_path / "assignment.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(SynoError, match=r"no assignment as syno assign writes|is no JSON file"):
        read_selection(path)
