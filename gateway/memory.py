"""Returns memory to the system after a burst: glibc keeps freed memory, in fragments, until it is trimmed."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

EVERY = 5.0
"""Seconds between checks."""
WORTHWHILE = 1.05
"""Trim only if memory has grown by this factor since the last trim, because returned memory must be requested again."""


class Memory:
    """Decides when to trim. `resident` returns the size of this process in bytes; `trim` returns free memory."""

    def __init__(self, resident: Callable[[], int], trim: Callable[[], object]) -> None:
        self._resident = resident
        self._trim = trim
        self._kept = self._before = resident()

    def check(self) -> None:
        """Trim after a burst: if memory has grown since the last trim and no longer grows. Call it regularly."""
        now = self._resident()
        over, self._before = now < WORTHWHILE * self._before, now
        if over and now > WORTHWHILE * self._kept:
            self._trim()
            now = self._resident()
            self._kept = self._before = now
        self._kept = min(self._kept, now)


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
