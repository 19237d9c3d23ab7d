"""The commands as a user types them, at their smallest."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from commands import SYNO, syno

import syno as package
from syno.ir.parser import parse
from syno.zoo.named import NAMED

COMMANDS = (
    "search",
    "enumerate",
    "show",
    "train",
    "bench",
    "assign",
    "report",
    "export",
    "data fetch",
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
HEADED = "[N, C_in] -> [N, C_out]\ny[n,o] = sum[c:C_in] x[n,c] * w1[o,c]"


def test_version() -> None:
    done = syno("--version")
    assert (done.code, done.out) == (0, f"syno {package.__version__}\n")


def test_without_a_command_the_help_is_shown() -> None:
    done = syno()
    assert done.code == 2
    for name in COMMANDS:
        assert name.split()[0] in done.out + done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_and_explains_every_option(name: str) -> None:
    done = syno(*name.split(), "--help", env={**os.environ, "COLUMNS": "200"})
    assert done.code == 0
    assert f"syno {name}" in done.out.split("xample", 1)[1]
    rows = re.findall(r"^│ .*?(--[a-z-]+).*?<[^>]+>\s*(.*?)\s*│$", done.out, re.MULTILINE)
    assert "--json" in [option for option, _ in rows]
    for option, text in rows:
        assert len(text) > 4, f"{name} {option} is not explained"


def test_export_prints_code_that_runs_without_syno() -> None:
    done = syno("export", "convolution", "--backend", "numpy")
    assert done.code == 0
    assert "import syno" not in done.out and "from syno" not in done.out
    compile(done.out, "layer.py", "exec")


def test_export_writes_a_file_and_says_so_in_json(tmp_path: Path) -> None:
    out = tmp_path / "new" / "layer.py"
    done = syno("export", "convolution", "-s", "C_in=32", "--out", out, "--json")
    assert done.json["file"] == str(out)
    assert out.read_text() == done.json["source"]
    assert done.json["source"] != syno("export", "convolution", "--json").json["source"]


def test_brackets_are_no_markup(tmp_path: Path) -> None:
    folder = tmp_path / "[bold]"
    done = syno(
        "export", HEADED, "-s", "N=2", "-s", "C_in=8", "-s", "C_out=4", "--out", folder / "x"
    )
    assert done.out == f"wrote {folder / 'x'}\n"
    bad = syno("export", HEADED.replace("w1[o,c]", "w1[o,z]"))
    assert "w1[o,z]" in bad.err


@pytest.mark.parametrize(("more", "c_in"), [((), 8), (("-s", "C_in=32"), 32)])
def test_show_takes_a_known_operator_with_its_sizes(more: tuple[str, ...], c_in: int) -> None:
    done = syno("show", "paper-operator-1", *more, "--json")
    assert done.code == 0, done.err
    assert "[N, C_in, H, W] -> [N, C_out, H, W]" in done.out.splitlines()
    texts = [syno("show", NAMED["paper-operator-1"].text, *sizes(c_in), "--json").out]
    assert [done.out] == texts


def sizes(c_in: int) -> list[str]:
    bound = {**NAMED["paper-operator-1"].sizes, "C_in": c_in}
    return [word for name, value in bound.items() for word in ("-s", f"{name}={value}")]


def test_enumerate_lists_formulas_that_parse() -> None:
    done = syno("enumerate", "--spec", "pool1d", "--depth", "2", "--json")
    assert done.code == 0, done.err
    assert done.json["complete"] is True
    assert len(done.json["operators"]) > 1
    for text in done.json["operators"]:
        assert str(parse(text)) == text
        assert text.splitlines()[-1] in done.out.splitlines()


def test_enumerate_stops_at_its_limit() -> None:
    done = syno("enumerate", "--spec", "linear", "--limit", "3", "--json")
    assert done.code == 0, done.err
    assert len(done.json["operators"]) == 3
    assert done.json["complete"] is False
    assert "stopped at the limit" in done.out


def test_enumerate_stops_when_its_time_is_up() -> None:
    more = ("--seconds", "1", "--limit", "1000000")
    done = syno("enumerate", "--spec", "conv2d", *more, "--json")
    assert done.code == 0, done.err
    assert done.json["complete"] is False


def test_train_takes_a_known_operator() -> None:
    name = "separable-convolution"
    done = syno("train", "--operator", name, "--epochs", "0.05", "--test", "--json")
    assert done.code == 0, done.err
    assert done.json["operator"] == NAMED[name].text
    assert 0 <= done.json["test_accuracy"] <= 1
    assert "validation accuracy" in done.out and done.err == ""


def test_bench_takes_a_known_operator_and_sizes() -> None:
    command = ("bench", "--operator", "paper-operator-1", "--model", "convnet", "-s", "G=8")
    more = ("--backend", "torch", "--no-per-site", "--json")
    done = syno(*command, *more, "--rounds", "2")
    assert done.code == 0, done.err
    assert done.json["latency"]["torch"]["ratio"] > 0 and done.json["sites"] == []
    other = syno(*command[:-1], "G=2", *more, "--rounds", "1")
    assert other.json["site_flops"][0] == done.json["site_flops"][0]
    assert other.json["site_flops"][1] != done.json["site_flops"][1]


def test_bench_times_the_network_under_every_backend_and_each_site_alone() -> None:
    command = ("bench", "--operator", "grouped-convolution", "-s", "g=128", "--model", "convnet")
    done = syno(*command, "--backend", "torch,inductor", "--rounds", "2", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert list(found["latency"]) == ["torch", "inductor"]
    assert [(row["count"], row["names"][0], row["C_in"]) for row in found["sites"]] == [
        (2, "second.0.0", 128)
    ]
    assert found["sites"][0]["latency"]["backend"] == "torch"
    assert set(found["left_alone"]) == {"first.0.0", "first.1.0", "first.2.0", "down.0"}
    assert found["parameters"][0] - found["parameters"][1] == 2 * 128 * 9 * 127
    assert found["coefficients"] == {"g": 128, "k": 3}
    assert "2 x conv3x3 128 to 128" in done.out
    assert "left alone: first.0.0, first.1.0, first.2.0. The operator does not fit" in done.out
    assert "(60.7 % removed)" in done.out


def test_bench_takes_patterns_of_sites_and_several_threads() -> None:
    command = ("bench", "--operator", "linear", "--model", "convnet", "--sites", "h*")
    done = syno(*command, "--sites", "!conv3x3", "--backend", "torch", "--threads", "2", "--json")
    assert done.code == 0, done.err
    assert [row["names"] for row in done.json["sites"]] == [["head"]]
    assert done.json["machine"]["wait_policy"] == "passive"


def test_data_that_is_built_in_needs_no_fetching() -> None:
    done = syno("data", "fetch", "digits", "--json")
    assert done.json == {"name": "digits", "train": 1079, "validation": 359}


def test_a_log_gets_no_control_characters(tmp_path: Path) -> None:
    more = ("--epochs", "0.05", "--trials", "1", "--minutes", "2", "--finalists", "0")
    done = syno("search", "--study", tmp_path / "[a].db", *more)
    assert done.code == 0, done.err
    assert not CONTROL.search(done.err + done.out)
    assert f"The study is {tmp_path / '[a].db'}" in done.out
    assert re.search(r"^#\d+ +y\[n,o,h,w\] = .*x\[n, ", done.out, re.MULTILINE)
    page = tmp_path / "page.html"
    report = syno("report", "--study", tmp_path / "[a].db", "--out", page, "--json")
    assert report.code == 0, report.err
    assert not CONTROL.search(report.err + report.out)
    assert report.json["page"] == str(page) and page.stat().st_size > 10_000


def test_a_terminal_gets_a_bar_with_the_time_left() -> None:
    primary, secondary = pty.openpty()
    with subprocess.Popen(
        [*SYNO, "train", "--epochs", "1"],
        stdout=subprocess.PIPE,
        stderr=secondary,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    ) as process:
        os.close(secondary)
        shown = b""
        while chunk := _read(primary):
            shown += chunk
        process.communicate(timeout=60)
    os.close(primary)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"training .*\d:\d\d:\d\d left", text)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how a terminal says that nobody writes to it any more
        return b""
