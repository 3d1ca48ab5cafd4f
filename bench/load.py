"""The load: so many callers in flight for so long, each calling again as soon as it is answered."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from bench.processes import Server

CALLS_PER_CHANNEL = 90
"""A connection of gRPC carries 100 calls at once where nobody asks for more."""
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything. `seconds` is the length of one load, of which every round has one or two a side."""

    rounds: int
    seconds: float
    lone_calls: int
    servers: int
    streams: int
    changes: int
    unread_changes: int
    burst: int
    submissions: int
    """Of each client of the benchmark of charges."""
    patience: float
    """Seconds that these clients wait for an answer."""
    settle: float
    """Seconds, at most, in which the gateway may clear up what is UNCERTAIN; 0 demands nothing of that."""
    seed: int = 20_261_120
    upload: int = 1 << 30
    """Bytes of the file that is uploaded."""


FULL = Effort(
    rounds=5, seconds=2.0, lone_calls=500, servers=3, streams=1000, changes=30, unread_changes=120, burst=10_000,
    submissions=10_000, patience=5.0, settle=450.0,
)  # fmt: skip
QUICK = Effort(
    rounds=1, seconds=0.1, lone_calls=10, servers=1, streams=50, changes=3, unread_changes=3, burst=200,
    submissions=60, patience=1.5, settle=0.0, upload=32 << 20,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load: calls per second, and microseconds of the server's processor time for each."""

    rate: float
    cpu: float


class Channels:
    """Connections to one server, enough for so many calls at once. Requests and answers are bytes."""

    def __init__(self, address: str, calls: int) -> None:
        needed = -(-calls // CALLS_PER_CHANNEL)
        self._channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(needed)]

    def unary(self, method: str) -> Any:
        """The method, on one of the channels."""
        return self._channels[0].unary_unary(method)

    def callers(self, method: str, request: Callable[[], bytes], in_flight: int) -> list[Call]:
        """So many callers of a unary method, spread over the channels."""
        methods = [channel.unary_unary(method) for channel in self._channels]
        return [_caller(methods[index % len(methods)], request) for index in range(in_flight)]

    def streams(self, method: str, request: bytes, count: int) -> list[Any]:
        """So many streams, opened, spread over the channels."""
        methods = [channel.unary_stream(method) for channel in self._channels]
        return [methods[index % len(methods)](request) for index in range(count)]

    async def close(self) -> None:
        """End all calls."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


@contextlib.asynccontextmanager
async def channels(server: Server, calls: int) -> AsyncIterator[Channels]:
    """Channels for as long as they are needed."""
    opened = Channels(server.address, calls)
    try:
        yield opened
    finally:
        await opened.close()


async def drive(callers: Sequence[Call], seconds: float, server: Server) -> Load:
    """Let every caller call again and again until the time is over; `server` is whose processor time counts."""
    end = time.perf_counter() + seconds
    return await _load(callers, lambda: time.perf_counter() < end, server)


async def count(callers: Sequence[Call], calls: int, server: Server) -> Load:
    """Let them call so often, all together."""
    left = iter(range(calls))
    return await _load(callers, lambda: next(left, None) is not None, server)


async def _load(callers: Sequence[Call], more: Callable[[], bool], server: Server) -> Load:
    calls = 0
    start = time.perf_counter()

    async def keep_calling(call: Call) -> None:
        nonlocal calls
        while more():
            await call()
            calls += 1

    cpu = server.cpu()
    await asyncio.gather(*(keep_calling(call) for call in callers))
    used = server.cpu() - cpu
    return Load(calls / (time.perf_counter() - start), 1e6 * used / calls)


async def alternating(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """The median time of each call alone, in ms, made in turn."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            await call()
            taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(times) for name, times in taken.items()}


def _caller(method: Any, request: Callable[[], bytes]) -> Call:
    return lambda: method(request())
