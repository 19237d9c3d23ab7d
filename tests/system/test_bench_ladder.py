"""The comparison of two searches: seconds of training until most of what both reach is reached."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from syno.run.study import open_study
from syno.search.outcome import Outcome, Pruned, Scored
from syno.testing.tabular import COLUMNS, read_table

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, outcomes: Iterable[Outcome], unfinished: float = 0.0) -> None:
    study = open_study(path, {"model": "m"})
    study.note("baseline", {"accuracy": 0.8})
    study.note("unfinished", unfinished)
    for number, outcome in enumerate(outcomes):
        study.finish(study.begin(f"operator {number}"), outcome)
    study.close()


def climbed(accuracy: float, *seconds: float) -> Scored:
    rungs = dict(
        zip(("fit", "short", "long"), ({"seconds": each} for each in seconds), strict=True)
    )
    return Scored(accuracy, 2.0, 1, 1, {"seconds": seconds[-1], "rungs": rungs})


def test_judgements_count_in_the_order_in_which_they_were_known(tmp_path: Path) -> None:
    """The first candidate is fitted before the second, and trained after it."""

    def rung(seconds: float, minute: int) -> dict[str, Any]:
        return {"seconds": seconds, "finished": f"2026-01-01T10:{minute:02}:00+00:00"}

    late = {"fit": rung(1.0, 0), "long": rung(100.0, 9)}
    soon = {"fit": rung(2.0, 1), "long": rung(50.0, 5)}
    outcomes = [Scored(0.7, 2.0, 1, 1, {"rungs": late}), Scored(0.79, 2.0, 1, 1, {"rungs": soon})]
    write(tmp_path / "full.db", outcomes)
    write(tmp_path / "ladder.db", outcomes)
    found = compared(tmp_path)["ladder"]
    assert found["seconds_to_share"] == 1.0 + 2.0 + 50.0 and found["seconds"] == 153.0
    curve = json.loads((tmp_path / "kept.json").read_text())["curves"]["ladder"]
    assert [(seconds, trained) for seconds, _, trained in curve] == [
        (1.0, 0), (3.0, 0), (53.0, 1), (153.0, 2)
    ]  # fmt: skip


def compared(folder: Path, *more: str) -> dict[str, Any]:
    command = [sys.executable, "bench/ladder.py", "--full", str(folder / "full.db")]
    command += ["--ladder", str(folder / "ladder.db"), "--json", "--out", str(folder / "kept.json")]
    command += more
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_seconds_count_on_every_rung_and_what_is_given_up_counts_too(tmp_path: Path) -> None:
    trained = [Scored(0.7 + 0.01 * step, 2.0, 1, 1, {"seconds": 100.0}) for step in range(10)]
    write(tmp_path / "full.db", trained)
    given_up = Pruned("others did better", {"rungs": {"fit": {"seconds": 5.0}}}, 0.6, 2.0)
    write(tmp_path / "ladder.db", [given_up] * 5 + [climbed(0.79, 5.0, 10.0, 100.0)], 7.0)
    found = compared(tmp_path)
    assert found["full"]["seconds_to_share"] == 1000.0
    assert found["ladder"]["seconds_to_share"] == 7.0 + 5 * 5.0 + 115.0
    assert found["times_less"] == round(1000 / 147, 2)
    assert found["to_what_full_found"]["times_less"] == found["times_less"]
    assert found["ladder"]["trained"] == 1 and found["ladder"]["candidates"] == 6


def test_a_full_search_that_finds_less_is_compared_by_what_it_found(tmp_path: Path) -> None:
    trained = [Scored(0.7, 2.0, 1, 1, {"seconds": 100.0})] * 3
    write(tmp_path / "full.db", trained)
    write(tmp_path / "ladder.db", [climbed(0.79, 5.0, 5.0, 30.0)])
    found = compared(tmp_path)
    assert found["times_less"] is None and found["full"]["reached"] < 0.95
    seconds = {"full": 100.0, "ladder": 40.0}
    assert found["to_what_full_found"] == {"seconds": seconds, "times_less": 2.5}


def test_a_search_that_never_comes_so_far_is_not_compared(tmp_path: Path) -> None:
    write(tmp_path / "full.db", [Scored(0.79, 2.0, 1, 1, {"seconds": 100.0})])
    write(tmp_path / "ladder.db", [climbed(0.7, 5.0, 10.0, 100.0)])
    found = compared(tmp_path)
    assert found["times_less"] is None
    assert found["ladder"]["seconds_to_share"] is None and found["ladder"]["reached"] < 0.95


def test_the_same_candidates_are_trained_all_or_climb(tmp_path: Path) -> None:
    """The best of eight is the sixth that was asked for; the fits tell it from the others."""
    write(tmp_path / "full.db", [Scored(0.7, 2.0, 1, 1, {"seconds": 100.0})])
    write(tmp_path / "ladder.db", [Scored(0.7, 2.0, 1, 1, {"seconds": 100.0})])
    table(tmp_path / "same", best=5, of=8)
    found = compared(tmp_path, "--same", str(tmp_path / "same"))["same_candidates"]
    assert found["candidates"] == 8
    asked = found["as_asked"]
    assert asked["full"]["seconds_to_share"] == [600.0] * 3
    assert asked["full"]["trained"] == [8.0] * 3 and asked["full"]["seconds"] == [800.0] * 3
    assert asked["ladder"]["seconds_to_share"] == [8 * 1.0 + 2.0 + 3.0 + 100.0] * 3
    assert asked["times_less"] == round(600 / 113, 2)
    drawn = found["random_orders"]
    assert drawn["full"]["came_to_share"] == drawn["ladder"]["came_to_share"] == 20
    assert drawn["ladder"]["seconds_to_share"] == [113.0] * 3
    low, middle, high = drawn["full"]["seconds_to_share"]
    assert 100.0 <= low < middle < high <= 800.0


def table(folder: Path, best: int, of: int) -> None:
    """Write a table of measured operators with other figures: one is better in every column."""
    measured = read_table(ROOT / "docs/results/tabular/operators.csv").rows[:of]
    costs = {"flops": 1, "parameters": 1, "ratio": 2.0, "sample_seconds": 1.0, "fit_seconds": 2.0}
    costs |= {"short_seconds": 3.0, "long_seconds": 100.0}
    folder.mkdir()
    (folder / "table.json").write_text('{"baseline": {"long_accuracy": 0.8}}')
    with (folder / "operators.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["operator", *COLUMNS, "failure"], restval="")
        writer.writeheader()
        for number, row in enumerate(measured):
            good = {"sample_residual": 0.1, "short_accuracy": 0.78, "long_accuracy": 0.8}
            poor = {"sample_residual": 0.8, "short_accuracy": 0.6, "long_accuracy": 0.66}
            cells = {**costs, **(good if number == best else poor)}
            writer.writerow({"operator": str(row.operator), **cells})
