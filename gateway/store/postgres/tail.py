"""Follows the log of changes that another gateway writes, for a replica that serves without the lease.

One statement reads what comes after the last known position, of all tenants, and who has the lease. It feeds the same
listeners as a commit of this process does. Each position is read once and in order, because positions become visible in
their order: a write locks the row with the last position until it is committed, and PostgreSQL makes a transaction
visible before it releases its locks. So a statement that sees a position sees all lower ones. This also holds across a
takeover, which waits for the writes of the previous holder, and for a commit whose response was lost: its repeat stores
the positions of the first execution, if that stored nothing, or none.

Positions may be missing: a deletion removes the changes of its generation, and appends its own.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

from psycopg.rows import DictRow

from gateway.concurrency import Wakeup, set_signal
from gateway.generations.clock import since_boot
from gateway.generations.model import Change, GenerationId, Spec
from gateway.generations.stores import Saved, SpecOf, StoreError, UnconfirmedError
from gateway.store.codec import generation_of
from gateway.store.postgres.database import Database, LeaseLostError
from gateway.store.postgres.lease import LEASE_TIMEOUT, Lease
from gateway.store.store import Leader

BUSY_PAUSE = 0.004
"""Seconds until the next read after one that found changes: more will come, and several make one read cheaper."""
IDLE_PAUSE = 0.1
"""The most seconds until the next read. The pause doubles with each read that finds no change."""
ERROR_PAUSE = 0.25
MAX_CHANGES = 100
"""Changes that one statement reads. After an error the next one reads half as many, and later ones each time one more,
because a link may be too slow for the inputs of so many. The same read would fail again and again."""
STALE_AFTER = 2.0
"""Seconds after which what was read is too old to be shown."""
LEADER_RETURN_TIMEOUT = 5.0
"""Seconds after an outage in which a replica does not take the lease of a silent leader.

