"""Latency: original and candidate interleaved in one run, medians and a ratio with its spread."""

from __future__ import annotations

import copy
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch._dynamo import config as dynamo_config
from torch._dynamo.exc import FailOnRecompileLimitHit

from syno.ir.errors import SynoError

Mode = Literal["eager", "compile"]
_CALLS_SECONDS = 0.02


@dataclass(frozen=True)
class LatencyComparison:
    """Times of one inference in milliseconds, and how many times faster the candidate is.

    `ratio` is the median of the ratios of the rounds, `ratio_low` and `ratio_high` their quartiles.
    """

    mode: str
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
    mode: Mode = "eager",
    threads: int = 1,
    rounds: int = 15,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> LatencyComparison:
    """Time both modules on `example_input`, in turns, in this process.

    Each round times a block of calls of the original and one of the candidate, of about 20 ms each;
    what disturbs the machine disturbs both. Compiled modules are compiled and warmed up first;
    `alone` makes the context in which the rounds run, for a caller that can quieten the machine.
    Raises SynoError for less than one round, and where compiling falls back to eager calls.
    """
    if rounds < 1 or threads < 1:
        raise SynoError(f"A comparison takes 1 or more rounds ({rounds}) and threads ({threads}).")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode(), _compiling():
            first = _ready(original, example_input, mode)
            second = _ready(candidate, example_input, mode)
            with alone():
                calls = _calls(first, second)
                pairs = [_round(first, second, calls, turn) for turn in range(rounds)]
    finally:
        torch.set_num_threads(before)
    ratios = [one / two for one, two in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive") if rounds > 1 else 3 * ratios
    return LatencyComparison(
        mode,
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
    }


@contextmanager
def _compiling() -> Iterator[None]:
    """Let every comparison compile afresh.

    Networks of one class share the code of `forward`, and torch.compile keeps few versions of one
    code: after these it calls the plain module without a word, so that eager times would pass for
    compiled ones. Here that is an error.
    """
    torch.compiler.reset()
    with dynamo_config.patch(fail_on_recompile_limit_hit=True):
        try:
            yield
        except FailOnRecompileLimitHit as error:
            raise SynoError(
                f"torch.compile gave up on this network and would run it uncompiled: {error}. Time "
                "it with the mode eager."
            ) from None


def _ready(module: nn.Module, example_input: Tensor, mode: Mode) -> Callable[[], Any]:
    """Return a call of `module` in evaluation mode, warmed up."""
    module = copy.deepcopy(module).eval()
    run: Any = torch.compile(module, dynamic=False) if mode == "compile" else module

    def call() -> Any:
        return run(example_input)

    for _ in range(5):
        call()
    return call


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
        call()
    return (time.perf_counter() - start) / calls


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    lines = [line for line in text.splitlines() if line.startswith("model name")]
    return lines[0].partition(":")[2].strip() if lines else platform.processor()
