"""Watch: the cost of a stream, the time until a change reaches all streams, the cost of one that is never read."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import httpx

from bench import processes
from bench.calls import BARE_WATCH, CANCEL, KEEP, PROMPT, PUBLISH, SUBMIT, WATCH, model_submission, with_key
from bench.figures import Figure, at_least, at_most, ratio, value
from bench.load import Effort, channels
from bench.processes import Server
from hfgateway.v1 import generation_service_pb2 as pb

WARMING = 90
"""Streams that are opened before memory is measured, because the first ones allocate what all share."""
NEVER_READ = 20
LONG_PROMPT = "a lighthouse " * 8_000
READ_TIMEOUT = 60.0

Change = Callable[[], Awaitable[None]]


async def run(effort: Effort) -> list[Figure]:
    """Measure everything on new servers in each round, because freed memory would be reused."""
    ours, bare = [], []
    for _ in range(effort.servers):
        fan, message = await _gateway_fan(effort)
        ours.append(fan)
        bare.append(await _bare_fan(effort, message))
    kept = await _share_kept_unread(effort)
    kilobytes = [fan.memory / 1024 for fan in ours]
    watches = f"{effort.streams:,} watches"
    return [
        value(f"{watches}, memory", "KB/stream", statistics.median(kilobytes), at_most(25.0)),
        ratio(f"{watches}, memory", "KB/stream", kilobytes, [fan.memory / 1024 for fan in bare], at_most(1.15)),
        ratio(
            f"{watches}, one change to all", "messages/s", [rate for fan in ours for rate in fan.rates],
            [rate for fan in bare for rate in fan.rates], at_least(0.85),
        ),
        ratio(
            f"{watches}, one change to all", "server CPU us/message", [cpu for fan in ours for cpu in fan.cpu],
            [cpu for fan in bare for cpu in fan.cpu],
        ),
        value("a stalled watch, memory growth", "% of what it missed", 100 * kept, at_most(1.0)),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fan:
    """The cost of a server's streams: memory of each in bytes; for each change messages/s and CPU us/message."""

    memory: float
    rates: list[float]
    cpu: list[float]


@dataclass(frozen=True, slots=True)
class Watched:
    """A gateway with one generation: the request of a watch, its first message, and a function that changes it."""

    gateway: Server
    request: bytes
    message: bytes
    change: Change


class Readers:
    """Streams that are read without delay."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._missing = 0
        self._all_read = asyncio.Event()
        self._first = self._last = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    async def add(self, streams: Sequence[Any]) -> None:
        """Add streams; returns when each has received its first message."""
        self._expect(len(streams))
        self._tasks += [asyncio.create_task(self._read(stream)) for stream in streams]
        await self._wait()

    async def change_and_measure(self, change: Change) -> float:
        """Make a change; returns the seconds from its arrival on the first stream to that on the last one."""
        self._expect(len(self._tasks))
        await change()
        await self._wait()
        return self._last - self._first

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _expect(self, messages: int) -> None:
        self._missing = messages
        self._all_read.clear()
        self._first = 0.0

    async def _wait(self) -> None:
        async with asyncio.timeout(READ_TIMEOUT):
            await self._all_read.wait()

    async def _read(self, stream: Any) -> None:
        while await stream.read() is not grpc.aio.EOF:
            self._last = time.perf_counter()
            self._first = self._first or self._last
            self._missing -= 1
            if not self._missing:
                self._all_read.set()


@contextlib.asynccontextmanager
async def _watched(prompt: str = PROMPT, *, include_input: bool = False) -> AsyncIterator[Watched]:
    async with (
        processes.steady_upstream() as higgsfield,
        processes.gateway(higgsfield) as gateway,
        channels(gateway, 1) as one,
        httpx.AsyncClient() as client,
    ):
        answer = await one.unary(SUBMIT)(with_key(model_submission(prompt)))
        generation = pb.SubmitGenerationResponse.FromString(answer).generation
        cancel = pb.CancelGenerationRequest(id=generation.id).SerializeToString()

        async def change() -> None:
            # From now on the upstream returns a new status for each status call. It cancels nothing.
            await client.put(f"http://{higgsfield.address}/steady/0")
            with contextlib.suppress(grpc.aio.AioRpcError):
                await one.unary(CANCEL)(cancel)

        request = pb.WatchGenerationRequest(
            id=generation.id, after_revision=generation.revision - 1, include_input=include_input
        ).SerializeToString()
        (stream,) = one.streams(WATCH, request, 1)
        message = await stream.read()
        stream.cancel()
        yield Watched(gateway, request, message, change)


async def _gateway_fan(effort: Effort) -> tuple[Fan, bytes]:
    async with _watched() as watched:
        return await _fan(watched.gateway, WATCH, watched.request, watched.change, effort), watched.message


async def _bare_fan(effort: Effort, message: bytes) -> Fan:
    async with processes.running(processes.BASELINE) as bare, channels(bare, 1) as one:
        await one.unary(KEEP)(message)

        async def change() -> None:
            await one.unary(PUBLISH)(b"")

        return await _fan(bare, BARE_WATCH, b"", change, effort)


async def _fan(server: Server, method: str, request: bytes, change: Change, effort: Effort) -> Fan:
    readers = Readers()
    rates, costs = [], []
    async with channels(server, WARMING) as warming, channels(server, effort.streams) as many:
        await readers.add(warming.streams(method, request, WARMING))
        before = server.memory()
        await readers.add(many.streams(method, request, effort.streams))
        memory = (server.memory() - before) / effort.streams
        for _ in range(effort.changes):
            cpu = server.cpu()
            rates.append(len(readers) / await readers.change_and_measure(change))
            costs.append(1e6 * (server.cpu() - cpu) / len(readers))
        await readers.close()
    return Fan(memory, rates, costs)


async def _share_kept_unread(effort: Effort) -> float:
    """Return the growth of memory by changes that clients do not read, as a share of the bytes of these changes."""
    async with (
        _watched(LONG_PROMPT, include_input=True) as watched,
        channels(watched.gateway, NEVER_READ) as silent,
    ):
        streams = silent.streams(WATCH, watched.request, NEVER_READ)
        await asyncio.gather(*(stream.read() for stream in streams))
        for _ in range(effort.unread_changes):
            await watched.change()
        before = watched.gateway.memory()
        for _ in range(effort.unread_changes):
            await watched.change()
        grown = watched.gateway.memory() - before
        await watched.gateway.kill()
    return grown / (effort.unread_changes * NEVER_READ * len(watched.message))
