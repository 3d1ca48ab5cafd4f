"""Ten thousand watches during a restart: each must be resumed, end once and repeat nothing; measures the time."""

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

import httpx

from bench import processes
from bench.figures import Figure, at_most, value
from bench.load import CALLS_PER_CHANNEL, Effort
from harness.history import Recorder, generation_fields, read
from harness.violations import IndexedHistory
from harness.watch_checker import WATCH_INVARIANTS
from harness.watchers import Watchers, access_to
from hfgateway_client import AsyncClient, soul

CHECK_INTERVAL = 0.02
END_TIMEOUT = 120.0


async def run(effort: Effort) -> list[Figure]:
    """Measure a restart after SIGTERM and one after SIGKILL."""
    return [figure for how in ("SIGTERM", "kill -9") for figure in await _figures_of(how, effort.burst)]


async def _figures_of(how: str, watches: int) -> list[Figure]:
    name = f"{watches:,} watches through {how} and a start"
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder, "history.jsonl")
        with Recorder(history) as recorder:
            seconds, memory = await _restart(how, watches, recorder, Path(folder))
        lines = read(history)
    found = [violation for invariant in WATCH_INVARIANTS for violation in invariant(IndexedHistory(lines))]
    ended = sum(line.what == "watch ended" for line in lines)
    return [
        value(f"{name}: lost, duplicate or wrong ends", "watches", watches - ended + len(found), at_most(0.0)),
        value(f"{name}: time until the last ended", "s", seconds),
        value(f"{name}: peak memory of the new gateway", "MB", memory / 2**20),
    ]


async def _restart(how: str, watches: int, recorder: Recorder, folder: Path) -> tuple[float, int]:
    """Restart a gateway with open watches.

    Returns the seconds from the end of the first gateway until the last watch has ended, and the peak memory of the
    second gateway in bytes.
    """
    address = processes.free_address()
    async with processes.steady_upstream() as higgsfield, contextlib.AsyncExitStack() as stack:
        settings = processes.gateway_settings(higgsfield.address, folder, address)
        first = await stack.enter_async_context(processes.running(processes.GATEWAY, settings))
        async with AsyncClient(address) as client:
            generation = (await client.submit(soul("a lighthouse"))).generation
        watchers = Watchers(recorder)
        accesses = [
            await stack.enter_async_context(access_to(address)) for _ in range(-(-watches // CALLS_PER_CHANNEL))
        ]
        tasks = [
            asyncio.create_task(watchers.bare_watch(accesses[number % len(accesses)], generation.id))
            for number in range(watches)
        ]
        await _until_received(watchers, watches * generation.revision)
        async with httpx.AsyncClient() as upstream:
            await upstream.put(f"http://{higgsfield.address}/ended/1")
        await (first.stop() if how == "SIGTERM" else first.kill())
        began = time.perf_counter()
        second = await stack.enter_async_context(processes.running(processes.GATEWAY, settings))
        await asyncio.wait(tasks, timeout=END_TIMEOUT)
        seconds = time.perf_counter() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with AsyncClient(address) as client:
            recorder.record("final", **generation_fields(await client.get(generation.id)))
        return seconds, second.peak_memory()


async def _until_received(watchers: Watchers, number: int) -> None:
    while watchers.received < number:  # noqa: ASYNC110 - the watchers signal nothing
        await asyncio.sleep(CHECK_INTERVAL)
