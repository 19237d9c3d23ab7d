"""Latency: original and candidate interleaved in one run, medians and a ratio with its spread."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor, nn

from syno.ir.errors import OperatorError, SynoError
from syno.lower.backends import BACKENDS, Backend, backend_named
from syno.lower.machine import Target
from syno.nn.inference import for_inference
from syno.nn.modes import evaluating, finish

_CALLS_SECONDS = 0.02
_TOLERANCE = 0.01  # of the largest result: wider than float32 rounding, narrower than a wrong sum


@dataclass(frozen=True)
class LatencyComparison:
    """Times of one inference in milliseconds, and how many times faster the candidate is.

    `ratio` is the median of the ratios of the rounds, `ratio_low` and `ratio_high` their quartiles.
    """

    backend: str
    original_ms: float
    candidate_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float
    rounds: int
    threads: int
    batch: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def compare(
    original: nn.Module,
    candidate: nn.Module,
    example_input: Tensor,
    *,
    backend: str = "torch",
    threads: int = 1,
    rounds: int = 15,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> LatencyComparison:
    """Time both modules on `example_input`, in turns, in this process.

    Both are made fast by `backend` first (a compiler of `syno.lower.backends`; `torch` is eager),
    and warmed up. Each round times a block of calls of the original and one of the candidate, of
    about 20 ms each; what disturbs the machine disturbs both. `alone` makes the context in which
    the rounds run, for a caller that can quieten the machine.

    Raises SynoError for less than one round, and where what was compiled computes something else
    than the module; OperatorError for a backend that is unknown, compiles no networks or is not
    installed.
    """
    if rounds < 1 or threads < 1:
        raise SynoError(f"A comparison takes 1 or more rounds ({rounds}) and threads ({threads}).")
    row = compiler_named(backend)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with evaluating(original, candidate):
            first = _ready(original, example_input, row)
            second = _ready(candidate, example_input, row)
            with alone(), torch.inference_mode():
                calls = _calls(first, second)
                pairs = [_round(first, second, calls, turn) for turn in range(rounds)]
    finally:
        torch.set_num_threads(before)
    ratios = [one / two for one, two in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive") if rounds > 1 else 3 * ratios
    return LatencyComparison(
        backend,
        1e3 * median(one for one, _ in pairs),
        1e3 * median(two for _, two in pairs),
        median(ratios),
        low,
        high,
        rounds,
        threads,
        len(example_input),
    )


def machine() -> dict[str, Any]:
    """Return what a figure has to be read beside: processor, cores, versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of what is installed under packages, named as they are imported."""
    known = metadata.packages_distributions()
    names = {name for each in packages for name in known.get(each.partition(".")[0], ())}
    return {name: metadata.version(name) for name in sorted(names)}


def compiler_named(name: str) -> Backend:
    """Return the backend `name`; OperatorError for one that does not compile, or cannot here."""
    row = backend_named(name)
    if not row.compiles:
        known = ", ".join(each.name for each in BACKENDS.values() if each.compiles)
        raise OperatorError(
            f"The backend {name} writes the source of operators and compiles no networks; those "
            f"that do: {known}."
        )
    row.load()
    return row


def _ready(module: nn.Module, example_input: Tensor, row: Backend) -> Callable[[], Any]:
    """Return a call of `module`, compiled, warmed up and checked."""
    target = Target(compiled=row.name != "torch", threads=torch.get_num_threads())
    run = row.load().compile_module(for_inference(module, target), [example_input])

    def call() -> Any:
        return run(example_input)

    with torch.inference_mode():
        for _ in range(5):
            found = call()
        _same(found, module(example_input), row.name)
    return call


def _same(found: Tensor, wanted: Tensor, backend: str) -> None:
    """Check what a backend made against the module itself."""
    apart = float((found - wanted).abs().max()) if found.shape == wanted.shape else float("inf")
    largest = float(wanted.abs().max())
    if not apart <= _TOLERANCE * largest:
        raise SynoError(
            f"What the backend {backend} made of the network computes something else: results are "
            f"{apart:.3g} apart where the largest is {largest:.3g}."
        )


def _calls(first: Callable[[], Any], second: Callable[[], Any]) -> tuple[int, int]:
    """Return how many calls of each make a block of about 20 ms."""
    found = [max(3, round(_CALLS_SECONDS / max(_block(call, 3), 1e-7))) for call in (first, second)]
    return found[0], found[1]


def _round(
    first: Callable[[], Any], second: Callable[[], Any], calls: tuple[int, int], turn: int
) -> tuple[float, float]:
    """Return seconds for each call; which one goes first alternates."""
    if turn % 2:
        two = _block(second, calls[1])
        return _block(first, calls[0]), two
    one = _block(first, calls[0])
    return one, _block(second, calls[1])


def _block(call: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        found = call()
    finish(found)
    return (time.perf_counter() - start) / calls


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    lines = [line for line in text.splitlines() if line.startswith("model name")]
    return lines[0].partition(":")[2].strip() if lines else platform.processor()
