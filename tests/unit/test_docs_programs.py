"""The primer and the examples run, and the primer stands on nothing of ours."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRIMER = ROOT / "docs" / "primer.py"


def test_the_primer_holds_its_claims(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(PRIMER), run_name="__main__")
    printed = capsys.readouterr().out
    assert "5 steps with rules: 15730 states, 75 operators" in printed
    assert "y[o,h] = sum[r:2, s:3] x[(o // 3)*2 + r, h + s - 1] * w[o, r, s]" in printed


def test_the_primer_rebuilds_everything_from_nothing() -> None:
    names = set()
    for node in ast.walk(ast.parse(PRIMER.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    ours = {name for name in names if name.partition(".")[0] in {"syno", "torch"}}
    assert ours == set()


def test_a_layer_of_a_model_of_ones_own_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "replace_a_layer.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "body.2: 2,359,296 multiply-adds before, 139,264 after" in printed
    assert "output (8, 10)" in printed
