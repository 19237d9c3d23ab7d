"""Bad input gets one paragraph, exit code 2 and no traceback; --json says it in JSON as well."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from commands import SYNO, Done, syno

GOOD = "y[n,o] = sum[c:C_in] x[n,c] * w1[o,c]"
SIZES = ("-s", "N=2", "-s", "C_in=8", "-s", "C_out=4")

USAGE = {
    "unknown command": (("nosuch",), "No such command 'nosuch'. See: syno --help"),
    "unknown option": (("search", "--nosuch"), "No such option: --nosuch"),
    "missing argument": (("export",), "Missing argument 'OPERATOR'. See: syno export --help"),
    "missing option": (("assign",), "Missing option '--operator'"),
    "nothing to time": (("bench",), "Give either --operator or --assignment"),
    "no number": (("search", "--workers", "two"), "Invalid value for '--workers'"),
    "no workers": (("search", "--workers", "0"), "--workers has to be a number above 0"),
    "no time": (("search", "--minutes", "-1"), "--minutes has to be a number above 0"),
    "no number at all": (("search", "--minutes", "nan"), "--minutes has to be a number above 0"),
    "no trials": (("search", "--trials", "0"), "--trials has to be a number above 0"),
    "no epochs": (("search", "--epochs", "0"), "epochs has to be a number above 0"),
    "no epochs to train": (("train", "--epochs", "-1"), "epochs has to be a number above 0"),
    "no batch": (("bench", "--operator", "linear", "--batch", "0"), "'--batch'"),
    "no depth": (("enumerate", "--depth", "0"), "'--depth'"),
    "unknown model": (("search", "--model", "nosuch"), "known are: convnet, densenet121"),
    "unknown data": (("train", "--data", "nosuch"), "known are: cifar10, digits"),
    "unknown strategy": (("search", "--strategy", "luck"), "known are: beam, evolution, mcts"),
    "unknown spec": (("enumerate", "--spec", "nosuch"), "known are: conv1d, conv2d"),
    "unknown backend": (
        ("export", GOOD, *SIZES, "--backend", "nosuch"),
        "no backend 'nosuch'; choose one of: aotinductor",
    ),
    "a backend that writes no source": (
        ("export", GOOD, *SIZES, "--backend", "onnx"),
        "writes no source of its own; those that do: torch, numpy, triton",
    ),
    "unknown backend to time": (
        ("bench", "--operator", "linear", "--backend", "torch,x"),
        "There is no backend 'x'; choose one of",
    ),
    "a backend that compiles nothing": (
        ("bench", "--operator", "linear", "--backend", "numpy"),
        "compiles no networks; those that do: torch",
    ),
    "a pattern without sites": (
        ("bench", "--operator", "linear", "--model", "convnet", "--sites", "conv7x7"),
        "No site of convnet is called 'conv7x7'",
    ),
    "unknown operator": (("export", "nosuch"), "no operator called 'nosuch'; known are: average"),
    "unknown data to fetch": (("data", "fetch", "nosuch"), "known are: cifar10, digits"),
    "a model without data": (("search", "--model", "resnet18"), "no data set here for resnet18"),
    "data of another shape": (
        ("train", "--model", "resnet20", "--data", "digits"),
        "takes images of 3x32x32",
    ),
    "no study": (("report", "--study", "nosuch.db"), "There is no study at nosuch.db"),
    "size without number": (("export", GOOD, "-s", "C_in"), "NAME=NUMBER"),
    "size of nothing": (("export", GOOD, "-s", "C_in=0"), "NAME=NUMBER"),
    "size beyond all": (("export", GOOD, "-s", "C_in=" + "9" * 5000), "NAME=NUMBER"),
    "size that is missing": (("export", GOOD, "-s", "N=2"), "C_in"),
    "size that does not divide": (
        ("export", "grouped-convolution", "-s", "C_in=9"),
        "The size C_in/g is 9/4 under",
    ),
    "operator that fits no site": (
        ("bench", "--operator", "linear", "--model", "convnet"),
        "does not fit the site first.0.0",
    ),
    "unknown symbol at a site": (
        ("train", "--operator", "y[n,o,h,w] = sum[c:C_in/q] x[n, c, h, w] * w1[o,c]"),
        "q",
    ),
    "unknown iterator": (("export", "y[n,o] = x[n,z] * w1[o]", *SIZES), "z"),
    "reads out of nowhere": (("export", "y[n,o] = sum[c:C_in] x[n, c + 1] * w1[o,c]", *SIZES), "c"),
    "no formula": (("export", "y[n,o] = = x[n]", *SIZES), "^"),
    "empty formula": (("export", ""), ""),
}


def check(done: Done, text: str) -> None:
    """One paragraph in words and in JSON, exit code 2, no traceback."""
    assert done.code == 2, done.err
    assert "Traceback" not in done.err + done.out
    assert text in done.err
    start = done.err.index("error: ")
    assert done.json["error"] == done.err[start:].removeprefix("error: ").rstrip("\n")
    assert "\n\n" not in done.err[start:]


@pytest.mark.parametrize(("arguments", "text"), USAGE.values(), ids=USAGE)
def test_bad_input_is_told_in_one_paragraph(
    tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    check(syno(*arguments, "--json", cwd=tmp_path), text)
    assert list(tmp_path.iterdir()) == [], "nothing is written where nothing was done"


def not_a_database(path: Path) -> None:
    path.write_text("these are my notes\n" * 100)


def foreign_study(path: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{path}", study_name="theirs").ask()


@pytest.mark.parametrize(
    ("make", "text"),
    [(not_a_database, "file is not a database"), (foreign_study, "holds no study of Syno's")],
)
def test_a_file_that_is_not_ours_is_refused_and_kept(
    tmp_path: Path, make: Callable[[Path], None], text: str
) -> None:
    path = tmp_path / "a.db"
    make(path)
    before = path.read_bytes()
    check(syno("search", "--study", path, "--json"), text)
    assert path.read_bytes() == before


def test_a_study_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    check(syno("search", "--study", tmp_path / "file" / "a.db", "--json"), "cannot be written")
    assert (tmp_path / "file").read_text() == "kept"


def damage(path: Path, kind: str) -> None:
    """Write a cache of CIFAR-10 as it must not be."""
    empty = {
        f"{part}_{what}": np.zeros(3) for part in ("train", "test") for what in ("images", "labels")
    }
    np.savez(path, **empty)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "garbage":
        path.write_bytes(b"\0garbage" * 50)


@pytest.mark.parametrize("kind", ["truncated", "garbage", "other content"])
def test_a_damaged_data_set_is_told(tmp_path: Path, kind: str) -> None:
    damage(tmp_path / "cifar10.npz", kind)
    study = tmp_path / "a.db"
    command = ("search", "--model", "resnet20", "--study", study, "--json")
    done = syno(*command, env={**os.environ, "SYNO_CACHE": str(tmp_path)})
    check(done, "is damaged")
    assert "syno data fetch cifar10" in done.err
    assert not study.exists()


def test_a_missing_data_set_is_told(tmp_path: Path) -> None:
    done = syno(
        "train", "--model", "resnet20", "--json", env={**os.environ, "SYNO_CACHE": str(tmp_path)}
    )
    check(done, "Fetch it once with: syno data fetch cifar10")


def test_an_archive_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_bytes(b"no archive")
    command = ("data", "fetch", "cifar10", "--archive", tmp_path / "x.tgz", "--json")
    check(syno(*command, env={**os.environ, "SYNO_CACHE": str(tmp_path)}), "is not the file of")


def small_files() -> None:
    """Let a child write files of at most 10 bytes: a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "layer.py"
    path.write_text("old")
    check(
        syno("export", GOOD, *SIZES, "--out", path, "--json", preexec_fn=small_files),
        "could not be written",
    )
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["layer.py"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "layer.py"
    check(syno("export", GOOD, *SIZES, "--out", out, "--json"), "could not be written")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_under_the_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*SYNO, "export", GOOD, *SIZES],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == "error: The output could not be written: No space left on device.\n"


