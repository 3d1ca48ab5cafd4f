"""psycopg or asyncpg: the same claims, due rows and point reads, interleaved, as processor time per operation."""

import asyncio
import os
import statistics
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable

from bench.trials.connections import Driver, direct, pooled
from bench.trials.servers import Server, running
from bench.trials.statements import CLAIM

INPUT, SHOWN, BODY = os.urandom(300), '{"state":1,"text":"' + "x" * 180 + '"}', os.urandom(600)
IN_FLIGHT = 8
WIDE = (
    "SELECT id, tenant, account, bucket, model_id, api, input, labels, create_time, weight, version, revision, state,"
    " done, request_id, end_time, shown, sender, attempt, send_by, sent_at, first_sent_at, sends, polls"
    " FROM generations WHERE "
)

SINGLE = (
    "INSERT INTO claims (tenant, key, generation_id, fingerprint) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT DO NOTHING RETURNING generation_id",
    "UPDATE accounts SET running = running + 1 WHERE account = $1 AND running < max_running RETURNING running",
    "INSERT INTO generations (id, tenant, account, bucket, input, state, shown, sender, attempt, send_by)"
    " VALUES ($1, $2, $3, $4, $5, 1, $6, $7, 1, now() + interval '10 seconds')",
    "INSERT INTO requests (generation_id, body) VALUES ($1, $2)",
    "WITH log AS (UPDATE tenants SET position = position + 1 WHERE tenant = $1 RETURNING position)"
    " INSERT INTO changes (tenant, position, generation_id, revision, shown)"
    " SELECT $1::text, position, $2::uuid, 1, $3::text FROM log RETURNING position",
)
REPLICA = uuid.uuid4()


def claim_values(number: int, tenant: str) -> tuple[object, ...]:
    ids = [uuid.uuid4() for _ in range(number)]
    return (
        tenant,
        "account",
        [i.hex for i in ids],
        ids,
        [i.bytes for i in ids],
        [INPUT] * number,
        [SHOWN] * number,
        [BODY] * number,
        [i.int & 255 for i in ids],
        [1] * number,
        REPLICA,
    )


def tenant(number: int) -> str:
    return f"tenant-{number % 8}"


async def single(driver: Driver, number: int) -> None:
    """A claim as five statements in a transaction, as an ORM or plain code would write it."""
    i = uuid.uuid4()
    await driver.together(
        [
            (SINGLE[0], (tenant(number), i.hex, i, i.bytes)),
            (SINGLE[1], ("account",)),
            (SINGLE[2], (i, tenant(number), "account", i.int & 255, INPUT, SHOWN, REPLICA)),
            (SINGLE[3], (i, BODY)),
            (SINGLE[4], (tenant(number), i, SHOWN)),
        ]
    )


async def claim(driver: Driver, number: int) -> None:
    """The same claim as one statement."""
    rows = await driver.fetch(CLAIM, *claim_values(1, tenant(number)))
    assert len(rows) == 1
    assert rows[0][1]
    assert rows[0][2]


async def claim_limited(driver: Driver, number: int) -> None:
    """The same statement under a time limit that a pooler leaves alone."""
    limit = "SELECT set_config('statement_timeout', '2000', true)"
    rows = await driver.together([(limit, ()), (CLAIM, claim_values(1, tenant(number)))])
    assert len(rows) == 1


async def claims(driver: Driver, number: int) -> None:
    """Fifty claims in one statement."""
    rows = await driver.fetch(CLAIM, *claim_values(50, tenant(number)))
    assert len(rows) == 50


async def due(driver: Driver, number: int) -> None:
    """A batch of a hundred wide rows."""
    rows = await driver.fetch(
        f"{WIDE} bucket = ANY($1::smallint[]) AND NOT done LIMIT 100", [number & 255, 3, 5, 7, 11, 13, 17, 19]
    )
    assert len(rows) == 100


async def get(driver: Driver, number: int) -> None:
    """One wide row by its id."""
    rows = await driver.fetch(f"{WIDE} id = $1", IDS[number % len(IDS)])
    assert len(rows) == 1


IDS: list[uuid.UUID] = []
OPERATIONS: dict[str, tuple[Callable[[Driver, int], Awaitable[None]], int, int]] = {
    # name: function, operations in a turn, what one of them counts as
    "claim, 5 statements": (single, 120, 1),
    "claim, 1 statement": (claim, 200, 1),
    "claim, with time limit": (claim_limited, 150, 1),
    "claim, 50 in a statement": (claims, 16, 50),
    "100 due rows": (due, 60, 100),
    "one row": (get, 400, 1),
}


async def turn(
    server: Server, driver: Driver, operation: Callable[[Driver, int], Awaitable[None]], times: int
) -> tuple[float, float, float]:
    numbers = iter(range(times))

    async def worker() -> None:
        for number in numbers:
            await operation(driver, number)

    wall, cpu, served = time.perf_counter(), time.process_time(), server.cpu_seconds()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return time.process_time() - cpu, server.cpu_seconds() - served, time.perf_counter() - wall


async def measure(server: Server, rounds: int) -> None:
    drivers = direct()
    for driver in drivers:
        await driver.open(server.url(), IN_FLIGHT)
    through = pooled()
    for driver in through:
        await driver.open(server.url(pooler=True), IN_FLIGHT)
    for number in range(80):
        await drivers[0].fetch(CLAIM, *claim_values(50, tenant(number)))
    await drivers[0].fetch("ANALYZE")
    IDS.extend(row[0] for row in await drivers[0].fetch("SELECT id FROM generations LIMIT 2000"))
    for name, (operation, times, count) in OPERATIONS.items():
        found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for round_number in range(rounds + 1):
            order = drivers + through
            for driver in order if round_number % 2 else reversed(order):
                result = await turn(server, driver, operation, times if round_number else max(times // 8, IN_FLIGHT))
                if round_number:
                    found[driver.name].append(result)
        print(f"\n{name}: microseconds of processor per item (ratio to asyncpg, median of {rounds} rounds)")
        base = found["asyncpg"]
        for driver in order:
            mine = found[driver.name]
            client, served, wall = (statistics.median(row[n] for row in mine) / times / count * 1e6 for n in range(3))
            ratios = [
                statistics.median(a[n] / b[n] if b[n] else 0 for a, b in zip(mine, base, strict=True)) for n in (0, 2)
            ]
            print(
                f"  {driver.name:44} client {client:8.1f} ({ratios[0]:.2f})  server {served:8.1f}"
                f"  {1e6 / wall:9.0f}/s ({1 / ratios[1]:.2f})",
                flush=True,
            )
    for driver in drivers + through:
        await driver.close()


def main() -> None:
    with running() as server:
        server.create_tables()
        asyncio.run(measure(server, int(sys.argv[1])))


if __name__ == "__main__":
    main()
