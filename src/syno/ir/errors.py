"""Errors raised on purpose: one clear paragraph that says what, where and what to do."""

from __future__ import annotations

_SHOWN = 120  # characters of a long line, on either side of a position


class SynoError(Exception):
    """Base of all deliberate errors; the command line prints its message without a traceback."""


class ParseError(SynoError):
    """A formula or a size that cannot be read; carries the text and the offending position."""

    def __init__(self, message: str, text: str = "", position: int | None = None) -> None:
        self.text = text
        self.position = position
        super().__init__(message if position is None else f"{message}\n{_caret(text, position)}")


class SizeError(SynoError):
    """A size that is not a positive integer, or two sizes that should be equal and are not."""


class OperatorError(SynoError):
    """An operator that the primitives cannot build, or that breaks a validity rule."""


class SpecError(SynoError):
    """A specification that contradicts itself or that nothing can satisfy."""


class DataError(SynoError):
    """A data set that is missing, truncated or corrupt."""


class ModelError(SynoError):
    """A model that is unknown or offers no site for an operator."""


class StudyError(SynoError):
    """A study that cannot be opened, written, or that belongs to another question."""


class FileError(SynoError):
    """A file that cannot be written: read-only folder, full disk."""


def _caret(text: str, position: int) -> str:
    """Return the line of `text` that holds `position`, or a part of it, with a caret under it."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    start = max(start, position - _SHOWN)
    end = min(len(text) if end < 0 else end, position + _SHOWN)
    line = "".join(each if each.isprintable() else " " for each in text[start:end])
    return f"  {line}\n  {' ' * (position - start)}^"
