"""The benchmark of the table of measured operators, as a user runs it, on a table made up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from synthetic_table import write_table

from syno.search.registry import STRATEGIES
from syno.space.specs import named_spec
from syno.testing.objectives import operators
from syno.testing.tabular import FIDELITIES

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "tabular.py"
COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space, known = operators("conv1d", 6)
    drawn = Random(0).sample([op for op in known if space.trace(op)], COUNT)
    return write_table(tmp_path_factory.mktemp("table"), named_spec("conv1d"), drawn).parent


def output(folder: Path, *options: str) -> str:
    command = [sys.executable, str(SCRIPT), "--folder", str(folder), "--seeds", "3", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_prints_figures_and_writes_a_page(folder: Path, tmp_path: Path) -> None:
    text = output(folder, "--json", "--out", str(tmp_path))
    found: dict[str, Any] = json.loads(text)
    assert (found["rows"], found["searched"], found["unreached"]) == (COUNT, COUNT, 0)
    assert found["spearman"]["long_training"].keys() == FIDELITIES.keys()
    assert found["spearman"]["long_training"]["fit_accuracy"]["rho"] > 0.7
    assert found["spearman"]["seeds"]["n"] == COUNT * 4 // 5
    assert found["top"]["fit_accuracy"]["of"] == 3
    assert found["strategies"].keys() == STRATEGIES.keys()
    for each in found["strategies"].values():
        assert each["share"][str(COUNT)] == [1.0, 1.0, 1.0]
        assert 1 <= each["evaluations_to_95"][1] <= COUNT
    ladder = found["ladder"]
    assert ladder["ladder_0.005"]["seconds"][1] < ladder["all_random"]["seconds"][1]
    assert ladder["ladder_0.02"]["trained"][1] <= ladder["ladder_0.002"]["trained"][1] < COUNT
    assert ladder["all_random"]["share"] == ladder["all_mcts"]["share"] == [1.0, 1.0, 1.0]
    for name in ("strategies", "fidelities"):
        assert "<svg" in (tmp_path / f"{name}.svg").read_text()
    assert json.loads((tmp_path / "figures.json").read_text()) == found
    page = (tmp_path / "README.md").read_text()
    for said in (
        "| layer fit, residual of all sites | +",
        "| mcts | ",
        "| ladder, gain of 0.5 % | ",
    ):
        assert said in page
    assert output(folder, "--json") == text


def test_a_table_that_is_hardly_filled_gives_what_it_can(folder: Path, tmp_path: Path) -> None:
    head, *rest = (folder / "operators.csv").read_text().split("\n", 1)
    assert head.startswith("operator,") and rest
    (tmp_path / "operators.csv").write_text(head + "\n")
    (tmp_path / "table.json").write_text((folder / "table.json").read_text())
    found = json.loads(output(tmp_path, "--json", "--out", str(tmp_path)))
    assert found["rows"] == 0 and "strategies" not in found
    assert "0 rows" in output(tmp_path)


def test_what_one_search_trained_is_no_space_to_search(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "operators.csv").write_text((folder / "operators.csv").read_text())
    about = json.loads((folder / "table.json").read_text())
    (tmp_path / "table.json").write_text(json.dumps({**about, "source": "search"}))
    found = json.loads(output(tmp_path, "--json", "--out", str(tmp_path)))
    assert found["rows"] == COUNT and "strategies" not in found
    assert found["ladder"] == json.loads(output(folder, "--json"))["ladder"]
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("# What one search trained") and "## Strategies" not in page
    assert not (tmp_path / "strategies.svg").exists()
