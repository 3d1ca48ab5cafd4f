"""The statements under contention: admission never exceeds its limit, and positions come in commit order.

Eight tasks claim, half of them with keys that others claim too, and end some of what was admitted. A tail reads each
tenant's log as a watcher would: from its last position up to the tenant's. It must see each position once, in order,
without a gap.
"""

import asyncio
import random
import sys
import uuid
from pathlib import Path

from bench.trials.connections import Psycopg, psycopg
from bench.trials.drivers import REPLICA, SHOWN, claim_values, tenant
from bench.trials.servers import Server, running
from bench.trials.statements import CLAIM, JOIN, SAVE, TAKE

LIMIT = 2500
TAIL = """
SELECT changes.position FROM tenants JOIN changes USING (tenant)
WHERE tenant = $1 AND changes.position > $2 AND changes.position <= tenants.position ORDER BY changes.position
"""


async def contend(server: Server, batches: int) -> None:  # noqa: PLR0915
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute((Path(__file__).parent / "schema.sql").read_bytes())
        connection.execute("UPDATE accounts SET max_running = %s", (LIMIT,))
    store = Psycopg("store", prepare=False)
    await store.open(server.url(), 12)
    new = admitted = failures = saves = 0
    await store.fetch(JOIN, REPLICA)
    await store.fetch(TAKE, REPLICA, "1 h", 256)
    done = asyncio.Event()
    seen: dict[str, int] = {tenant(number): 0 for number in range(2)}
    reads = 0

    async def claim(seed: int) -> None:
        nonlocal new, admitted, failures, saves
        draw = random.Random(seed)
        for number in range(batches):
            values = list(claim_values(draw.randint(1, 12), tenant(draw.randrange(2))))
            ids = values[3]
            assert isinstance(ids, list)
            # Keys in any order, which two batches may share.
            shared = [f"shared-{number}-{draw.randrange(6)}" if draw.random() < 0.5 else uuid.uuid4().hex for _ in ids]
            values[9] = [draw.randint(1, 4) for _ in ids]
            values[2] = [key if key not in shared[:place] else uuid.uuid4().hex for place, key in enumerate(shared)]
            try:
                rows = await store.fetch(CLAIM, *values)
            except psycopg.errors.DeadlockDetected:
                failures += 1
                continue
            new += sum(row[1] for row in rows)
            admitted += sum(row[2] for row in rows)
            ended = [row[0] for row in rows if row[2]] if draw.random() < 0.5 else []
            for fence in (-1, 1):  # The first is not ours, and saves nothing.
                count = len(ended)
                saved = await store.fetch(
                    SAVE,
                    values[0],
                    REPLICA,
                    ended,
                    [1] * count,
                    [fence] * count,
                    [5] * count,
                    [True] * count,
                    [SHOWN] * count,
                )
                assert len(saved) == (count if fence == 1 else 0)
            saves += len(ended)

    async def tail(name: str) -> None:
        nonlocal reads
        while True:
            last = done.is_set()
            for (position,) in await store.fetch(TAIL, name, seen[name]):
                assert position == seen[name] + 1, f"{name}: position {position} after {seen[name]}"
                seen[name] = position
            reads += 1
            if last:
                return

    tails = [asyncio.create_task(tail(name)) for name in seen]
    await asyncio.gather(*(claim(seed) for seed in range(8)))
    done.set()
    await asyncio.gather(*tails)
    ((stored, busy, idle),) = await store.fetch(
        "SELECT count(*), coalesce(sum(weight) FILTER (WHERE sender IS NOT NULL), 0)::integer,"
        " (count(*) FILTER (WHERE sender IS NULL AND NOT done))::integer FROM generations"
    )
    ((keys,),) = await store.fetch("SELECT count(*) FROM claims")
    ((in_use, waiting),) = await store.fetch("SELECT running, waiting FROM accounts")
    await store.close()
    print(
        f"claims {keys}, new {new}, admitted {admitted}, ended {saves}, changes seen {sum(seen.values())} in {reads}"
        f" reads; account: {in_use} running of {LIMIT}, {waiting} waiting; deadlocks {failures}"
    )
    assert keys == stored == new
    assert sum(seen.values()) == new + saves
    assert in_use == busy <= LIMIT
    assert waiting == idle == new - admitted


def main() -> None:
    with running() as server:
        asyncio.run(contend(server, 20 * int(sys.argv[1])))


if __name__ == "__main__":
    main()
