"""Reaching a study's database, and saying in one paragraph what is wrong with it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from syno.ir.errors import StudyError

STUDY_NAME = "syno"
_LOCK_SECONDS = 60
_FIRST_TABLES = {"alembic_version", "version_info"}  # may stand alone where a search was killed


def connect(where: str | Path, *, create: bool) -> optuna.Study:
    """Return Optuna's study at `where`, a file path or a database URL.

    With `create`, it is made where there is none. Raises StudyError where the database is none, is
    no study's, or cannot be reached; nothing is written into a file of another program.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = file_of(where)
    if path is not None and not _is_study(path) and not create:
        raise _no_study(where)
    with explained(where), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        url = str(where) if path is None else f"sqlite:///{path.resolve()}"
        options: dict[str, Any] = {} if path is None else {"timeout": _LOCK_SECONDS}
        storage = RDBStorage(url, engine_kwargs={"connect_args": options})
        try:
            return optuna.load_study(storage=storage, study_name=STUDY_NAME)
        except KeyError:
            if not create or (path is not None and optuna.get_all_study_names(storage)):
                raise _no_study(where) from None
        return optuna.create_study(
            storage=storage, study_name=STUDY_NAME, directions=["maximize", "maximize"]
        )


def file_of(where: str | Path) -> Path | None:
    """Return the file of a study, None where a server keeps it."""
    text = str(where)
    if "://" not in text:
        return Path(where)
    return Path(text.removeprefix("sqlite:///")) if text.startswith("sqlite:///") else None


def shown(where: str | Path) -> str:
    """Return `where` as it may be printed: without the password of a URL."""
    if file_of(where) is not None:
        return str(where)
    try:
        return make_url(str(where)).render_as_string(hide_password=True)
    except ArgumentError:
        return str(where)


@contextlib.contextmanager
def explained(where: str | Path) -> Iterator[None]:
    """Turn what a database may raise into one paragraph."""
    try:
        yield
    except ImportError as error:
        raise StudyError(
            f"The study {shown(where)} needs a database driver that is not installed: "
            f"{_first_line(error)} Install it beside Syno, or choose a file with --study."
        ) from None
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        raise StudyError(
            f"The study {shown(where)} cannot be read or written: {_first_line(cause)}. If the "
            "disk is full or read-only, free some space or choose another place with --study; what "
            "was written before is kept."
        ) from None
    except RuntimeError as error:
        if "optuna" not in str(error):
            raise
        raise StudyError(
            f"The study {shown(where)} was written by another version of Optuna: "
            f"{_first_line(error)}"
        ) from None


def _first_line(error: BaseException) -> str:
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__


def _no_study(where: str | Path) -> StudyError:
    return StudyError(f"{shown(where)} holds no study of Syno's: choose another file.")


def _is_study(path: Path) -> bool:
    """Tell whether a file holds our study, without Optuna: its storage makes what it misses.

    A reader would make tables in the file of a search that is just making them. Raises StudyError
    for what is no database, or that of another program.
    """
    if not path.exists() or (path.is_file() and path.stat().st_size == 0):
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in rows}
            if "studies" in tables:
                ours = "SELECT count(*) FROM studies WHERE study_name = ?"
                return bool(database.execute(ours, (STUDY_NAME,)).fetchone()[0])
    except sqlite3.Error as error:
        raise StudyError(
            f"{path} cannot be read as a study: {error}. Choose another file with --study."
        ) from None
    if tables - _FIRST_TABLES:
        raise StudyError(
            f"{path} is the database of another program: choose another file with --study."
        )
    return False
