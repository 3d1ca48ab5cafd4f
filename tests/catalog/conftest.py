"""A gateway whose clock a test can set forward, and a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.generations.clock import SystemClock, since_boot
from gateway.sandbox.server import SandboxOptions
from tests.support.running import DEFAULT_OPTIONS, Running


class ClockOffset:
    """Makes clocks for gateways that are `seconds` ahead of the system clock."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock_from(self, not_before: float) -> SystemClock:
        import time

        return SystemClock(
            not_before, wall=lambda: time.time() + self.seconds, monotonic=lambda: since_boot() + self.seconds
        )


@pytest.fixture
def clock_offset() -> ClockOffset:
    return ClockOffset()


@pytest.fixture
async def running(tmp_path: Path, clock_offset: ClockOffset) -> AsyncIterator[Running]:
    started = Running(tmp_path, SandboxOptions(**DEFAULT_OPTIONS), {}, clock_from=clock_offset.clock_from)
    try:
        await started.start()
        yield started
    finally:
        await started.stop()
