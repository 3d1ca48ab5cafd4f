"""Start: the time from spawn to the first response, and the memory of a started gateway, beside a bare server's."""

import asyncio
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench import processes
from bench.calls import ECHO, LIST
from bench.figures import Figure, at_most, ratio
from bench.load import Effort

CHECK_INTERVAL = 0.002


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds until the first response, and megabytes of memory when both ports are open."""

    taken: float
    memory: float


async def run(effort: Effort) -> list[Figure]:
    """Measure new processes in turn. The first of each are not counted, because they may compile modules."""
    ours, bare = [], []
    for _ in range(1 + 2 * effort.rounds):
        address = processes.free_address()
        bare.append(await _started((*processes.BASELINE, address), {}, address, ECHO))
        with tempfile.TemporaryDirectory() as folder:
            address = processes.free_address()
            settings = processes.gateway_settings(processes.UNUSED_ADDRESS, Path(folder), address)
            ours.append(await _started(processes.GATEWAY, settings, address, LIST))
    del ours[0], bare[0]
    return [
        ratio(
            "spawn to first answered call", "ms", [one.taken for one in ours], [one.taken for one in bare], at_most(2.0)
        ),
        ratio(
            "memory with both ports up", "MB", [one.memory for one in ours], [one.memory for one in bare], at_most(1.65)
        ),
    ]  # fmt: skip


async def _started(arguments: Sequence[str], environment: Mapping[str, str], address: str, method: str) -> Start:
    start = time.perf_counter()
    async with processes.spawned(arguments, environment) as server:
        await _listens(address)
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.unary_unary(method)(b"", wait_for_ready=True, timeout=processes.READY_TIMEOUT)
        taken = time.perf_counter() - start
        await server.ready()
        return Start(1e3 * taken, server.memory() / 2**20)


async def _listens(address: str) -> None:
    """Wait until the port is open: a channel that connects too early retries only after a second."""
    host, port = address.rsplit(":", 1)
    async with asyncio.timeout(processes.READY_TIMEOUT):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            await asyncio.sleep(CHECK_INTERVAL)
