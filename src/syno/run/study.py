"""The study: all that a search knows, in one database that Optuna's own tools can read.

One candidate is one trial. Its operator, outcome and figures are user attributes; its two values
are validation accuracy and latency ratio, both maximized. What the search is about (model, data,
spec, recipe) is written once as attributes of the study; opening it with another question is
refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from syno.ir.errors import StudyError
from syno.search.outcome import Outcome, Pruned, Scored, from_dict, to_dict

_IDENTITY, _OUTCOME, _OPERATOR, _NOTE = "identity", "outcome", "operator", "note:"
_OPEN = "abandoned"


@dataclass(frozen=True)
class Record:
    """One finished candidate."""

    number: int
    operator: str
    outcome: Outcome
    seconds: float


class Study:
    """One open study; see `open_study`."""

    def __init__(self, study: optuna.Study, lock: IO[str] | None) -> None:
        self._study = study
        self._lock = lock

    @property
    def identity(self) -> dict[str, Any]:
        """What the study is about."""
        found: dict[str, Any] = json.loads(self._study.user_attrs[_IDENTITY])
        return found

    def begin(self, operator: str) -> int:
        """Start a trial for an operator and return its number."""
        with _explained():
            trial = self._study.ask()
            trial.set_user_attr(_OPERATOR, operator)
            return trial.number

    def finish(self, number: int, outcome: Outcome) -> None:
        """Write the outcome of a trial."""
        with _explained():
            trial = self._trial_id(number)
            storage = self._study._storage
            storage.set_trial_user_attr(trial, _OUTCOME, json.dumps(to_dict(outcome)))
            if isinstance(outcome, Scored):
                self._study.tell(number, [outcome.accuracy, outcome.ratio])
            elif isinstance(outcome, Pruned):
                self._study.tell(number, state=TrialState.PRUNED)
            else:
                self._study.tell(number, state=TrialState.FAIL)

    def records(self) -> list[Record]:
        """Return all finished candidates, in the order in which they were begun."""
        with _explained():
            trials = self._study.get_trials(deepcopy=False)
        found = []
        for trial in trials:
            if trial.state.is_finished() and _OUTCOME in trial.user_attrs:
                seconds = trial.duration.total_seconds() if trial.duration else 0.0
                outcome = from_dict(json.loads(trial.user_attrs[_OUTCOME]))
                operator = trial.user_attrs[_OPERATOR]
                found.append(Record(trial.number, operator, outcome, seconds))
        return found

    def note(self, name: str, value: Any) -> None:
        """Keep a value (plain data) with the study."""
        with _explained():
            self._study.set_user_attr(_NOTE + name, json.dumps(value))

    def noted(self, name: str) -> Any | None:
        """Return a kept value, or None."""
        text = self._study.user_attrs.get(_NOTE + name)
        return None if text is None else json.loads(text)

    def close(self) -> None:
        """Let another process open the study."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _trial_id(self, number: int) -> int:
        found: int = self._study._storage.get_trial_id_from_study_id_trial_number(
            self._study._study_id, number
        )
        return found

    def _give_up_running(self) -> None:
        """Close trials that a dead run left open; their operators may be tried again."""
        with _explained():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study._storage.set_trial_user_attr(trial._trial_id, _OPEN, True)
                self._study.tell(trial.number, state=TrialState.FAIL)


def open_study(where: str | Path, identity: Mapping[str, Any]) -> Study:
    """Open or create the study at `where`, a file path or a database URL, for one runner.

    Raises StudyError where it cannot be written, is no study, belongs to another question
    (`identity` differs), or is open in another process.
    """
    url, lock = _url(where), _locked(where)
    try:
        study = _load(url, where, create=True)
        found = study.user_attrs.get(_IDENTITY)
        if found is None:
            if study.get_trials(deepcopy=False):
                raise StudyError(
                    f"{where} is an Optuna study, but none of Syno's: choose another file."
                )
            with _explained():
                study.set_user_attr(_IDENTITY, json.dumps(dict(identity)))
        else:
            _compare(where, json.loads(found), identity)
        opened = Study(study, lock)
        opened._give_up_running()
        return opened
    except BaseException:
        if lock is not None:
            lock.close()
        raise


def read_study(where: str | Path) -> Study:
    """Open an existing study to read it; StudyError where there is none."""
    if not _is_url(where) and not Path(where).exists():
        raise StudyError(
            f"There is no study at {where}. Make one with: syno search --study {where}"
        )
    study = _load(_url(where), where, create=False)
    if _IDENTITY not in study.user_attrs:
        raise StudyError(f"{where} is an Optuna study, but none of Syno's: choose another file.")
    return Study(study, None)


STUDY_NAME = "syno"


def _load(url: str, where: str | Path, *, create: bool) -> optuna.Study:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _explained(where), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = RDBStorage(url, engine_kwargs=_engine_options(url))
        if create:
            return optuna.create_study(
                storage=storage,
                study_name=STUDY_NAME,
                directions=["maximize", "maximize"],
                load_if_exists=True,
            )
        return optuna.load_study(storage=storage, study_name=STUDY_NAME)


def _engine_options(url: str) -> dict[str, Any]:
    return {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}


def _is_url(where: str | Path) -> bool:
    return "://" in str(where)


def _url(where: str | Path) -> str:
    return str(where) if _is_url(where) else f"sqlite:///{Path(where).resolve()}"


def _locked(where: str | Path) -> IO[str] | None:
    """Lock the file beside a SQLite study; the lock goes with the process."""
    if _is_url(where):
        return None
    path = Path(where)
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = beside.open("w")
    except OSError as error:
        raise StudyError(
            f"The study {where} cannot be written: {error.strerror or error}. Choose another place "
            "with --study."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StudyError(
            f"The study {where} is in use by another search. Wait for it to end, or choose another "
            "file with --study."
        ) from None
    return lock


def _compare(where: str | Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    plain = json.loads(json.dumps(dict(wanted)))
    for key in [*plain, *found]:
        if found.get(key) != plain.get(key):
            raise StudyError(
                f"The study {where} was made for another search: its {key} is {found.get(key)!r}, "
                f"this search has {plain.get(key)!r}. Choose another file with --study, or repeat "
                "the search with its settings."
            )


@contextlib.contextmanager
def _explained(where: str | Path = "") -> Iterator[None]:
    """Turn database errors into one paragraph."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = str(getattr(error, "orig", None) or error.__cause__ or error).splitlines()[0]
        raise StudyError(
            f"The study {where} cannot be read or written: {cause}. If the disk is full or "
            "read-only, free some space or choose another place with --study; what was written "
            "before is kept."
        ) from None
    except KeyError:
        raise StudyError(f"{where} holds no study of Syno.") from None
    except ValueError as error:
        raise StudyError(f"The study {where} cannot be opened: {error}") from None
