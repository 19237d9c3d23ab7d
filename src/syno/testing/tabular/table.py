"""The table as it stands in its files: one row an operator, a cell for each measurement."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import Any

from syno.ir.errors import DataError, SynoError
from syno.ir.operator import Operator
from syno.ir.parser import parse

COLUMNS: Mapping[str, str] = {
    "flops": "multiply-adds of all sites, for one image",
    "parameters": "weights of all sites",
    "ratio": "latency of the original over that of the candidate",
    "sample_residual": "layer fit of one site of each shape: relative residual, geometric mean",
    "sample_seconds": "what that took",
    "fit_residual": "layer fit: relative residual of the sites, geometric mean",
    "fit_network_residual": "layer fit: relative residual of the scores of the network",
    "fit_accuracy": "accuracy with the fitted weights, not trained",
    "fit_seconds": "what the layer fit took",
    "short_accuracy": "accuracy after a short training from the fitted weights",
    "short_seconds": "what the short training took",
    "long_accuracy": "accuracy after the long training from the fitted weights, seed 0",
    "long_seconds": "what the long training took",
    "long_accuracy_1": "the same with seed 1, of some",
    "scratch_accuracy": "accuracy after training from random weights, of some",
    "scratch_seconds": "what the training from random weights took",
    "longer_accuracy": "accuracy after a longer training from random weights, of some",
    "longer_seconds": "what the longer training took",
    "synflow": "synaptic flow at random start",
    "naswot": "NASWOT at random start",
    "gradient_norm": "norm of the gradient at random start",
}
"""Every column of numbers with its meaning; accuracies lie in [0, 1] and are of validation."""

_KEY, _FAILURE = "operator", "failure"


@dataclass(frozen=True)
class Row:
    """An operator and what was measured of it; a column that is not filled is not in `values`.

    A training that failed counts as an accuracy of 0.1, that of a guess among ten classes;
    `failure` says why.
    """

    operator: Operator
    values: Mapping[str, float]
    failure: str = ""

    def __getitem__(self, column: str) -> float:
        """Return a measurement; DataError where there is none."""
        return _value(self.values, column, f"of {self.operator}")

    def has(self, *columns: str) -> bool:
        """Tell whether all of `columns` are filled."""
        return all(column in self.values for column in columns)


@dataclass(frozen=True)
class Table:
    """Rows in the order of the file, what was measured of the original, and where it comes from."""

    rows: tuple[Row, ...]
    baseline: Mapping[str, float]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def with_all(self, *columns: str) -> tuple[Row, ...]:
        """Return the rows in which all of `columns` are filled."""
        return tuple(row for row in self.rows if row.has(*columns))

    def original(self, column: str) -> float:
        """Return a measurement of the original; DataError where there is none."""
        return _value(self.baseline, column, "of the original")


def read_table(path: str | Path) -> Table:
    """Return the table in the CSV file `path`, with `table.json` of the same folder.

    Columns that are not in `COLUMNS` are passed over, empty cells are left out. Raises DataError,
    naming the line, for whatever else is not an operator or a number, and for an operator that
    stands there twice.
    """
    file = Path(path)
    described = _description(file.with_name("table.json"))
    rows: dict[Operator, Row] = {}
    for place, cells in _records(file):
        row = _row(cells, place)
        if row.operator in rows:
            raise DataError(f"{place}: the operator stands in the table twice: {row.operator}")
        rows[row.operator] = row
    baseline = described.pop("baseline")
    values = {name: float(baseline[name]) for name in COLUMNS if baseline.get(name) is not None}
    return Table(tuple(rows.values()), values, described)


def _description(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise DataError(
            f"A table needs its description beside it: {file.name}: {problem}"
        ) from None
    except ValueError as problem:
        raise DataError(f"{file.name} is not JSON: {problem}") from None
    if not isinstance(found, dict) or not isinstance(found.get("baseline"), dict):
        raise DataError(f"{file.name} has no 'baseline': what was measured of the original.")
    return found


def _records(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each record with the place where it ends; DataError where the header lacks columns."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            reader = csv.DictReader(opened)
            missing = {_KEY, *COLUMNS} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{file.name} lacks the columns {', '.join(sorted(missing))}.")
            for cells in reader:
                place = f"{file.name}, line {reader.line_num}"
                if None in cells or None in cells.values():
                    raise DataError(f"{place}: there are not as many cells as columns.")
                yield place, cells
    except OSError as problem:
        raise DataError(f"The table cannot be read: {problem}") from None


def _row(cells: Mapping[str, str], place: str) -> Row:
    try:
        operator = parse(cells[_KEY])
    except SynoError as problem:
        raise DataError(f"{place}: {problem}") from None
    filled = {name: cells[name].strip() for name in COLUMNS if cells[name].strip()}
    values = {name: _number(text, name, place) for name, text in filled.items()}
    return Row(operator, values, cells.get(_FAILURE, ""))


def _number(text: str, column: str, place: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise DataError(f"{place}: {column} is not a number: {text!r}.") from None
    if isnan(found):
        raise DataError(f"{place}: {column} is {text}; leave the cell empty if it is not known.")
    return found


def _value(values: Mapping[str, float], column: str, whose: str) -> float:
    if column not in COLUMNS:
        raise DataError(f"There is no column {column!r}; known are: {', '.join(COLUMNS)}.")
    if column not in values:
        raise DataError(f"{column} {whose} was not measured.")
    return values[column]
