"""Gives memory back to the system when a burst is over: glibc keeps what was freed, and it lies in pieces."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

EVERY = 5.0
"""Seconds between two looks."""
WORTHWHILE = 1.05
"""How much more than after the last time is worth it: what is given back has to be asked for again."""


class Memory:
    """`look` now and then. `resident` tells the bytes that this process holds, `trim` gives back what is free."""

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
