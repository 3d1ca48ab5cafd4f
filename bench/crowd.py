"""Crowd: many watches are opened at once, compared with a bare server, and their effect on another tenant.

One tenant opens more watches than its limit. At the same time another tenant watches and submits repeatedly; the
longest of its calls counts.
"""

import asyncio
import contextlib
import json
import math
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from bench import processes
from bench.calls import BARE_WATCH, KEEP, SUBMIT, WATCH, model_submission, with_key
from bench.figures import Figure, at_most, ratio, value
from bench.load import Effort, channels
from bench.processes import Server
from hfgateway.v1 import generation_service_pb2 as pb

CONNECTIONS = (1, 10, 100)
MORE = 1.2
"""One tenant opens this multiple of the watches of the first part, which exceeds its limit."""
CHECK_INTERVAL = 0.2


@dataclass(frozen=True, slots=True)
class Crowd:
    """The result of many watches: seconds until all had a message, the number without one, KB of memory for each."""

    seconds: float
    lost: int
    memory: float


async def run(effort: Effort) -> list[Figure]:
    """Measure gateway and bare server in turn, with new processes in each round."""
    ours: dict[int, list[Crowd]] = {connections: [] for connections in CONNECTIONS}
    bare: dict[int, list[Crowd]] = {connections: [] for connections in CONNECTIONS}
    others = []
    for _ in range(effort.servers):
        for connections in CONNECTIONS:
            bare[connections].append(await _bare(connections, effort.burst))
            ours[connections].append(await _ours(connections, effort.burst))
        others.append(await _longest_during_crowd(round(MORE * effort.burst)))
    figures = []
    for connections in CONNECTIONS:
        name = f"{effort.burst:,} watches at once over {connections} connections"
        crowds, floor = ours[connections], bare[connections]
        lost = max(crowd.lost for crowd in crowds)
        taken, floor_taken = [crowd.seconds for crowd in crowds], [crowd.seconds for crowd in floor]
        memory, floor_memory = [crowd.memory for crowd in crowds], [crowd.memory for crowd in floor]
        figures += [
            value(f"{name}: lost", "streams", lost, at_most(0)),
            ratio(f"{name}: time until all are served", "s", taken, floor_taken, at_most(1.5)),
            ratio(f"{name}: memory", "KB/stream", memory, floor_memory, at_most(1.2)),
        ]
    name = f"while a tenant opens {round(MORE * effort.burst):,}: another's"
    watches, submissions = zip(*others, strict=True)
    return [
        *figures,
        value(f"{name} slowest first watch", "s", max(watches), at_most(1.0)),
        value(f"{name} slowest submission", "s", max(submissions), at_most(1.0)),
    ]


async def _open(server: Server, connections: int, method: str, request: bytes, count: int) -> Crowd:
    async with processes.running(("bench.watchers", server.address, str(connections))) as watchers:
        before = server.memory()
        result = await _opened(watchers, method, request, count)
        return Crowd(result["seconds"], count - result["opened"], (server.memory() - before) / 1024 / count)


async def _opened(watchers: Server, method: str, request: bytes, count: int) -> dict[str, Any]:
    plan = json.dumps({"method": method, "request": request.hex(), "count": count})
    answer: dict[str, Any] = json.loads(await watchers.ask(plan))
    return answer


async def _bare(connections: int, count: int) -> Crowd:
    async with processes.running(processes.BASELINE) as bare, channels(bare, 1) as one:
        await one.unary(KEEP)(b"x" * 150)
        return await _open(bare, connections, BARE_WATCH, b"", count)


async def _ours(connections: int, count: int) -> Crowd:
    async with _gateway() as gateway, channels(gateway, 1) as one:
        return await _open(gateway, connections, WATCH, await _watchable(one.unary(SUBMIT)), count)


async def _longest_during_crowd(count: int) -> tuple[float, float]:
    """Return the longest watch and the longest submission of another tenant, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        crowded, other = [f"Bearer {await processes.create_key(Path(folder), tenant)}" for tenant in ("crowd", "other")]
        async with (
            _gateway(Path(folder), HFGATEWAY_AUTH="keys", **processes.UNLIMITED) as gateway,
            processes.running(("bench.watchers", gateway.address, "10", crowded)) as watchers,
            grpc.aio.insecure_channel(gateway.address) as channel,
        ):
            submit = _Signed(channel.unary_unary(SUBMIT), other)
            watched = await _watchable(submit)
            request = await _watchable(_Signed(channel.unary_unary(SUBMIT), crowded))
            crowd = asyncio.create_task(_opened(watchers, WATCH, request, count))
            watch = _Signed(channel.unary_stream(WATCH), other)
            longest = await asyncio.gather(
                _longest_call(crowd, lambda: watch(watched).read()),
                _longest_call(crowd, lambda: submit(with_key(model_submission()))),
            )
            await crowd
            return longest[0], longest[1]


async def _longest_call(crowd: "asyncio.Task[Any]", call: Any) -> float:
    """Call repeatedly until all watches are open; returns the longest duration in seconds, infinity if a call fails."""
    longest = 0.0

    async def one() -> None:
        nonlocal longest
        start = time.perf_counter()
        try:
            answer = await call()
            longest = max(longest, math.inf if answer is grpc.aio.EOF else time.perf_counter() - start)
        except grpc.aio.AioRpcError:
            longest = math.inf

    calls: list[asyncio.Task[None]] = []
    while not crowd.done():
        calls.append(asyncio.create_task(one()))
        await asyncio.sleep(CHECK_INTERVAL)
    await asyncio.gather(*calls)
    return longest


class _Signed:
    """A method that is called with an API key in its metadata."""

    def __init__(self, method: Any, authorization: str) -> None:
        self._method = method
        self._metadata = (("authorization", authorization),)

    def __call__(self, request: bytes) -> Any:
        return self._method(request, metadata=self._metadata)


async def _watchable(submit: Any) -> bytes:
    """Submit a generation and return the request that watches it."""
    answer: Awaitable[bytes] = submit(with_key(model_submission()))
    generation = pb.SubmitGenerationResponse.FromString(await answer).generation
    request = pb.WatchGenerationRequest(id=generation.id, after_revision=generation.revision - 1)
    content: bytes = request.SerializeToString()
    return content


@contextlib.asynccontextmanager
async def _gateway(folder: Path | None = None, **terms: str) -> AsyncIterator[Server]:
    async with processes.steady_upstream() as higgsfield, processes.gateway(higgsfield, folder, **terms) as gateway:
        yield gateway