A leader that lives returns first, and finds what the server has lost: it knows the last commits.
"""
OUTAGE_AFTER = 1.0
"""Seconds without a read that are an outage."""


class Tail:
    """The changes after a position. Call `begin`, then `run`, which returns when this gateway has taken the lease.

    `leader` is the gateway that has it. `take` takes the lease as `Lease.take_now` does. Raises UnconfirmedError.
    """

    def __init__(self, database: Database, lease: Lease, take: Callable[[], Awaitable[bool | None]]) -> None:
        self._database = database
        self._lease = lease
        self._take = take
        self._position = 0
        self._spec_of: SpecOf = lambda _: None
        self.read_at = 0.0
        """The time before the last read was sent that found no more than it returned."""
        self._responded_at = 0.0
        """The time before the last successful read was sent."""
        self._batch_size = MAX_CHANGES
        """The changes that the next read asks for."""
        self._down_at = -math.inf
        """The time of the last failed read, or of the last late one that had found a leader before."""
        self._turns = 0
        """The reads that have begun."""
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        """The callers of `caught_up`, each with the number of the read that it waits for."""
        self._wakeup = Wakeup()
        self.leader = Leader()
        self.following = False
        """Whether the changes of other processes are announced, from `begin` to the end of `run`."""

    @property
    def fresh(self) -> bool:
        """Whether what was read is not too old to be shown."""
        return since_boot() < self.read_at + STALE_AFTER

    async def begin(self, position: int, spec_of: SpecOf) -> None:
        """Read all changes after a position. Raises UnconfirmedError.

        `spec_of` returns what never changes of a generation in memory, so that it is neither decoded nor kept again.
        """
        self._position, self._spec_of, self.following = position, spec_of, True
        while True:
            limit = self._batch_size
            try:
                if not (await self._read())[1]:
                    return
            except UnconfirmedError:
                if limit == 1:
                    raise

    async def run(self) -> bool:
        """Follow the log until this gateway has taken the lease, and return whether the previous holder gave it back.

        All changes of earlier holders have been read by then.
        """
        pause = BUSY_PAUSE
        while True:
            await self._sleep(pause)
            try:
                vacant, found = await self._read()
                pause = BUSY_PAUSE if found else min(2 * pause, IDLE_PAUSE)
                if vacant and (orderly := await self._take()) is not None:
                    break
            except LeaseLostError:
                raise
            except UnconfirmedError:
                self._down_at = since_boot()
                await asyncio.sleep(ERROR_PAUSE)
        await self._finish()
        return orderly

    async def caught_up(self) -> None:
        """Return when all changes have been announced that were stored before this call. Raises StoreError."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((self._turns + 1, done))
        self._wakeup.wake()
        try:
            async with asyncio.timeout(STALE_AFTER):
                await done
        except TimeoutError:
            raise StoreError("the changes of other replicas cannot be read") from None

    async def _finish(self) -> None:
        """Read the rest of the log, which only this gateway can write from now on."""
        while True:
            try:
                if not (await self._read())[1]:
                    break
            except UnconfirmedError:
                await asyncio.sleep(ERROR_PAUSE)
        self.following = False
        self._give(math.inf)  # also those that began to wait during the last read

    async def _sleep(self, seconds: float) -> None:
        """Wait, unless a caller of `caught_up` waits."""
        signal = self._wakeup.signal()
        if not self._waiting:
            await asyncio.wait({signal}, timeout=seconds)

    async def _read(self) -> tuple[bool, bool]:
        """Read and announce what is new. Returns whether the lease may be taken, and whether there may be more."""
        self._turns += 1
        turn, before, database = self._turns, since_boot(), self._database
        limit = self._batch_size
        about = {"after_position": self._position, "limit": limit, "dead": LEASE_TIMEOUT, "replica": database.replica}
        self._batch_size = max(1, limit // 2)  # unless it succeeds
        rows = await database.run(database.reserved, "tail", about)
        state = rows[0]
        if state["writes"] < database.writes or state["epoch"] != database.epoch:
            raise await database.lost()
        database.writes = state["writes"]
        changes = [row for row in rows if row["change_position"] is not None]
        if changes:
            database.notify(self._saved(changes))
            self._position = changes[-1]["change_position"]
        late = 0.0 < self._responded_at < since_boot() - OUTAGE_AFTER  # the first read shows no outage
        if self.following and late and self.leader != Leader():
            # While a leader is silent, a late read does not prolong its time to return: a machine that is too slow to
            # read in time would never take the lease.
            self._down_at = since_boot()
        self.leader = Leader() if state["vacant"] else Leader(state["holder"], state["peer"])
        self._responded_at = before
        self._batch_size = min(MAX_CHANGES, limit + 1) if len(changes) == limit else limit
        if len(changes) < limit:
            self.read_at = before
            self._give(turn)
        # If the response to `take` was lost, this replica has the lease without knowing it. The lease does not look
        # vacant then, because `report_serving` renews its heartbeat.
        own = self._lease.unnoticed = state["own"]
        silent_leader = state["holder"] and since_boot() < self._down_at + LEADER_RETURN_TIMEOUT
        return bool(own) or (state["vacant"] and not silent_leader), bool(changes)

    def _saved(self, rows: Sequence[DictRow]) -> list[Saved]:
        """Return what the commits of changes have announced to their own process."""
        found = []
        specs = dict[GenerationId, Spec]()
        for row in rows:
            generation_id, tenant, generation = GenerationId(row["generation_id"]), row["change_tenant"], None
            if row["id"] is not None and row["change_shown"]:
                as_changed = {**row, "revision": row["change_revision"], "shown": row["change_shown"]}
                generation = generation_of(as_changed, specs.get(generation_id) or self._spec_of(generation_id))
                specs[generation_id] = generation.spec
                generation_id, tenant = generation.id, generation.tenant  # the texts that are kept anyway
            found.append(
                Saved(generation_id, generation, Change(row["change_position"], tenant, generation_id, generation))
            )
        return found

    def _give(self, turn: float) -> None:
        """Wake the callers that wait for this read or an earlier one."""
        waiting, self._waiting = self._waiting, []
        for number, done in waiting:
            if number <= turn:
                set_signal(done)
            else:
                self._waiting.append((number, done))
