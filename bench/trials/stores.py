"""SQLite or PostgreSQL: submissions and reads through the ports of the store, interleaved, as a ratio.

Unlike the other trials, it runs with the requirements of the gateway: `python -m bench.trials.stores`.
"""

import asyncio
import itertools
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.trials.servers import running
from gateway.generations.model import (
    Generation,
    InputKind,
    Moment,
    PreparedRequest,
    Source,
    Spec,
    State,
    StatusReport,
    UpstreamKey,
)
from gateway.generations.state import Accepted, Marked, Reported, advance
from gateway.generations.stores import Claim
from gateway.store.postgres.store import PostgresStore
from gateway.store.sqlite.store import SqliteStore
from gateway.store.store import Store

ROUNDS, IN_FLIGHT = 5, (1, 64)
TURN = 2.0
"""Seconds of a turn."""
NOW = 1_700_000_000.0
numbers = itertools.count()


def _next(before: Generation, observation: object) -> Generation:
    after = advance(before, observation, Moment(NOW, NOW))  # type: ignore[arg-type]
    assert after is not None
    return after


async def submission(store: Store) -> None:
    """Claim with the marker, then save the acceptance, and the end."""
    number = next(numbers)
    spec = Spec(
        id=str(uuid.UUID(int=number)), tenant=f"tenant-{number % 8}", model_id="higgsfield-ai/soul/standard", api="v2",
        account="account", origin="https://api.example.invalid", input=b"x" * 300, labels={},
        idempotency_key=str(number), create_time=NOW, created_at=NOW,
    )  # fmt: skip
    marked = _next(Generation(spec, update_time=NOW), Marked("owner"))
    request = PreparedRequest(
        "account", spec.origin, "/v2", "", {"a": "b"}, b"x" * 600, UpstreamKey(spec.id), InputKind.MODEL
    )
    assert (await store.claims.claim(Claim(marked, request, b"f" * 32))).new
    accepted = _next(marked, Accepted(StatusReport(str(number), "queued", State.QUEUED)))
    assert await store.generations.save(marked, accepted)
    ended = _next(accepted, Reported(StatusReport(str(number), "completed", State.COMPLETED), Source.POLL))
    assert await store.generations.save(accepted, ended)


async def get(store: Store) -> None:
    """Read a generation by its id, stored or not."""
    number = next(numbers)
    await store.generations.get(f"tenant-{number % 8}", str(uuid.UUID(int=number % 1000)))


async def turn(store: Store, work: Callable[[Store], Awaitable[None]], in_flight: int) -> float:
    """Return how often the work was done in a second."""
    began, done = time.perf_counter(), 0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() - began < TURN:
            await work(store)
            done += 1

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return done / (time.perf_counter() - began)


async def measure(postgres: str, sqlite: Path) -> None:
    stores: dict[str, Store] = {
        "SQLite": SqliteStore(sqlite, print),
        "PostgreSQL": await PostgresStore.open(postgres, postgres, print, 10),
    }
    print(f"{'':14}{'in flight':>10}{'SQLite/s':>10}{'PostgreSQL/s':>14}{'ratio':>8}")
    for work, in_flight in itertools.product((submission, get), IN_FLIGHT):
        found: dict[str, list[float]] = {name: [] for name in stores}
        for number in range(ROUNDS + 1):
            for name in stores if number % 2 else reversed(stores):
                speed = await turn(stores[name], work, in_flight)
                if number:  # the first round warms up
                    found[name].append(speed)
        sqlite_speed, postgres_speed = (statistics.median(found[name]) for name in stores)
        ratio = statistics.median(map(lambda a, b: b / a, found["SQLite"], found["PostgreSQL"]))
        print(f"{work.__name__:14}{in_flight:10}{sqlite_speed:10.0f}{postgres_speed:14.0f}{ratio:8.2f}")
    for store in stores.values():
        await store.close()


def main() -> None:
    with running() as server, tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(server.url(), Path(folder) / "store.db"))


if __name__ == "__main__":
    main()
