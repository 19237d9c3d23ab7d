"""Operators that searches found: their records are those of the reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syno.ir.verify import verify
from syno.zoo.shelf import FoundOperator, found

ROOT = Path(__file__).parents[2]
rows = pytest.mark.parametrize("row", found().values(), ids=lambda row: row.name)


def test_there_are_eleven() -> None:
    assert len(found()) == 11
    assert len({row.operator for row in found().values()}) == 11


@rows
def test_a_row_says_what_its_report_says(row: FoundOperator) -> None:
    report = json.loads((ROOT / row.source).read_text())
    number = int(row.name.rpartition("-")[2])
    (told,) = [each for each in report["trained"] if each["number"] == number]
    assert told["operator"] == row.text == str(row.operator)
    assert report["identity"]["model"] == row.model and report["identity"]["data"] == row.data
    assert told["accuracy"] == pytest.approx(row.accuracy, abs=1e-4)
    assert told["ratio"] == pytest.approx(row.ratio, abs=0.01)
    assert (told["confirmed"] is None) == (row.fresh_seeds is None)


@rows
def test_it_is_valid(row: FoundOperator) -> None:
    sizes = {"N": 1, "C_in": 16, "C_out": 32, "H": 8, "W": 8, "k": 3, "s": 2, "g": 4}
    assert verify(row.operator, (sizes,)) == ()
    assert "fresh seeds" in row.summary or row.fresh_seeds is None
