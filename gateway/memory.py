"""Returns memory to the system after a burst: glibc keeps freed memory, in fragments, until it is trimmed."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

EVERY = 5.0
"""Seconds between checks."""
CHANGE = 1.05
"""The factor by which memory must have changed since the last trim, because returned memory must be requested again."""


class Memory:
    """Decides when to trim. `resident` returns the size of this process in bytes; `trim` returns free memory."""

    def __init__(self, resident: Callable[[], int], trim: Callable[[], object]) -> None:
        self._resident = resident
        self._trim = trim
        self._trimmed = self._before = resident()

    def check(self) -> None:
        """Trim if memory has changed since the last trim and is steady now. Call it regularly.

        A burst of connections is trimmed twice: once while they are open, and once when they have closed.
        """
        before, self._before = self._before, self._resident()
        if _differ(before, self._before) or not _differ(self._trimmed, self._before):
            return
        self._trim()
        self._trimmed = self._before = self._resident()


def _differ(one: int, other: int) -> bool:
    return max(one, other) > CHANGE * min(one, other)


async def trim_after_bursts() -> None:
    """Return memory after bursts until canceled. Does nothing if the C library has no `malloc_trim`."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return
    memory = Memory(_resident, lambda: trim(0))
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(memory.check)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
