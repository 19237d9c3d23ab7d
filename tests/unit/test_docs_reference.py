"""The reference pages name what the code really writes: JSON keys, exit codes, study attributes."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import optuna
import pytest

from syno.cli import app
from syno.cli.app import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, NOT_EXACT
from syno.evaluate import fidelities
from syno.evaluate.fidelities import LadderSettings
from syno.evaluate.fit import FitSettings
from syno.evaluate.recipes import Recipe
from syno.evaluate.teacher import TEACHER_RECIPES
from syno.run.ranking import summary
from syno.run.study import STUDY_NAME, open_study
from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut, kind_of

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ROOT / "docs" / "reference" / "commands.md"
STUDY = ROOT / "docs" / "reference" / "study.md"

LINEAR = "y[n,o] = sum[c:C_in] x[n,c] * w1[o,c]"
SIZES = ["-s", "N=2", "-s", "C_in=4", "-s", "C_out=3"]
RUNS = {
    "certify": ["--spec", "pool1d", "--depth", "2", "--processes", "1"],
    "prunes": ["--spec", "linear", "--rollouts", "2"],
    "enumerate": ["--spec", "linear", "--depth", "2"],
    "show": [LINEAR, *SIZES],
    "train": ["--epochs", "0.05", "--test"],
    "bench": ["--operator", "pointwise-convolution", "--model", "convnet", "--backend", "torch"],
    "assign": ["--operator", "separable-convolution", "--by", "kind", "--budget", "9"],
    "export": [LINEAR, *SIZES],
    "data fetch": ["digits"],
}
OUTCOMES: tuple[Outcome, ...] = (
    Scored(0.9, 2.0, 10, 10),
    Pruned("too slow"),
    Failed("error", "no"),
    TimedOut(3.0),
)


def table(page: Path, heading: str) -> dict[str, str]:
    """Return the rows of the tables below a heading: what the first cell names, and the rest."""
    section = page.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `?([\w: ]+?)`? \| (.*) \|$", section, re.MULTILINE)
    return {name: rest for name, rest in rows if name not in {"command", "code", "attribute"}}


def keys(command: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", table(COMMANDS, "JSON")[command]))


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("study") / "small.db"
    study = open_study(file, {"model": "convnet", "data": "digits"})
    study.note("baseline", asdict(OUTCOMES[0]))
    for note in ("question", "confirmed", "timed"):
        study.note(note, {})
    for outcome in OUTCOMES:
        study.finish(study.begin(LINEAR), outcome)
    study.abandon(study.begin(LINEAR))
    study.close()
    return file


@pytest.mark.parametrize("command", RUNS)
def test_json_has_the_keys_of_the_page(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = LadderSettings(fit=FitSettings(positions=256, images=8, sweeps=1), fit_images=20)
    monkeypatch.setattr(fidelities, "LadderSettings", lambda: quick)
    monkeypatch.setitem(TEACHER_RECIPES, "digits", Recipe(epochs=0.05))
    extra = ["--rounds", "1"] if command in {"assign", "bench"} else []
    app([*command.split(), *RUNS[command], *extra, "--json"], standalone_mode=False)
    assert set(json.loads(capsys.readouterr().out.splitlines()[-1])) == keys(command)


def test_the_report_has_the_keys_of_the_page(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    app(["report", "--study", str(study_file), "--out", str(page), "--json"], standalone_mode=False)
    assert set(json.loads(capsys.readouterr().out.splitlines()[-1])) == keys("report")


def test_a_search_has_the_keys_of_the_page(study_file: Path) -> None:
    study = open_study(study_file, {"model": "convnet", "data": "digits"})
    found = summary(study)
    study.close()
    assert {*found, "ended", "known", "new"} == keys("search")
    row = set(re.search(r"Each row of.*?\n- ", COMMANDS.read_text(), re.DOTALL)[0].split("`"))
    assert set(found["front"][0]) <= row


def test_exit_codes_are_those_of_the_page() -> None:
    codes = {int(code) for code in table(COMMANDS, "Exit codes")}
    assert codes == {0, NOT_EXACT, BAD_INPUT, INTERRUPTED, BROKEN_PIPE}


def test_a_study_has_the_attributes_of_the_page(study_file: Path) -> None:
    seen = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{study_file}")
    assert set(seen.user_attrs) == set(table(STUDY, "Attributes of the study"))
    attributes = {name for trial in seen.trials for name in trial.user_attrs}
    rows = table(STUDY, "Attributes of a trial")
    kinds = {kind_of(outcome) for outcome in OUTCOMES}
    assert attributes | kinds == set(rows)
    states = {
        json.loads(trial.user_attrs["outcome"])["outcome"]: trial.state.name
        for trial in seen.trials
        if "outcome" in trial.user_attrs
    }
    assert states == {kind: rows[kind].split(" | ")[0] for kind in kinds}
