"""50,000 generations in flight in one process: the memory and CPU time of following them, and the time of a restart."""

import asyncio
import math
import resource
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from uuid import uuid4

from bench import processes
from bench.figures import Figure, at_least, at_most, value
from bench.load import Effort
from gateway.due_times import DueTimes
from gateway.generations.model import Generation, InputKind, PreparedRequest, Spec, State, UpstreamKey
from gateway.generations.stores import Claim
from gateway.generations.watching.feed import Feed
from gateway.higgsfield.credentials import Credentials
from gateway.process.app import tune_garbage_collector
from gateway.process.assembly import assemble
from gateway.process.core import Core
from gateway.settings.config import read_settings

FULL_COUNT, QUICK_COUNT = 50_000, 2_000
CREDENTIALS = Credentials("sandbox", "sandbox")
NO_REQUEST = PreparedRequest("", "", "", "", {}, b"", UpstreamKey(""), InputKind.NONE)


async def run(effort: Effort) -> list[Figure]:
    """Fill a store, start a core on it, and let it poll."""
    count = FULL_COUNT if effort.rounds > 1 else QUICK_COUNT
    with tempfile.TemporaryDirectory() as folder:
        async with processes.steady_upstream() as higgsfield:
            origin = f"http://{higgsfield.address}"
            await _fill(Path(folder), origin, count)
            return [
                *await _measure_restart(Path(folder), origin, count),
                await _measure_poll_rate(Path(folder), origin, effort.seconds),
            ]


async def _open(folder: Path, origin: str, **settings: str) -> Core:
    variables = {
        "HFGATEWAY_UPSTREAM_URL": origin,
        "HFGATEWAY_STORE_URL": f"sqlite:///{folder / 'store.db'}",
        **settings,
    }
    return await assemble(read_settings(variables), CREDENTIALS, exit_on_broken_store)


def exit_on_broken_store(error: Exception) -> None:
    """End the benchmark: the store cannot be used any more."""
    sys.exit(f"the store failed: {error}")


async def _fill(folder: Path, origin: str, count: int) -> None:
    """Store `count` accepted generations that have not ended."""
    core = await _open(folder, origin)
    now = core.clock.moment()
    account = core.upstream.default.account

    async def claim(number: int) -> None:
        spec = Spec(
            str(uuid4()), "default", "model", "v2", account, origin, b"input" * 20, {}, f"{number}",
            now.wall, now.steady,
        )  # fmt: skip
        generation = Generation(
            spec,
            state=State.QUEUED,
            request_id=str(uuid4()),
            accept_time=now.wall,
            update_time=now.wall,
            upstream_status="queued",
        )
        await core.store.claims.claim(Claim(generation, NO_REQUEST, b"fingerprint"))

    for start in range(0, count, 1000):
        await asyncio.gather(*(claim(number) for number in range(start, min(start + 1000, count))))
    await core.close()


async def _measure_restart(folder: Path, origin: str, count: int) -> list[Figure]:
    """Measure a restart, the memory of index and schedule per generation, and the schedule's CPU time per poll."""
    began = time.perf_counter()
    core = await _open(folder, origin, HFGATEWAY_POLL_MIN="3600", HFGATEWAY_POLL_MAX="3600")
    seconds = time.perf_counter() - began
    assert len(core.follower._due) == count
    generations = [entry.generation for entry in core.feed.entries.values()]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    again = Feed(generations)
    follower = core.follower
    follower._feed = follower._schedule._feed = again
    follower._due = DueTimes()
    await follower.resume(generations)
    memory = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    cost = _schedule_cost(core)
    await core.close()
    return [
        value(f"{count:,} in flight: restart, time until all are followed", "s", seconds),
        value(f"{count:,} in flight: index and schedule", "KB/generation", memory / 1024, at_most(1.0)),
        value(f"{count:,} in flight: schedule", "CPU us/poll", cost, at_most(2.0)),
    ]


def _schedule_cost(core: Core) -> float:
    """Return the CPU time of taking the earliest poll and scheduling the next one, in microseconds."""
    follower = core.follower
    names = list(core.feed.entries)
    rounds = 100_000
    began = time.process_time()
    for number in range(rounds):
        due = follower._due.take(math.inf)
        assert due is not None
        follower._put(names[number % len(names)], due[0] + 1000.0)
    return (time.process_time() - began) / rounds * 1e6


async def _measure_poll_rate(folder: Path, origin: str, seconds: float) -> Figure:
    """Measure the status calls per second of one core. All are due at once, and the adapter calls a local server."""
    core = await _open(folder, origin, HFGATEWAY_POLL_MIN="0.05", HFGATEWAY_POLL_MAX="0.05")
    tune_garbage_collector()  # as `serve` does
    for entry in core.feed.entries.values():
        entry.poll_at = 0.0
    await core.follower.resume([entry.generation for entry in core.feed.entries.values()])
    await core.start()
    await asyncio.sleep(1.0)
    polls_before = sum(entry.polls for entry in core.feed.entries.values())
    cpu_before = _cpu()
    await asyncio.sleep(max(seconds, 1.0))
    polls = sum(entry.polls for entry in core.feed.entries.values()) - polls_before
    rate = polls / (_cpu() - cpu_before)
    await core.drain()
    await core.close()
    return value("status polls per second of one core", "polls", rate, at_least(4000))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