@pytest.mark.parametrize("arguments", [("export", GOOD, *SIZES), ("enumerate",), ("--help",)])
def test_a_reader_that_leaves_early_hears_no_complaint(arguments: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [*SYNO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert err == ""
    assert process.returncode in {1, 141} or arguments == ("--help",)


def test_the_script_is_the_module() -> None:
    script = Path(sys.executable).with_name("syno")
    done = subprocess.run(
        [script, "nosuch"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == syno("nosuch").err


@pytest.mark.parametrize(
    ("formula", "sizes", "words"),
    [
        (
            "y[n,o] = sum[c:C_in/g] x[n, c*g + o // (C_out/g)] * w1[o,c]",
            ("N=1", "C_in=7", "C_out=8", "g=4"),
            "C_in/g is 7/4",
        ),
        ("y[n,o] = sum[c:C_in] x[n,c] * w1[o,c] * w2[c]", (), "w1 absorbs w2"),
    ],
)
def test_what_is_not_valid_is_shown_and_told(
    formula: str, sizes: tuple[str, ...], words: str
) -> None:
    given = [word for size in sizes for word in ("-s", size)]
    done = syno("show", formula, *given, "--json")
    assert done.code == 2
    assert words in done.err and "Traceback" not in done.err
    assert "Steps" in done.out
    assert done.json["valid"] is False
