"""What became of a candidate: one of four kinds, never a sentinel number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

FailureKind = Literal["error", "out_of_memory", "not_a_number", "diverged", "crashed"]


@dataclass(frozen=True)
class Scored:
    """A measured candidate: validation accuracy in [0, 1] and original time over its own time."""

    accuracy: float
    ratio: float
    flops: int
    parameters: int
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """A candidate that could not be measured, and why."""

    kind: FailureKind
    message: str


@dataclass(frozen=True)
class TimedOut:
    """A candidate stopped at its time limit, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Pruned:
    """A candidate given up before it was trained, or before its training was whole, and why.

    Where a cheaper judgement gave it up, `accuracy` is what it would about have reached, and
    `ratio` how fast it is.
    """

    reason: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    accuracy: float | None = None
    ratio: float | None = None


Outcome = Scored | Failed | TimedOut | Pruned
_KINDS = {"scored": Scored, "failed": Failed, "timed_out": TimedOut, "pruned": Pruned}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def kind_of(outcome: Outcome) -> str:
    """Return scored, failed, timed_out or pruned."""
    return _NAMES[type(outcome)]


def to_dict(outcome: Outcome) -> dict[str, Any]:
    """Return plain data that `from_dict` reads back."""
    return {"outcome": kind_of(outcome), **asdict(outcome)}


def from_dict(data: Mapping[str, Any]) -> Outcome:
    """Return the outcome that `to_dict` wrote; ValueError where it is none."""
    rest = dict(data)
    kind = _KINDS.get(rest.pop("outcome", None))
    if kind is None:
        raise ValueError(f"not an outcome: {data!r}")
    try:
        made: Outcome = kind(**rest)
    except TypeError as problem:
        raise ValueError(f"not an outcome: {data!r}") from problem
    return made


def finite(outcome: Outcome) -> Outcome:
    """Return `outcome`; a failure of its own kind where a score is not a finite number."""
    if isinstance(outcome, Scored):
        for name in ("accuracy", "ratio"):
            if not isfinite(getattr(outcome, name)):
                return Failed("not_a_number", f"{name} is {getattr(outcome, name)}")
    return outcome
