"""What every test stands on: one thread, a cache of its own, repeatable properties."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two OpenMP threads on a busy two-core machine can be ten times slower than one. The variables must
# stand before anything loads OpenMP; child processes inherit them.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TRITON_INTERPRET", "1")  # kernels run on the CPU, wherever the tests do

settings.register_profile(
    "ci",
    derandomize=True,  # the same examples everywhere: a failure is never a matter of luck
    deadline=None,  # the first example of a test pays for imports and caches
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("nightly", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("SYNO_HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write golden files anew instead of comparing with them; review the difference",
    )


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data sets are looked for in an empty folder, never in the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNO_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Keep torch, where a test has loaded it, to one thread."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
