"""Freed memory is returned to the system once, after a burst."""

from __future__ import annotations

import asyncio
import ctypes
import resource

import pytest

from gateway.process import memory
from gateway.process.memory import Memory

BLOCK = 64 * 1024
"""Bytes: smaller than the blocks that glibc maps one by one, and returns when they are freed."""


class Process:
    """A process of 100 bytes, of which `free` are freed. `trims` has the freed memory at each trim."""

    def __init__(self) -> None:
        self.free = 10
        self.resident = 100
        self.trims: list[int] = []
        self.memory = Memory(lambda: self.resident, lambda: self.free, lambda: self.trims.append(self.free))

    def check(self, *free: int) -> list[int]:
        """Check once for each value of freed memory; return all trims so far."""
        for self.free in free:
            self.memory.check()
        return self.trims


def test_freed_memory_is_trimmed_once_when_no_more_is_freed() -> None:
    process = Process()
    assert process.check(14) == [], "too little to matter"
    assert process.check(30, 60) == [], "more is being freed"
    assert process.check(61, 60, 61) == [61]


def test_memory_in_use_is_not_trimmed() -> None:
    process = Process()
    process.resident = 1000
    assert process.check(*[10] * 10) == []


def test_memory_is_trimmed_after_every_burst() -> None:
    process = Process()
    assert process.check(60, 60) == [60]
    assert process.check(20, 20) == [60], "the next burst uses what was freed"
    assert process.check(60, 60) == [60, 60]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc 2.33 or newer")
def test_freed_memory_is_returned_to_the_system() -> None:
    process = memory.of_this_process()
    assert process is not None
    library = ctypes.CDLL(None)
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [library.malloc(BLOCK) for _ in range(1000)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    process.check()  # what earlier tests freed may be in use again
    used = memory.resident()
    for block in blocks[:-1]:  # the last one keeps the others from being returned at once
        library.free(block)
    process.check()
    process.check()
    assert memory.resident() < used - 900 * BLOCK
    library.free(blocks[-1])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library is not glibc 2.33 or newer")
async def test_checks_continue_while_no_file_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, checks, original = asyncio.get_running_loop(), asyncio.Semaphore(0), memory.resident

    def resident() -> int:
        loop.call_soon_threadsafe(checks.release)
        return original()

    monkeypatch.setattr(memory, "resident", resident)
    monkeypatch.setattr(memory, "CHECK_INTERVAL", 0.0)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    trimming = asyncio.create_task(memory.trim_after_bursts())
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        for _ in range(3):
            waiting = asyncio.ensure_future(checks.acquire())
            await asyncio.wait((waiting, trimming), timeout=10.0, return_when=asyncio.FIRST_COMPLETED)
            assert waiting.done(), "the checks have ended"
        with pytest.raises(OSError, match="Too many open files"):
            original()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        trimming.cancel()
        await asyncio.gather(trimming, return_exceptions=True)
