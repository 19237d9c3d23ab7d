"""The study: all that a search knows, in one database that Optuna's own tools can read.

One candidate is one trial. Its operator, outcome and figures are user attributes; its two values
are validation accuracy and latency ratio, both maximized. What the search is about (model, data,
spec, recipe) is written once as attributes of the study; opening it with another question is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from syno.ir.errors import StudyError
from syno.run.database import STUDY_NAME, connect, explained, file_of, shown
from syno.run.lock import lock_beside
from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut, from_dict, to_dict

_IDENTITY, _OUTCOME, _OPERATOR, _NOTE = "identity", "outcome", "operator", "note:"
_OPEN = "abandoned"


@dataclass(frozen=True)
class Record:
    """One finished candidate; `seconds` is the time from its beginning to its outcome."""

    number: int
    operator: str
    outcome: Outcome
    seconds: float


class Study:
    """One open study; see `open_study`."""

    def __init__(self, study: optuna.Study, where: str | Path, lock: IO[str] | None) -> None:
        self._study = study
        self._where = where
        self._lock = lock

    @property
    def identity(self) -> dict[str, Any]:
        """What the study is about."""
        with explained(self._where):
            found: dict[str, Any] = json.loads(self._study.user_attrs[_IDENTITY])
        return found

    def begin(self, operator: str) -> int:
        """Start a trial for an operator and return its number."""
        with explained(self._where):
            trial = self._study.ask()
            trial.set_user_attr(_OPERATOR, operator)
            return trial.number

    def finish(self, number: int, outcome: Outcome) -> Record:
        """Write the outcome of a trial and return its record."""
        with explained(self._where):
            storage = self._study._storage
            trial = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
            storage.set_trial_user_attr(trial, _OUTCOME, json.dumps(to_dict(outcome)))
            self._close(number, outcome)
            return _record(self._where, storage.get_trial(trial))

    def abandon(self, number: int) -> None:
        """Close a trial that got no outcome; its operator may be tried again."""
        with explained(self._where):
            storage = self._study._storage
            trial = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
            storage.set_trial_user_attr(trial, _OPEN, True)
            self._study.tell(number, state=TrialState.FAIL)

    def records(self) -> list[Record]:
        """Return all finished candidates, in the order in which they were begun."""
        with explained(self._where):
            trials = self._study.get_trials(deepcopy=False)
        return [
            _record(self._where, trial)
            for trial in trials
            if trial.state.is_finished() and _OUTCOME in trial.user_attrs
        ]

    def note(self, name: str, value: Any) -> None:
        """Keep a value (plain data) with the study."""
        with explained(self._where):
            self._study.set_user_attr(_NOTE + name, json.dumps(value))

    def noted(self, name: str) -> Any | None:
        """Return a kept value, or None."""
        with explained(self._where):
            text = self._study.user_attrs.get(_NOTE + name)
        return None if text is None else json.loads(text)

    def close(self) -> None:
        """Let another process open the study."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _close(self, number: int, outcome: Outcome) -> None:
        if isinstance(outcome, Scored):
            self._study.tell(number, [outcome.accuracy, outcome.ratio])
        elif isinstance(outcome, Pruned):
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def _settle(self) -> None:
        """Close the trials that a dead run left open, with their outcome where it was written."""
        with explained(self._where):
            left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in left:
            if _OUTCOME not in trial.user_attrs:
                self.abandon(trial.number)
                continue
            outcome = _record(self._where, trial).outcome
            with explained(self._where):
                self._close(trial.number, outcome)


def open_study(where: str | Path, identity: Mapping[str, Any]) -> Study:
    """Open or create the study at `where`, a file path or a database URL, for one runner.

    Raises StudyError where it cannot be written, is no study, belongs to another question
    (`identity` differs), or is open in another process. A server's database has no such lock.
    """
    path = file_of(where)
    lock = None if path is None else lock_beside(path)
    try:
        study = connect(where, create=True)
        with explained(where):
            found = study.user_attrs.get(_IDENTITY)
            if found is None:
                if study.get_trials(deepcopy=False):
                    raise _not_ours(where)
                study.set_user_attr(_IDENTITY, json.dumps(dict(identity)))
        if found is not None:
            _compare(where, json.loads(found), identity)
        opened = Study(study, where, lock)
        opened._settle()
        return opened
    except BaseException:
        if lock is not None:
            lock.close()
        raise


def read_study(where: str | Path) -> Study:
    """Open an existing study to read it; StudyError where there is none."""
    path = file_of(where)
    if path is not None and not path.exists():
        raise StudyError(
            f"There is no study at {where}. Make one with: syno search --study {where}"
        )
    study = connect(where, create=False)
    with explained(where):
        if _IDENTITY not in study.user_attrs:
            raise _not_ours(where)
    return Study(study, where, None)


def _record(where: str | Path, trial: FrozenTrial) -> Record:
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    try:
        outcome = from_dict(json.loads(trial.user_attrs[_OUTCOME]))
        return Record(trial.number, trial.user_attrs[_OPERATOR], outcome, seconds)
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"Trial {trial.number} of the study {shown(where)} cannot be read ({error}): another "
            "program or another version of Syno wrote it. Choose another file with --study."
        ) from None


def _not_ours(where: str | Path) -> StudyError:
    return StudyError(f"{shown(where)} is an Optuna study, but none of Syno's: choose another.")


def _compare(where: str | Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    plain = json.loads(json.dumps(dict(wanted)))
    for key in [*plain, *found]:
        ours, theirs = plain.get(key), found.get(key)
        if ours != theirs:
            raise StudyError(
                f"The study {shown(where)} was made for another search: its {key} is "
                f"{_difference(theirs, ours)}, this search has {_difference(ours, theirs)}. Choose "
                "another file with --study, or repeat the search with its settings."
            )


def _difference(one: Any, other: Any) -> str:
    """Return `one` as text; of two mappings, only what differs."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = [key for key in one if one[key] != other.get(key)]
        return ", ".join(f"{key}={one[key]!r}" for key in keys) or "without these"
    return repr(one)


# The kinds of outcome are handed on: who reads a study, as the report does, tells records apart.
__all__ = [
    "STUDY_NAME",
    "Failed",
    "Pruned",
    "Record",
    "Scored",
    "Study",
    "TimedOut",
    "open_study",
    "read_study",
]
