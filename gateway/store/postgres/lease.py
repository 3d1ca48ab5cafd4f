"""The lease on the store: one gateway writes at a time (docs/postgresql.md).

A gateway is a replica from its start to its end. It has the lease with a number, the fence, which grows whenever the
holder changes. Every write locks the row of the lease and names the fence, so a gateway that was paused and replaced
changes nothing, and a takeover waits for the writes that have begun.

The writes of the log and the heartbeats are counted in the database. If it has fewer than it has acknowledged, a
failover has lost commits: what was sent may look as if it was not. Then no gateway leads until an operator has
declared the store restored.

The holder sends a heartbeat every HEARTBEAT_INTERVAL seconds. By the server's clock it is dead after LEASE_TIMEOUT
seconds without one. It keeps the lease until another gateway takes it over, so an outage of the server alone ends no
gateway.

Another gateway follows the log of the holder (`tail.py`), and takes the lease when the holder has given it back or is
dead.
"""

import asyncio
import contextlib
import logging
import math
import os
import socket
from collections.abc import Sequence
from importlib.metadata import version

from psycopg.rows import DictRow

from gateway.agents.model import SESSION
from gateway.concurrency import OwnedTasks, keep_running, uninterrupted
from gateway.generations.clock import since_boot
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.stores import UnconfirmedError
from gateway.store.postgres.database import Database, Values
from gateway.store.postgres.errors import ServerError

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 0.5
"""Seconds between heartbeats: four in LEASE_TIMEOUT, so that one that is late or lost does not cost the lease."""
LEASE_TIMEOUT = 2.0
"""Seconds without a heartbeat after which the holder is dead. Calls fail for that long if a leader is killed."""
CHECK_HOLDER_INTERVAL = 0.15
"""Seconds between looks at a holder that may be dead: few queries, and little time in which no gateway leads."""
SERVING_TIMEOUT = 5.0
"""Seconds after which a replica that has not shown that it serves no longer counts."""


class Lease:
    """The lease of this process on the store of a database. `schema` is the newest migration that it knows."""

    def __init__(self, database: Database, store: str, schema: str) -> None:
        self._database = database
        self._store = store
        self._about = {
            "replica": database.replica,
            "version": version("hfgateway"),
            "address": f"{socket.gethostname()}, process {os.getpid()}",
            "schema": schema,
        }
        self._beats: asyncio.Task[None] | None = None
        self._tasks = OwnedTasks()
        self.unnoticed = 0
        """The fence with which this gateway has taken the lease, if it only knows that from a read of the log."""
        self.confirmed_at = -math.inf
        """The time before the last heartbeat that was stored was sent."""
        self._clean_at = -math.inf
        """The time from which on no earlier holder can send anything, if this gateway has the lease."""
        self.others = 0
        """The number of other replicas that serve, if this one has the lease."""

    @property
    def held(self) -> bool:
        """Whether this gateway has taken the lease."""
        return self._beats is not None

    @property
    def certain(self) -> bool:
        """Whether no other gateway can have taken the lease: the last stored heartbeat is within LEASE_TIMEOUT."""
        return since_boot() < self.confirmed_at + LEASE_TIMEOUT

    async def take(self) -> bool:
        """Take the lease as `take_soon` does. Raises ServerError if another gateway has it."""
        taken = await self.take_soon()
        if taken is None:
            raise ServerError(f"{self._store}: is in use by another gateway ({await self._holder()})")
        return taken

    async def take_soon(self) -> bool | None:
        """Take the lease as `take_now` does, after waiting for the death of a holder that has stopped beating."""
        taken = await self.take_now()
        return await self._take_from_dead_holder() if taken is None else taken

    @uninterrupted
    async def take_now(self) -> bool | None:
        """Take the lease if it is free, and beat from now on; return None if another gateway has it.

        Otherwise returns whether the previous holder gave it back itself, when no earlier one could send anything. It
        finishes even if the call is canceled, so that `give_back` knows of the lease.
        """
        before = since_boot()
        taken = await self._run("take", {**self._about, "dead": LEASE_TIMEOUT, "own": self.unnoticed})
        if not taken:
            return None
        self.confirmed_at = before
        self._database.fence, self._database.beats = taken[0]["fence"], taken[0]["beats"]
        self._database.recovered()
        self._beats = asyncio.create_task(keep_running(self._beat))
        released = bool(taken[0]["released"])
        if not released:
            self._clean_at = since_boot() + SEND_TIMEOUT
        return released

    async def _holder(self) -> str:
        """Return the name of the gateway that has the lease, for messages."""
        found = await self._run("read_holder")
        return str(found[0]["address"]) if found else "it has just started"

    async def _take_from_dead_holder(self) -> bool | None:
        """Take the lease of a holder that does not beat while it is observed. Returns None if it does."""
        first = await self._run("read_holder")
        give_up = since_boot() + LEASE_TIMEOUT + 2 * HEARTBEAT_INTERVAL
        while since_boot() < give_up and await self._run("read_holder") == first:
            if (taken := await self.take_now()) is not None:
                return taken
            await asyncio.sleep(CHECK_HOLDER_INTERVAL)
        return None

    async def report_serving(self) -> str:
        """Show that this gateway serves without the lease. Returns a text that changes with the API keys."""
        (row,) = await self._run("report_serving", self._about)
        self._database.recovered()
        return str(row["keys"])

    async def give_back(self) -> None:
        """Give the lease back, so that the next gateway need not wait. Call it after the last write."""
        await self._tasks.drained()
        if self._beats is not None:
            self._beats.cancel()
            database, clean = self._database, since_boot() >= self._clean_at
            with contextlib.suppress(UnconfirmedError):
                await self._run("give_back", {"replica": database.replica, "fence": database.fence, "clean": clean})

    async def await_attempts(self) -> None:
        """Wait until the previous holder, should it wake up, can no longer order a training or message an agent.

        The generations that it may still send are not recovered before that: see `Store.others_send_for`.
        """
        found = await self._run("has_attempts", {"session_fingerprint": SESSION})
        if found[0]["found"]:
            log.warning("the previous leader did not shut down cleanly; waiting 10 s until it can no longer send")
            await asyncio.sleep(SEND_TIMEOUT)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            with contextlib.suppress(UnconfirmedError):  # without the server, no gateway can take the lease over
                if not await self._beat_once():
                    return

    async def _beat_once(self) -> bool:
        """Send a heartbeat. Returns False if another gateway has taken the lease, or the server has lost commits."""
        before, database = since_boot(), self._database
        about = {**database.condition, "beats": database.beats, "serving": SERVING_TIMEOUT}
        if not (rows := await self._run("beat", about)):
            await database.lost()
            return False
        database.beats = rows[0]["beats"]
        self.others = rows[0]["others"]
        self.confirmed_at = before
        return True

    async def _run(self, name: str, values: Values | None = None) -> Sequence[DictRow]:
        return await self._database.run(self._database.reserved, name, values or {})
