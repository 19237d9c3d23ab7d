"""Importing is free, and imports point one way; a planted violation is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("matplotlib", "numpy", "optuna", "scipy", "sklearn", "torch", "torchvision")

PLANTED = {
    "a lower room sees a higher one": ("ir/coord.py", "import syno.space.spec", "one-way"),
    "a new room without a place": ("attic/__init__.py", "", "one-way"),
    "lowering sees the rules": ("lower/plan.py", "import syno.rules.table", "synthesis"),
    "a strategy sees an operator": ("search/mcts.py", "import syno.ir.operator", "search"),
    "the report trains": ("report/__init__.py", "import syno.evaluate.training", "report"),
    "torch in the language": ("ir/operator.py", "import torch", "no-torch"),
    "torch in another backend": ("lower/numpy.py", "import torch", "no-torch"),
}


def loaded_by(module: str) -> set[str]:
    """Return which heavy packages a fresh process has loaded after importing `module`."""
    code = f"import sys, {module}; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["syno", "syno.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module) == set()


@pytest.mark.parametrize("module", ["syno.ir.verify", "syno.run.search", "syno.run.study"])
def test_import_loads_no_torch(module: str) -> None:
    assert "torch" not in loaded_by(module)


def lint(source: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter with this project's contracts on the package in `source`."""
    program = Path(sys.executable).with_name("lint-imports")
    chosen = [word for name in contracts for word in ("--contract", name)]
    return subprocess.run(
        [program, ROOT / "pyproject.toml", "--no-cache", "--no-logo", *chosen],
        cwd=source,
        env=os.environ | {"PYTHONPATH": str(source), "COLUMNS": "200"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "src" / "syno", tmp_path / "syno", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def test_the_copy_is_what_is_linted(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(copy: Path, planted: tuple[str, str, str]) -> None:
    name, line, contract = planted
    path = copy / "syno" / name
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{line}\n")
    done = lint(copy, contract)
    assert done.returncode != 0
    assert "1 broken" in done.stdout or "must be in a layer" in done.stdout + done.stderr, done
