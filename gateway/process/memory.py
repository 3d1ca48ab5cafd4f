"""Returns memory to the system after a burst: glibc keeps freed memory, in fragments, until it is trimmed."""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path

CHECK_INTERVAL = 5.0
"""Seconds between checks."""
WORTHWHILE_SHARE = 0.05
"""Trim for this share of the resident memory, because returned memory must be requested again."""


class Memory:
    """Decides when to trim.

    `resident` returns the size of this process and `free` the freed memory that the allocator manages, both in bytes.
    `trim` returns freed memory to the system; the allocator still counts it as free.
    """

    def __init__(self, resident: Callable[[], int], free: Callable[[], int], trim: Callable[[], object]) -> None:
        self._resident = resident
        self._free = free
        self._trim = trim
        self._trimmed = self._before = free()

    def check(self) -> None:
        """Trim if enough was freed since the last trim, and no more is being freed. Call it regularly."""
        before, self._before = self._before, self._free()
        self._trimmed = min(self._trimmed, self._before)
        enough = WORTHWHILE_SHARE * self._resident()
        if self._before - self._trimmed > enough and self._before - before <= enough:
            self._trim()
            self._trimmed = self._before = self._free()


def of_this_process() -> Memory | None:
    """Return the memory of this process; None if the C library is not glibc 2.33 or newer."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        return None
    library.mallinfo2.restype = _AllocatorInfo
    return Memory(resident, lambda: int(library.mallinfo2().free), lambda: library.malloc_trim(0))


async def trim_after_bursts() -> None:
    """Return memory after bursts until canceled, if the C library can."""
    memory = of_this_process()
    while memory is not None:
        await asyncio.sleep(CHECK_INTERVAL)
        with contextlib.suppress(OSError):  # callers may have used all descriptors, and reading the size needs one
            await asyncio.to_thread(memory.check)


def resident() -> int:
    """Return the size of this process in memory, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class _AllocatorInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`: ten numbers, of which the ninth is the number of bytes in free blocks."""

    _fields_ = [(name, ctypes.c_size_t) for name in (*(f"unused_{number}" for number in range(8)), "free", "unused_9")]
