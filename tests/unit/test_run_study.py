"""The study: what it keeps, and what it says when it cannot be opened or written."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from syno.ir.errors import StudyError
from syno.run.study import Study, open_study, read_study
from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut

IDENTITY: dict[str, Any] = {"model": "m", "recipe": {"epochs": 1, "rate": 0.1}}
OUTCOMES: tuple[Outcome, ...] = (
    Scored(0.9, 1.5, 10, 20, {"seed": 0}),
    Pruned("too slow", {"latency": 1.0}),
    TimedOut(3.0),
    Failed("crashed", "died"),
)


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@contextmanager
def opened(path: Path) -> Iterator[Study]:
    with closing(open_study(path, IDENTITY)) as study:
        yield study


def filled(path: Path) -> list[Any]:
    """Make a study with one trial of each kind and return its records."""
    with opened(path) as study:
        for number, outcome in enumerate(OUTCOMES):
            assert study.begin(f"operator {number}") == number
            study.finish(number, outcome)
        return study.records()


def test_outcomes_come_back_as_they_were(tmp_path: Path) -> None:
    filled(tmp_path / "a.db")
    study = read_study(tmp_path / "a.db")
    assert tuple(each.outcome for each in study.records()) == OUTCOMES
    assert [each.operator for each in study.records()] == [f"operator {n}" for n in range(4)]
    assert study.identity == IDENTITY


def test_a_record_says_how_long_it_took(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as study:
        record = study.finish(study.begin("x"), OUTCOMES[0])
        assert 0 < record.seconds < 60
        assert [record] == study.records()


def test_optuna_reads_states_and_values(tmp_path: Path) -> None:
    filled(tmp_path / "a.db")
    trials = optuna.load_study(study_name="syno", storage=url(tmp_path / "a.db")).trials
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]
    assert [each.state for each in trials] == states
    assert trials[0].values == [0.9, 1.5]


def test_notes_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as study:
        study.note("x", {"a": [1, 2]})
    again = read_study(tmp_path / "a.db")
    assert again.noted("x") == {"a": [1, 2]}
    assert again.noted("y") is None


def test_a_trial_without_outcome_is_closed_and_is_no_record(tmp_path: Path) -> None:
    before = filled(tmp_path / "a.db")
    with opened(tmp_path / "a.db") as study:
        study.begin("in flight")
    with opened(tmp_path / "a.db") as again:
        assert again.records() == before
    last = optuna.load_study(study_name="syno", storage=url(tmp_path / "a.db")).trials[-1]
    assert last.state == TrialState.FAIL
    assert last.user_attrs["abandoned"] is True


def test_an_outcome_written_before_the_end_keeps_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with opened(tmp_path / "a.db") as study, monkeypatch.context() as patch:
        number = study.begin("x")
        patch.setattr(optuna.Study, "tell", dies)
        with pytest.raises(KeyboardInterrupt):
            study.finish(number, OUTCOMES[0])
    with opened(tmp_path / "a.db") as again:
        assert [each.outcome for each in again.records()] == [OUTCOMES[0]]
    best = optuna.load_study(study_name="syno", storage=url(tmp_path / "a.db")).best_trials
    assert [each.values for each in best] == [[0.9, 1.5]]


def test_another_question_is_refused_and_the_difference_is_named(tmp_path: Path) -> None:
    before = filled(tmp_path / "a.db")
    other = {"model": "m", "recipe": {"epochs": 2, "rate": 0.1}}
    with pytest.raises(StudyError, match=r"its recipe is epochs=1, this search has epochs=2\."):
        open_study(tmp_path / "a.db", other)
    with pytest.raises(StudyError, match="its model is 'm', this search has 'n'"):
        open_study(tmp_path / "a.db", {**IDENTITY, "model": "n"})
    assert read_study(tmp_path / "a.db").records() == before
    with opened(tmp_path / "a.db"):  # a refusal leaves no lock behind
        pass


@pytest.mark.parametrize("as_url", [False, True])
def test_a_study_in_use_is_refused(tmp_path: Path, as_url: bool) -> None:
    path = tmp_path / "a.db"
    with opened(path), pytest.raises(StudyError, match="is in use by another search"):
        open_study(url(path) if as_url else path, IDENTITY)
    with opened(path):
        pass


def test_a_study_in_use_can_be_read(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as study:
        record = study.finish(study.begin("x"), OUTCOMES[0])
        assert read_study(tmp_path / "a.db").records() == [record]


@pytest.mark.parametrize(
    "content", [b"no database at all\n" * 99, b"SQLite format 3\0" + b"?" * 99]
)
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    for attempt in (lambda: open_study(path, IDENTITY), lambda: read_study(path)):
        with pytest.raises(StudyError, match="cannot be read as a study: file is not a database"):
            attempt()
    assert path.read_bytes() == content


def test_a_truncated_study_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StudyError, match=r"malformed|cannot be read"):
        open_study(path, IDENTITY)


def test_the_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    database.close()
    before = path.read_bytes()
    for attempt in (lambda: open_study(path, IDENTITY), lambda: read_study(path)):
        with pytest.raises(StudyError, match="is the database of another program"):
            attempt()
    assert path.read_bytes() == before


def test_an_optuna_study_of_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    optuna.create_study(storage=url(path), study_name="theirs")
    for attempt in (lambda: open_study(path, IDENTITY), lambda: read_study(path)):
        with pytest.raises(StudyError, match="holds no study of Syno's"):
            attempt()
    assert optuna.get_all_study_names(url(path)) == ["theirs"]


def test_an_optuna_study_of_our_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    optuna.create_study(storage=url(path), study_name="syno").ask()
    for attempt in (lambda: open_study(path, IDENTITY), lambda: read_study(path)):
        with pytest.raises(StudyError, match="is an Optuna study, but none of Syno's"):
            attempt()


def test_a_study_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="There is no study at"):
        read_study(tmp_path / "a.db")
    assert list(tmp_path.iterdir()) == []


def test_reading_a_study_that_is_being_made_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    optuna.storages.RDBStorage(url(path))  # all tables, no study yet
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE trial_values")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StudyError, match="holds no study of Syno's"):
        read_study(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("table", ["version_info", "alembic_version"])
def test_a_study_killed_while_it_was_made_is_made_anew(tmp_path: Path, table: str) -> None:
    with sqlite3.connect(tmp_path / "whole.db") as whole:
        optuna.storages.RDBStorage(url(tmp_path / "whole.db"))
        query = "SELECT sql FROM sqlite_master WHERE name = ?"
        (made,) = whole.execute(query, (table,)).fetchone()
    whole.close()
    with sqlite3.connect(tmp_path / "a.db") as partial:
        partial.execute(made)
    partial.close()
    assert len(filled(tmp_path / "a.db")) == len(OUTCOMES)


def test_a_damaged_outcome_names_its_trial(tmp_path: Path) -> None:
    filled(tmp_path / "a.db")
    study = optuna.load_study(study_name="syno", storage=url(tmp_path / "a.db"))
    trial = study.trials[2]
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute(
            "UPDATE trial_user_attributes SET value_json = ? "
            "WHERE trial_id = ? AND key = 'outcome'",
            (json.dumps('{"outcome": "eaten"}'), trial._trial_id),
        )
    database.close()
    with pytest.raises(StudyError, match="Trial 2 of the study"):
        read_study(tmp_path / "a.db").records()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"cannot be written: (Not a|File exists)"):
        open_study(tmp_path / "file" / "a.db", IDENTITY)
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StudyError, match="unable to open database file"):
        open_study(tmp_path / "folder.db", IDENTITY)


def test_a_database_locked_by_another_program_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syno.run.database._LOCK_SECONDS", 0.1)
    before = filled(tmp_path / "a.db")
    with opened(tmp_path / "a.db") as study:
        with closing(sqlite3.connect(tmp_path / "a.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StudyError, match="cannot be read or written: database is locked"):
                study.begin("x")
        study.finish(study.begin("y"), OUTCOMES[0])
        assert study.records()[:-1] == before


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("nosuch://host/name", "cannot be read or written|driver"),
        ("postgresql://me:secret@127.0.0.1:1/name", "driver|cannot be read or written"),
        ("sqlite:///", "is no file for a study"),
        ("://", "cannot be read or written"),
    ],
)
def test_a_bad_url_is_told_without_its_password(where: str, text: str) -> None:
    with pytest.raises(StudyError, match=text) as caught:
        open_study(where, IDENTITY)
    assert "secret" not in str(caught.value)


FILLER = """
import resource, sys
from syno.ir.errors import StudyError
from syno.run.study import Study, open_study
from syno.search.outcome import Pruned
study = open_study(sys.argv[1], {"model": "m"})
study.finish(study.begin("first"), Pruned("kept"))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    for number in range(10_000):
        study.finish(study.begin(f"x{number}"), Pruned("z" * 10_000))
except StudyError as error:
    print(error)
    sys.exit(2)
"""


def test_a_full_disk_is_told_and_what_was_written_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    done = subprocess.run(
        [sys.executable, "-c", FILLER, path, str(300_000)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be read or written" in done.stdout
    assert "what was written before is kept" in done.stdout
    with closing(open_study(path, {"model": "m"})) as study:
        first, *rest = study.records()
        assert first.outcome == Pruned("kept")
        assert len(rest) > 3
        assert all(each.outcome == Pruned("z" * 10_000) for each in rest)
        study.finish(study.begin("after"), Pruned("there is room again"))
        assert len(study.records()) == 1 + len(rest) + 1
