"""A gateway that requires API keys, and a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.running import Running, run


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with run(tmp_path, AUTH="keys") as started:
        yield started
