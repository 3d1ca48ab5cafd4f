"""The statements under contention: admission never exceeds its limit, and positions come in commit order.

Eight tasks claim, half of them with keys that others claim too, and end some of what was admitted. A tail reads each
tenant's log as a watcher would: from its last position up to the tenant's. It must see each position once, in order,
without a gap.
"""

import asyncio
import random
import sys
import uuid

from bench.trials.connections import Psycopg, psycopg
from bench.trials.drivers import REPLICA, SHOWN, claim_values, tenant
from bench.trials.servers import Server, running
from bench.trials.statements import CLAIM, JOIN, SAVE, TAKE

LIMIT = 2500
TAIL = """
SELECT changes.position FROM tenants JOIN changes USING (tenant)
WHERE tenant = $1 AND changes.position > $2 AND changes.position <= tenants.position ORDER BY changes.position
"""


class Contention:
    """The tasks on one store, and what they count."""

    def __init__(self, store: Psycopg, batches: int) -> None:
        self.store = store
        self.new = self.admitted = self.ended = self.deadlocks = self.reads = 0
        self.seen = {tenant(number): 0 for number in range(2)}
        self._batches = batches
        self._claimed = False

    async def run(self) -> None:
        """Claim in all tasks, and read the logs to their ends."""
        await self.store.fetch(JOIN, REPLICA)
        await self.store.fetch(TAKE, REPLICA, "1 h", 256)
        tails = [asyncio.create_task(self._tail(name)) for name in self.seen]
        await asyncio.gather(*(self._claim(seed) for seed in range(8)))
        self._claimed = True
        await asyncio.gather(*tails)

    async def _claim(self, seed: int) -> None:
        draw = random.Random(seed)
        for number in range(self._batches):
            values = list(claim_values(draw.randint(1, 12), tenant(draw.randrange(2))))
            ids = values[3]
            assert isinstance(ids, list)
            # Keys in any order, which two batches may share.
            shared = [f"shared-{number}-{draw.randrange(6)}" if draw.random() < 0.5 else uuid.uuid4().hex for _ in ids]
            values[9] = [draw.randint(1, 4) for _ in ids]
            values[2] = [key if key not in shared[:place] else uuid.uuid4().hex for place, key in enumerate(shared)]
            try:
                rows = await self.store.fetch(CLAIM, *values)
            except psycopg.errors.DeadlockDetected:
                self.deadlocks += 1
                continue
            self.new += sum(row[1] for row in rows)
            self.admitted += sum(row[2] for row in rows)
            await self._end(values[0], [row[0] for row in rows if row[2]] if draw.random() < 0.5 else [])

    async def _end(self, name: object, ids: list[object]) -> None:
        """End generations. The first fence is not ours, and saves nothing."""
        count = len(ids)
        for fence in (-1, 1):
            constant = [[one] * count for one in (1, fence, 5, True, SHOWN)]
            saved = await self.store.fetch(SAVE, name, REPLICA, ids, *constant)
            assert len(saved) == (count if fence == 1 else 0)
        self.ended += count

    async def _tail(self, name: str) -> None:
        while True:
            last = self._claimed
            for (position,) in await self.store.fetch(TAIL, name, self.seen[name]):
                assert position == self.seen[name] + 1, f"{name}: position {position} after {self.seen[name]}"
                self.seen[name] = position
            self.reads += 1
            if last:
                return


async def contend(server: Server, batches: int) -> None:
    server.create_tables()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("UPDATE accounts SET max_running = %s", (LIMIT,))
    store = Psycopg("store", prepare=False)
    await store.open(server.url(), 12)
    ran = Contention(store, batches)
    await ran.run()
    ((stored, busy, idle),) = await store.fetch(
        "SELECT count(*), coalesce(sum(weight) FILTER (WHERE sender IS NOT NULL), 0)::integer,"
        " (count(*) FILTER (WHERE sender IS NULL AND NOT done))::integer FROM generations"
    )
    ((keys,),) = await store.fetch("SELECT count(*) FROM claims")
    ((in_use, waiting),) = await store.fetch("SELECT running, waiting FROM accounts")
    await store.close()
    seen = sum(ran.seen.values())
    print(
        f"claims {keys}, new {ran.new}, admitted {ran.admitted}, ended {ran.ended}, changes seen {seen} in {ran.reads}"
        f" reads; account: {in_use} running of {LIMIT}, {waiting} waiting; deadlocks {ran.deadlocks}"
    )
    assert keys == stored == ran.new
    assert seen == ran.new + ran.ended
    assert in_use == busy <= LIMIT
    assert waiting == idle == ran.new - ran.admitted


def main() -> None:
    with running() as server:
        asyncio.run(contend(server, 20 * int(sys.argv[1])))


if __name__ == "__main__":
    main()
