"""Sites: the layers of a model, their sizes, and what is left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from syno.ir.errors import ModelError
from syno.nn import find_sites, replaceable, select_sites


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=4)
        self.point = nn.Conv2d(16, 8, 1)
        self.head = nn.Linear(8, 10)
        self.unused = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.point(self.grouped(self.block(self.stem(x))))
        y: Tensor = self.head(x.mean((2, 3)))
        return y


@pytest.fixture
def model() -> Network:
    return Network()


X = torch.zeros(2, 3, 9, 12)


def test_every_layer_that_is_reached_is_a_site(model: Network) -> None:
    found = find_sites(model, X)
    assert [site.name for site in found] == ["stem", "block.0", "grouped", "point", "head"]
    assert [site.kind for site in found] == ["conv2d"] * 4 + ["linear"]


def test_a_strided_site_has_the_sizes_of_its_output(model: Network) -> None:
    site = find_sites(model, X)[1]
    assert dict(site.sizes) == {"N": 2, "C_in": 8, "C_out": 16, "H": 5, "W": 6}
    assert (site.stride, site.kernel, site.groups) == (2, (3, 3), 1)
    assert (site.input_shape, site.output_shape) == ((2, 8, 9, 12), (2, 16, 5, 6))
    assert site.parameters == 16 * 8 * 9
    assert site.flops == 16 * 8 * 9 * 2 * 5 * 6


def test_a_grouped_site_counts_its_own_weights(model: Network) -> None:
    site = find_sites(model, X)[2]
    assert site.groups == 4
    assert site.parameters == 16 * 4 * 9
    assert site.flops == site.parameters * 2 * 5 * 6


def test_a_linear_site_takes_all_leading_dimensions_together() -> None:
    site = find_sites(nn.Sequential(nn.Linear(4, 5)), torch.zeros(2, 3, 4))[0]
    assert dict(site.sizes) == {"N": 6, "C_in": 4, "C_out": 5}
    assert (site.parameters, site.flops) == (20, 120)


def test_windows_are_replaceable_but_not_the_stem_nor_groups(model: Network) -> None:
    assert [site.name for site in replaceable(find_sites(model, X))] == ["block.0"]


def test_a_model_without_a_window_says_so() -> None:
    sites = find_sites(nn.Sequential(nn.Linear(4, 5)), torch.zeros(2, 4))
    with pytest.raises(ModelError, match=r"no site for an operator in mlp: it has 1"):
        replaceable(sites, "mlp")


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ((), ["block.0"]),
        (("grouped", "conv1x1"), ["grouped", "point"]),
        (("*",), ["stem", "block.0", "grouped", "point", "head"]),
        (("conv3x3", "!stem"), ["block.0"]),
        (("b*", "h*d"), ["block.0", "head"]),
        (("!linear",), ["block.0"]),
    ],
)
def test_patterns_choose_sites(model: Network, patterns: tuple[str, ...], names: list[str]) -> None:
    assert [site.name for site in select_sites(find_sites(model, X), patterns)] == names


def test_a_pattern_without_a_site_lists_what_there_is(model: Network) -> None:
    says = (
        r"No site of net is called 'conv5x5'.* \(conv1x1, conv3x3, grouped, linear\).* such as stem"
    )
    with pytest.raises(ModelError, match=says):
        select_sites(find_sites(model, X), ["conv5x5"], "net")


def test_patterns_that_leave_nothing_are_refused(model: Network) -> None:
    with pytest.raises(ModelError, match="head, !linear leave no site"):
        select_sites(find_sites(model, X), ["head", "!linear"])


def test_the_linear_layers_of_transformers_are_sites() -> None:
    from transformers.pytorch_utils import Conv1D

    found = find_sites(nn.Sequential(Conv1D(5, 4)), torch.zeros(2, 3, 4))[0]
    assert (found.form, dict(found.sizes)) == ("linear", {"N": 6, "C_in": 4, "C_out": 5})
    assert (found.parameters, found.flops) == (20, 120)


def test_looking_changes_nothing(model: Network) -> None:
    model.train()
    model.block[1].eval()  # frozen, as in fine-tuning
    before = {name: value.clone() for name, value in model.state_dict().items()}
    find_sites(model, X)
    assert model.training and not model.block[1].training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_that_fails_is_left_as_it_was(model: Network) -> None:
    model.train()
    with pytest.raises(RuntimeError):
        find_sites(model, torch.zeros(2, 4, 9, 12))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_an_example_without_a_batch_is_refused() -> None:
    with pytest.raises(ModelError, match=r"layer 0 .* without a batch"):
        find_sites(nn.Sequential(nn.Conv2d(3, 8, 3)), torch.zeros(3, 9, 9))
