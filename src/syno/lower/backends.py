"""The registry of backends, and `lower`: from an operator to source and a function."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.lower.stages import Plan, plan

# Modules by name, imported when first asked for: torch is heavy and may be absent.
BACKENDS: dict[str, str] = {"torch": "syno.lower.torch", "numpy": "syno.lower.numpy"}


@dataclass(frozen=True)
class Lowered:
    """An operator as a program: `source` for people, `function(x, *weights)` to run."""

    plan: Plan
    backend: str
    source: str
    function: Callable[..., Any]


def lower(op: Operator, sizes: Mapping[str, int], backend: str = "torch") -> Lowered:
    """Return `op` under `sizes` as a program of `backend`.

    The function takes x of shape `op.input_shape(sizes)` and the weights w1, w2, ... in order; a leading
    dimension that passes untouched from x to y may have any length. Raises SizeError where a size
    is not a whole number, OperatorError for an unknown backend.
    """
    made = plan(op, sizes)
    text = source_of(made, backend)
    return Lowered(made, backend, text, _load(text, backend))


def source_of(plan: Plan, backend: str) -> str:
    """Return the source of `plan` in `backend`."""
    if backend not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise OperatorError(f"There is no backend {backend!r}; choose one of: {known}.")
    write: Callable[[Plan], str] = import_module(BACKENDS[backend]).source
    return write(plan)


def _load(source: str, backend: str) -> Callable[..., Any]:
    """Run source of our own making and return its `forward`; tracebacks show its lines."""
    name = f"<syno {backend} {abs(hash(source)):x}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"__name__": "syno.lower.generated"}
    exec(compile(source, name, "exec"), scope)
    forward: Callable[..., Any] = scope["forward"]
    return forward
