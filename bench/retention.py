"""Retention of many rows at once, and a new limit that counts them: how long submissions wait for either."""

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

from bench.figures import Figure, at_most, excess, value
from bench.follow import NO_REQUEST, exit_on_broken_store
from bench.load import Effort
from gateway.generations.clock import Ids
from gateway.generations.limits.model import Limits
from gateway.generations.model import Generation, Spec, State, Steady, Wall
from gateway.generations.stores import Claim, Filter
from gateway.store.sqlite.store import SqliteStore

MANY, FEW = 100_000, 2_000
MODELS = 30
AGE = 40 * 86_400.0
"""Seconds since the end of the old generations."""
DAY = "2026-11-28"
"""The day of which a new limit counts the prices."""
EVERY = 0.02
"""Seconds between two submissions."""


async def run(effort: Effort) -> list[Figure]:
    """Submit to a store, first alone, then while a new limit counts, and while old rows are deleted."""
    count = MANY if effort.rounds > 1 else FEW
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        await _fill(path, count)
        began = time.perf_counter()
        store = SqliteStore(path, exit_on_broken_store)
        opened = time.perf_counter() - began
        began = time.perf_counter()
        found, _ = await store.generations.page("default", Filter(labels={"user": "none"}), None, 50)
        searched = time.perf_counter() - began
        assert not found
        async with submitting(store) as alone:
            await asyncio.sleep(effort.seconds)
        async with submitting(store) as counting:
            began = time.perf_counter()
            await store.limits.set_limits("default", "tenant", Limits(in_flight=MANY * MANY), DAY)
            counted = time.perf_counter() - began
        await store.limits.set_limits("default", "tenant", Limits(), DAY)
        async with submitting(store) as beside:
            began = time.perf_counter()
            assert await store.deletions.prune(Steady(time.time() - AGE / 2), Steady(time.time() - AGE / 2)) == count
            seconds = time.perf_counter() - began
        await store.close()
        return [
            value(f"retention of {count:,}: size of the store", "MiB", path.stat().st_size / 2**20),
            value(f"retention of {count:,}: time to open the store", "s", opened),
            value(f"retention of {count:,}: time of a page of a label that none has", "s", searched),
            value(f"retention of {count:,}: time to set a new limit", "s", counted),
            excess(
                f"retention of {count:,}: slowest commit while the limit counts",
                "s",
                max(counting),
                max(alone),
                at_most(0.5),
            ),
            value(f"retention of {count:,}: time until all are deleted", "s", seconds),
            excess(
                f"retention of {count:,}: slowest commit of a submission", "s", max(beside), max(alone), at_most(0.5)
            ),
        ]


@contextlib.asynccontextmanager
async def submitting(store: SqliteStore) -> AsyncIterator[list[float]]:
    """Store a claim every EVERY seconds, and collect the seconds that each takes."""
    times: list[float] = []
    ids = Ids()

    async def submit() -> None:
        while True:
            began = time.perf_counter()
            await store.claims.claim(_claim(ids, time.time(), State.PENDING))
            times.append(time.perf_counter() - began)
            await asyncio.sleep(EVERY)

    task = asyncio.create_task(submit())
    try:
        yield times
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _fill(path: Path, count: int) -> None:
    """Store old generations that have ended, with their keys. Add as many keys without a generation, and run times."""
    store, ids = SqliteStore(path, exit_on_broken_store), Ids()
    for start in range(0, count, 1000):
        old = time.time() - AGE + start
        await asyncio.gather(*(store.claims.claim(_claim(ids, old, State.COMPLETED)) for _ in range(1000)))
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        runs = ((f"model {number % MODELS}", "", float(number)) for number in range(count))
        connection.execute("UPDATE generations SET price = 1, budget_day = ?", [DAY])
        connection.executemany("INSERT INTO durations (model_id, traits, seconds) VALUES (?, ?, ?)", runs)
        keys = ((str(uuid4()), str(uuid4()), time.time() - AGE) for _ in range(count))
        connection.executemany(
            "INSERT INTO keys (tenant, key, generation_id, fingerprint, used_at, orphaned)"
            " VALUES ('default', ?, ?, x'', ?, 1)",
            keys,
        )


def _claim(ids: Ids, at: float, state: State) -> Claim:
    spec = Spec(
        ids.next(Wall(at)), "default", "model", "v2", "account", "https://api.example.invalid", b"input" * 20, {},
        str(uuid4()), at, at,
    )  # fmt: skip
    ended = at if state is State.COMPLETED else None
    generation = Generation(spec, state=state, request_id=str(uuid4()), update_time=at, end_time=ended, ended_at=ended)
    return Claim(generation, NO_REQUEST, b"fingerprint")
