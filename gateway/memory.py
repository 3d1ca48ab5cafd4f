"""Returns memory to the system after a burst: glibc keeps freed memory, in fragments, until it is trimmed."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

EVERY = 5.0
"""Seconds between two looks."""
WORTHWHILE = 1.05
"""Trim if there is so much more than after the last time: returned memory has to be requested again."""


class Memory:
    """Call `look` from time to time. `resident` is the size of this process in bytes; `trim` returns free memory."""

    def __init__(self, resident: Callable[[], int], trim: Callable[[], object]) -> None:
        self._resident = resident
        self._trim = trim
        self._kept = self._before = resident()

    def look(self) -> None:
        """Give back what is free, if there is more than the last time, and the burst that brought it is over."""
        now = self._resident()
        over, self._before = now < WORTHWHILE * self._before, now
        if over and now > WORTHWHILE * self._kept:
            self._trim()
            now = self._resident()
            self._kept = self._before = now
        self._kept = min(self._kept, now)


async def give_back() -> None:
    """Do so until canceled; nothing where the C library has no such function."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return
    memory = Memory(_resident, lambda: trim(0))
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(memory.look)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
