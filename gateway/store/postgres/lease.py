"""The lease on the store: one gateway writes at a time (docs/postgresql.md).

A gateway is a replica from its start to its end. It has the lease with a number, the fence, which grows whenever the
holder changes. Every write locks the row of the lease and names the fence, so a gateway that was paused and replaced
changes nothing, and a takeover waits for the writes that have begun.

The holder sends a heartbeat every BEAT seconds. By the server's clock it is dead after DEAD seconds without one. It
keeps the lease until another gateway takes it over, so an outage of the server alone ends no gateway.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
import uuid
from collections.abc import Sequence
from importlib.metadata import version

from psycopg.rows import DictRow

from gateway.agents.model import SESSION
from gateway.generations.state import SEND_WITHIN
from gateway.generations.stores import UnconfirmedError
from gateway.store.postgres.database import Database, Values
from gateway.store.postgres.errors import ServerError

log = logging.getLogger(__name__)

BEAT = 1.0
DEAD = 5.0
LOOK_AGAIN = 0.25
"""Seconds between attempts to take a lease whose holder may be dead."""


class Lease:
    """The lease of this process on the store of a database."""

    def __init__(self, database: Database, store: str) -> None:
        self._database = database
        self._store = store
        self._replica = uuid.uuid4()
        self._address = f"{socket.gethostname()}, process {os.getpid()}"
        self._beats: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Take the lease, and beat from now on. Waits for the death of a holder that has stopped beating.

        If that holder may have begun a request, this also waits until it can no longer send its first byte. Raises
        ServerError if the holder is alive, or UnconfirmedError.
        """
        about = {"replica": self._replica, "version": version("hfgateway"), "address": self._address}
        await self._run("join", about)
        first = None
        give_up = time.monotonic() + DEAD + 2 * BEAT
        while not (taken := await self._run("take", {"replica": self._replica, "dead": DEAD})):
            holder = await self._run("read_holder")
            if holder:
                first = first or holder[0]
                if holder[0] != first or time.monotonic() > give_up:
                    raise ServerError(f"{self._store}: is in use by another gateway ({holder[0]['address']})")
            await asyncio.sleep(LOOK_AGAIN)
        self._database.fence = taken[0]["fence"]
        self._beats = asyncio.create_task(self._beat())
        if not taken[0]["released"]:
            await self._await_attempts()

    async def give_back(self) -> None:
        """Give the lease back, so that the next gateway need not wait. Call it after the last write."""
        if self._beats is not None:
            self._beats.cancel()
            with contextlib.suppress(UnconfirmedError):
                await self._run("give_back", {"replica": self._replica, "fence": self._database.fence})

    async def _await_attempts(self) -> None:
        """Wait until the holder before, should it wake up, finds that the time to send its marked requests is over."""
        found = await self._run("has_attempts", {"session_fingerprint": SESSION})
        if found[0]["found"]:
            log.warning("the gateway before has not ended in an orderly way; waiting until it can send nothing more")
            await asyncio.sleep(SEND_WITHIN)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            with contextlib.suppress(UnconfirmedError):  # the server is away, and nobody else can take the lease
                if not await self._run("beat", {"replica": self._replica, "fence": self._database.fence}):
                    self._database.lost()
                    return

    async def _run(self, name: str, values: Values | None = None) -> Sequence[DictRow]:
        return await self._database.run(self._database.reserved, name, values or {})
