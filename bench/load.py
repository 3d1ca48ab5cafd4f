"""Load: a number of callers for a number of seconds. Each calls again as soon as it gets its response."""

import asyncio
import contextlib
import functools
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from bench.processes import Server

CALLS_PER_CHANNEL = 90
"""gRPC servers allow 100 concurrent calls on a connection by default."""
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)

Call = Callable[[], Awaitable[object]]
Request = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Effort:
    """The size of a run of benchmarks."""

    rounds: int
    """Measurements, each of the gateway and of its baseline in turn."""
    seconds: float
    """Duration of one load. Each round has one or two loads of the gateway and of its baseline."""
    lone_calls: int
    """Calls in `submit` of which only one is in flight at a time."""
    servers: int
    """Rounds of benchmarks that start new servers in each round."""
    streams: int
    """Open watches in `watch`."""
    changes: int
    """Changes that `watch` sends to all of these watches."""
    unread_changes: int
    """Changes that a client in `watch` does not read."""
    burst: int
    """Watches in `crowd` and `restart`."""
    submissions: int
    """Submissions of each client in `charges`."""
    patience: float
    """Timeout of a call of the clients in `charges`, in seconds."""
    settle: float
    """Seconds in which the gateway must resolve UNCERTAIN generations in `charges`; 0: it does not have to."""
    seed: int = 20_261_120
    upload: int = 1 << 30
    """Size of the file in `upload`, in bytes."""


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
    """The result of a load: calls per second, and the server's CPU time for each call in microseconds."""

    rate: float
    cpu: float


class Channels:
    """Connections to one server, enough for `calls` concurrent calls. Requests and responses are bytes.

    Callers take turns with the connections, and with the `api_keys` if there are any.
    """

    def __init__(
        self, address: str, calls: int, api_keys: Sequence[str] = (), *, calls_each: int = CALLS_PER_CHANNEL
    ) -> None:
        needed = -(-calls // calls_each)
        self._channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(needed)]
        self._metadata: list[Any] = [(("authorization", f"Bearer {key}"),) for key in api_keys] or [()]
        self.keys = range(len(self._metadata))

    def unary(self, method: str, number: int = 0) -> Any:
        """Return a unary method as the caller of this number calls it."""
        call = self._channels[number % len(self._channels)].unary_unary(method)
        return functools.partial(call, metadata=self._metadata[number % len(self._metadata)])

    def callers(self, method: str, request: Request | Sequence[Request], in_flight: int) -> list[Call]:
        """Return `in_flight` callers of a unary method, with one request, or one for each key."""
        requests = [request] if callable(request) else request
        return [_caller(self.unary(method, number), requests[number % len(requests)]) for number in range(in_flight)]

    def streams(self, method: str, request: bytes, count: int) -> list[Any]:
        """Open `count` streams, distributed over the channels."""
        methods = [channel.unary_stream(method) for channel in self._channels]
        return [methods[index % len(methods)](request) for index in range(count)]

    async def close(self) -> None:
        """Close the channels, which ends all calls."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


@contextlib.asynccontextmanager
async def channels(server: Server, calls: int, *terms: Any, **more: Any) -> AsyncIterator[Channels]:
    """Open channels for `calls` concurrent calls, and close them at the end. `Channels` has the arguments."""
    opened = Channels(server.address, calls, *terms, **more)
    try:
        yield opened
    finally:
        await opened.close()


async def drive(callers: Sequence[Call], seconds: float, server: Server) -> Load:
    """Let each caller call repeatedly for `seconds`; return the rate, and the CPU time of `server` for each call."""
    end: float | None = None

    def more() -> bool:
        nonlocal end
        now = time.perf_counter()
        end = now + seconds if end is None else end  # on a busy machine, the first call may begin late
        return now < end

    return await _load(callers, more, server)


async def count(callers: Sequence[Call], calls: int, server: Server) -> Load:
    """Let the callers make `calls` calls in total; return the rate, and the CPU time of `server` for each call."""
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
    """Make the calls in turn, one at a time; returns the median duration of each in ms."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            await call()
            taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(times) for name, times in taken.items()}


def _caller(method: Any, request: Request) -> Call:
    return lambda: method(request())
