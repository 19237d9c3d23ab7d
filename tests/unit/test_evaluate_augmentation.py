"""Augmentation: what each name does to images, and that the generator alone decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from syno.evaluate.augmentation import ROWS, Augmentation, drawing_from, quick
from syno.evaluate.batches import Batches, normalized
from syno.evaluate.data import load
from syno.evaluate.recipes import AUGMENTATIONS, Recipe
from syno.evaluate.splits import DataSplits, Split

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def colours() -> DataSplits:
    """64 images of three channels, none of their pixels 0."""
    images = torch.randint(1, 256, (64, 3, 8, 8), dtype=torch.uint8, generator=generator(5))
    split = Split(images, torch.arange(64) % 10)
    return DataSplits("colours", 10, split, split, (0.5,) * 3, (0.25,) * 3, True, split)


def changed(data: DataSplits, *names: str, crop: int = 0, seed: int = 0) -> Tensor:
    recipe = Recipe(epochs=1, augmentation=names, crop=crop)
    return Augmentation(recipe, data).images(data.train.images, generator(seed))


def move_of(moved: Tensor, still: Tensor, pad: int = 2) -> tuple[int, int]:
    """Return by how much an image was moved, rows and columns, zeros outside."""
    padded = F.pad(still, (pad,) * 4)
    for dy in range(2 * pad + 1):
        for dx in range(2 * pad + 1):
            if torch.equal(padded[:, dy : dy + 8, dx : dx + 8], moved):
                return dy - pad, dx - pad
    raise AssertionError("the image is not a moved one")


def check_flips(found: Tensor, images: Tensor) -> None:
    same = (found == images).flatten(1).all(1)
    flipped = (found == images.flip(3)).flatten(1).all(1)
    assert bool((same ^ flipped).all())
    assert 16 < int(flipped.sum()) < 48


def check_moves(found: Tensor, still: Tensor) -> None:
    assert found.shape == still.shape and found.dtype == torch.uint8
    moves = {move_of(a, b) for a, b in zip(found, still, strict=True)}
    assert len(moves) > 15
    assert moves <= {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}


def test_every_name_of_a_recipe_has_a_row() -> None:
    assert {*ROWS, "quick"} == set(AUGMENTATIONS)


def test_quick_flips_images_or_not(colours: DataSplits) -> None:
    check_flips(quick(colours.train.images, 0, generator()), colours.train.images)


def test_quick_moves_each_image_on_its_own(colours: DataSplits) -> None:
    images = colours.train.images
    check_moves(quick(images, 2, generator()), quick(images, 0, generator()))


def test_quick_leaves_images_that_must_not_be_flipped(colours: DataSplits) -> None:
    fixed = replace(colours, augment=False)
    assert torch.equal(changed(fixed, "quick", crop=2), fixed.train.images)
    assert not torch.equal(changed(colours, "quick", crop=2), colours.train.images)


def test_flip_flips_images_or_not(colours: DataSplits) -> None:
    check_flips(changed(colours, "flip"), colours.train.images)


def test_crop_moves_each_image_on_its_own(colours: DataSplits) -> None:
    check_moves(changed(colours, "crop", crop=2), colours.train.images)


def test_erasing_puts_the_mean_into_one_rectangle_of_some_images(colours: DataSplits) -> None:
    found = changed(colours, "erasing")
    differs = (found != colours.train.images).any(1)
    hit = differs.flatten(1).any(1)
    assert 4 < int(hit.sum()) < 32
    for image, places in zip(found[hit], differs[hit], strict=True):
        rows, columns = places.any(1).nonzero(), places.any(0).nonzero()
        inside = image[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert bool((inside == 127).all())  # the mean, in whole numbers


def test_trivial_augment_changes_most_images(colours: DataSplits) -> None:
    found = changed(colours, "trivial-augment")
    assert found.dtype == torch.uint8
    assert int((found != colours.train.images).flatten(1).any(1).sum()) > 32


def test_without_names_nothing_changes(colours: DataSplits) -> None:
    assert torch.equal(changed(colours, crop=2), colours.train.images)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_fixes_every_name(name: str, colours: DataSplits) -> None:
    recipe = Recipe(epochs=1, batch_size=64, augmentation=(name,), crop=2)
    before = torch.get_rng_state()
    drawn = []
    for seed in (7, 7, 8):
        torch.rand(seed)
        batches = Batches(colours, recipe, seed, CPU)
        drawn.append([batches.draw() for _ in range(2)])
    first, second, other = drawn
    assert all(
        torch.equal(a, b)
        for one, two in zip(first, second, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert not torch.equal(first[0][0], other[0][0])
    torch.set_rng_state(before)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_labels_are_the_shares_of_mixed_images(name: str, colours: DataSplits) -> None:
    recipe = Recipe(epochs=1, batch_size=64, augmentation=(name,))
    images, labels = normalized(colours.train.images, colours), colours.train.labels
    mixed, shares = Augmentation(recipe, colours).batch(images, labels, generator())
    assert torch.allclose(shares.sum(1), torch.ones(64))
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    kept = shares[torch.arange(64), labels]
    assert bool((kept == kept[0]).all()) and 0 < float(kept[0]) < 1
    other = images.roll(1, 0)
    if name == "mixup":
        assert torch.allclose(mixed, kept[0] * images + (1 - kept[0]) * other, atol=1e-5)
    else:
        from_other = (mixed == other) & (mixed != images)
        share = float(from_other.float().mean()) / float((other != images).float().mean())
        assert share == pytest.approx(1 - float(kept[0]), abs=0.02)


def test_both_mixings_take_turns(colours: DataSplits) -> None:
    recipe = Recipe(epochs=1, batch_size=64, augmentation=("mixup", "cutmix"))
    batches = Batches(colours, recipe, 0, CPU)
    known = set(normalized(colours.train.images, colours).flatten().tolist())
    cut = [set(batches.draw()[0].flatten().tolist()) <= known for _ in range(12)]
    assert 0 < sum(cut) < 12


def test_a_generator_is_moved_on_and_the_global_one_left() -> None:
    before, own = torch.get_rng_state(), generator(3)
    with drawing_from(own):
        drawn = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    same = generator(3)
    assert torch.equal(torch.rand(4, generator=same), drawn)
    assert torch.equal(torch.rand(4, generator=own), torch.rand(4, generator=same))


def test_an_epoch_shows_each_image_once(colours: DataSplits) -> None:
    batches = Batches(colours, Recipe(epochs=1, batch_size=16, augmentation=()), 0, CPU)
    shown = [torch.cat([batches.draw()[0] for _ in range(4)]) for _ in range(2)]
    wanted = normalized(colours.train.images, colours).flatten(1).sum(1).sort().values
    for epoch in shown:
        assert torch.allclose(epoch.flatten(1).sum(1).sort().values, wanted)
    assert not torch.equal(*shown)


def test_normalized_images_have_mean_0_and_deviation_1() -> None:
    digits = load("digits")
    found = normalized(digits.train.images, digits)
    assert abs(float(found.mean())) < 1e-4 and abs(float(found.std()) - 1) < 1e-3
    assert found.is_contiguous(memory_format=torch.channels_last)
