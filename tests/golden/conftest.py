"""The golden files of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from syno.testing.golden import Golden


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(Path(__file__).parent, bool(request.config.getoption("--update-golden")))
