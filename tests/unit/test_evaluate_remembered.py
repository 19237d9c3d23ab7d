"""Scores that are looked up are those that would have been computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from syno.evaluate.batches import Batches
from syno.evaluate.data import load
from syno.evaluate.models import build
from syno.evaluate.recipes import Recipe
from syno.evaluate.remembered import Remembered, image_keys, remember, remembered
from syno.evaluate.splits import DataSplits, Split


class Counting(nn.Module):
    """Scores that tell images apart, and how often they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.linear = nn.Linear(3 * 6 * 6, 4)

    def forward(self, images: Tensor) -> Tensor:
        self.asked += 1
        scores: Tensor = self.linear(images.flatten(1))
        return scores


@pytest.fixture
def data() -> DataSplits:
    images = torch.randint(0, 256, (40, 3, 6, 6), dtype=torch.uint8)
    split = Split(images, torch.arange(40) % 4)
    return DataSplits("made up", 4, split, split, (0.4, 0.5, 0.5), (0.2, 0.3, 0.2), True, split)


def test_batches_of_a_training_are_looked_up(data: DataSplits) -> None:
    network = Counting()
    known = remember(network, data, "float32")
    asked = network.asked
    batches = Batches(data, Recipe(epochs=1, batch_size=8), 0, torch.device("cpu"))
    for _ in range(10):
        images, _ = batches.draw()
        torch.testing.assert_close(known(images), network.linear(images.flatten(1)))
    assert network.asked == asked


def test_an_unknown_image_is_computed_with_its_batch(data: DataSplits) -> None:
    network = Counting()
    known = remember(network, data, "float32")
    moved = Batches(data, Recipe(epochs=1, batch_size=8, crop=2), 0, torch.device("cpu"))
    images, _ = moved.draw()
    asked = network.asked
    assert torch.equal(known(images), network.linear(images.flatten(1)))
    assert network.asked == asked + 1


def test_keys_depend_on_pixels_alone() -> None:
    images = torch.rand(50, 3, 8, 8)
    keys = image_keys(images)
    assert len(set(keys.tolist())) == 50
    assert torch.equal(keys, image_keys(images.contiguous(memory_format=torch.channels_last)))
    assert torch.equal(keys[7:9], image_keys(images[7:9]))
    changed = images.clone()
    changed[3, 1, 2, 2] += 1e-6
    assert ((image_keys(changed) == keys) == (torch.arange(50) != 3)).all()


def test_a_file_is_read_where_there_is_one(data: DataSplits, tmp_path: Path) -> None:
    file, network = tmp_path / "new" / "scores.npz", Counting()
    first = remembered(network, data, "float32", file)
    asked = network.asked
    again = remembered(network, data, "float32", file)
    assert network.asked == asked and asked > 0
    assert torch.equal(first.keys, again.keys) and torch.equal(first.scores, again.scores)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    other = remembered(Counting(), data, "float32", file)
    assert torch.equal(other.keys, first.keys) and not torch.equal(other.scores, first.scores)


def test_digits_are_not_flipped() -> None:
    splits = load("digits")
    known = remember(build("convnet").eval(), splits, "float32")
    assert isinstance(known, Remembered)
    assert known.scores.shape == (len(splits.train), splits.classes)
