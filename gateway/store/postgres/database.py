"""The connections that all parts of the store share, and the one way in which they read and write.

A statement is a transaction by itself, in autocommit mode, so no transaction is open while the gateway does something
else. Statements are not prepared and nothing belongs to a session, so a pooler in transaction mode can stand between.
Parameters and results are binary (docs/decisions/0043).
"""

import asyncio
import contextlib
import logging
import os
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from gateway import failpoints
from gateway.concurrency import OwnedTasks, retrieve_exception
from gateway.generations.stores import Listener, Saved, StoreError, UnconfirmedError, UnknownCommitError
from gateway.store import statements
from gateway.store.auditor import Auditor
from gateway.store.codec import Row
from gateway.store.postgres.errors import IDLE_SESSION_TIMEOUT, READ_ONLY, Outcome, outcome
from gateway.store.reads import StoreReads
from gateway.store.writes import StoreWrites

log = logging.getLogger(__name__)

T = TypeVar("T")

STATEMENT_TIMEOUT = 5.0
"""Seconds after which the server ends a statement."""
LONG_STATEMENTS = frozenset({"read_earlier_use", "read_usage"})
"""Statements that an operator may let read a whole table."""
LONG_STATEMENT_TIMEOUT = 300.0
"""Seconds after which the server ends one of them."""
LOCK_TIMEOUT = 2.0
"""Seconds after which the server ends a statement that waits for a lock."""
RESPONSE_TIMEOUT = 8.0
"""Seconds after which the gateway gives up a connection that no longer responds. Longer than STATEMENT_TIMEOUT."""
KEEPALIVE_IDLE = 60
"""Seconds after which the system probes an idle connection. Firewalls drop one within minutes, without a reset."""
KEEPALIVE_INTERVAL = 5
"""Seconds until the next probe if there is no response. After three, the connection has failed."""
CONNECT_TIMEOUT = 5.0
"""Seconds for a connection to one server of the URL, or for a connection of the pool to become free."""
QUERY_CANCELED = "57014"
"""The SQLSTATE of a statement that took longer than its limit."""
RESERVED_CONNECTIONS = 2
"""Connections of the pool that only the log and the heartbeat use, so that no number of reads can keep them waiting."""
PROBE_SIZE = 64 * 1024
"""Bytes that `probe` writes: as many as a submission may need."""
PROBE_INTERVAL = 1.0
"""Seconds between probes of a server that refuses writes."""
CHECK_LOSS_INTERVAL = 0.25
"""Seconds until the server is asked again whether it has lost commits."""
PRUNE_BATCH_SIZE = 10_000
"""Rows without content, such as keys, that one statement of retention deletes."""
MAX_REPEATS = 10
"""Repeats of a statement after a serialization failure or a deadlock."""
SERVER_ERROR_CLASSES = frozenset({"25", "42", "53", "55", "57", "58", "XX"})
"""Classes of SQLSTATE that other statements get, too: a standby, no rights, no space, a limit of time, a defect."""
NUL = "\0"
"""No text of PostgreSQL has this character, so nothing is found by a text with it."""
CLOSED = "the store is closed"
NOT_LEADING = "this gateway does not have the store"
LEASE_LOST = "another gateway has taken over the store"
RESTORED = "the store was restored"
UNDECLARED = (
    "the store's server has lost commits, or the declaration that it was restored is not complete:"
    " stop all gateways and run hfgateway migrate --restored"
)
NO_EPOCH = ""
"""The epoch of a store that has lost commits, until an operator has declared it restored, and during that."""
UNREACHABLE = "the store's server cannot be reached"

Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]
Values = Mapping[str, object]


class LeaseLostError(StoreError):
    """Another gateway has the lease, or commits were lost. Nothing was stored, and nothing ever will be by this one."""


class Database:
    """The pools of connections, and the statements. `fence` is the number of the lease, which every write names.

    It is 0 before this gateway has taken the lease; then all writes are refused.

    `broken` is called once, when another gateway has taken the lease, or the server has lost commits. `epoch` names
    this history of the store, and `replica` this process.
    """

    def __init__(self, url: str, connections: int, broken: Callable[[Exception], None]) -> None:
        self.sql: Final = {name: _placeholders(sql) for name, sql in statements.load("postgres").items()}
        self.replica: Final = uuid.uuid4()
        self.auditor = Auditor()
        self.fence = 0
        self.epoch = NO_EPOCH
        self.writes = 0
        """The number of writes of the log that the server has acknowledged. It has lost commits if it knows fewer."""
        self.beats = 0
        """The number of heartbeats of this process that the server has acknowledged."""
        self.trouble = ""
        """Why the last refused write was refused, until `recovered`; empty otherwise."""
        self.refused = 0
        self._password = urlsplit(url).password or ""
        self._pool = _pool(url, connections - RESERVED_CONNECTIONS)
        self.reserved = _pool(url, RESERVED_CONNECTIONS)
        self._broken: Callable[[Exception], None] | None = broken
        self._listeners: list[Listener] = []
        self._writes = OwnedTasks()
        self._healing: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Start the pools, and wait until each has a connection. Raises StoreError.

        A statement would not wait for as long as a connection takes if a server of the URL does not respond.
        """
        pools = (self._pool, self.reserved)
        for pool in pools:
            await pool.open()
        try:
            for pool in pools:
                await pool.wait()
        except PoolTimeout as error:
            raise StoreError("no connection to the store was made in time") from error

    async def finish_writes(self) -> None:
        """Return when all writes have ended that had begun before `refuse_writes`."""
        await self._writes.drained()

    async def close(self) -> None:
        """Close all connections."""
        if self._healing is not None:
            self._healing.cancel()
        for pool in (self._pool, self.reserved):
            await pool.close()

    def refuse_writes(self) -> None:
        """Refuse writes that begin from now on, because the store is being closed."""
        self._closed = True

    # -- Reads ---------------------------------------------------------------------------------------------------------

    async def rows(self, name: str, /, **values: object) -> Sequence[DictRow]:
        """Return the rows that a statement reads; `values` are its parameters. Raises StoreError."""
        if any(isinstance(value, str) and NUL in value for value in values.values()):
            return []
        values = {name: _storable(value) if isinstance(value, list) else value for name, value in values.items()}
        for last in (False, True):
            try:
                return await self.run(self._pool, name, values, reads=True)
            except UnknownCommitError as error:
                if last:
                    raise StoreError("the store cannot be read") from error
        raise AssertionError

    # -- Writes --------------------------------------------------------------------------------------------------------

    async def write(
        self, step: str | None, name: str, values: Values, *, repeat: bool = True, lock: str = ""
    ) -> DictRow:
        """Execute a statement that writes, and return its row. `step` is the name for failpoints.

        `lock` is a statement that the same transaction executes before it. If the response is lost, it is repeated
        once, unless its result would then differ (`repeat` False). It continues if its caller is canceled. Raises
        UnconfirmedError, or IntegrityError of psycopg if it violates a constraint.
        """
        return await self._writes.finish(self._write(step, name, values, repeat=repeat, lock=lock))

    async def _write(self, step: str | None, name: str, values: Values, *, repeat: bool, lock: str) -> DictRow:
        self.check_open()
        if step is not None:
            failpoints.before(step)
        try:
            rows = await self.run(self._pool, name, {**values, **self.condition}, lock)
        except UnknownCommitError as unknown:
            if not repeat:
                raise
            try:
                rows = await self.run(self._pool, name, {**values, **self.condition}, lock)
            except StoreError:
                raise unknown from None  # it says nothing about the first attempt
            except UnknownCommitError:
                self.failed(UNREACHABLE)
                raise
        await self.check_fence(rows)
        if step is not None:
            failpoints.after(step)
        return rows[0]

    def check_open(self) -> None:
        """Raise StoreError if writes are refused."""
        if self._closed or self.trouble or not self.fence:
            self.refused += 1
            raise StoreError(self.trouble or (CLOSED if self._closed else NOT_LEADING))

    @property
    def condition(self) -> Values:
        """The parameters by which a write changes nothing if another gateway has the lease, or commits were lost."""
        return {"fence": self.fence, "replica": self.replica, "writes": self.writes}

    async def check_fence(self, rows: Sequence[DictRow]) -> None:
        """Raise LeaseLostError if the rows of a write show that it was not allowed."""
        if not rows[0]["fenced"]:
            raise await self.lost()
        self.writes = max(self.writes, rows[0].get("writes") or 0)

    async def lost(self) -> LeaseLostError:
        """Find out why this gateway can no longer use the store, report and return it. The gateway must end.

        If the server has lost commits, no gateway can lead from now on. Only this process may know it, so it asks until
        the server responds.
        """
        self.trouble = LEASE_LOST
        error = LeaseLostError(await self._why_lost())
        if self._broken is not None:
            broken, self._broken = self._broken, None
            broken(error)
        return error

    async def _why_lost(self) -> str:
        about = {**self.condition, "beats": self.beats, "epoch": self.epoch}
        while not self._closed:
            try:
                (row,) = await self.run(self.reserved, "note_loss", about)
            except UnconfirmedError:
                await asyncio.sleep(CHECK_LOSS_INTERVAL)
                continue
            if row["lost"] or row["epoch"] == NO_EPOCH:
                return UNDECLARED
            return LEASE_LOST if row["epoch"] == self.epoch else RESTORED
        return LEASE_LOST

    # -- Statements ----------------------------------------------------------------------------------------------------

    async def run(
        self, pool: Pool, name: str, values: Values, lock: str = "", *, reads: bool = False
    ) -> Sequence[DictRow]:
        """Execute a statement on a connection of a pool, and return its rows. A read that is slow stops no writes.

        Raises StoreError if it was not stored, UnknownCommitError if its response was lost, or IntegrityError.
        """
        for _ in range(MAX_REPEATS):
            try:
                more = LONG_STATEMENT_TIMEOUT if name in LONG_STATEMENTS else 0.0
                before = f"SET LOCAL statement_timeout = '{more:.0f}s'" if more else self.sql[lock] if lock else ""
                return await self._within_timeout(pool, self._once(pool, self.sql[name], values, before), more)
            except psycopg.IntegrityError:
                raise
            except PoolTimeout as error:
                if pool is self.reserved:  # the other one may only be busy; the heartbeat finds out
                    self.failed(UNREACHABLE)
                raise StoreError("no connection to the store is free") from error
            except psycopg.Error as error:
                found = outcome(error)
                if found is Outcome.UNKNOWN or error.sqlstate in {IDLE_SESSION_TIMEOUT, READ_ONLY}:
                    await pool.drain()  # the server may have ended all of them, or new ones may be writable
                if found is Outcome.UNKNOWN:
                    raise UnknownCommitError("the connection to the store was lost") from error
                if found is Outcome.NOT_STORED:
                    slow = reads and error.sqlstate == QUERY_CANCELED
                    if not slow and (error.sqlstate or "")[:2] in SERVER_ERROR_CLASSES:
                        self.failed(f"the store's server refuses statements: {self._plain(error)}")
                    raise StoreError("the store refuses the statement") from error
            await asyncio.sleep(random.uniform(0.001, 0.02))
        raise StoreError("the store's server let other statements go first too often")

    async def _once(self, pool: Pool, sql: str, values: Values, before: str) -> Sequence[DictRow]:
        async with pool.connection(timeout=CONNECT_TIMEOUT) as connection:
            with _replicated(connection):
                if before:
                    async with connection.transaction():
                        await connection.execute(before)
                        cursor = await connection.execute(sql, values, binary=True)
                        return await cursor.fetchall()
                cursor = await connection.execute(sql, values, binary=True)
                return await cursor.fetchall() if cursor.description else ()

    async def _within_timeout(self, pool: Pool, statement: Any, more: float) -> Sequence[DictRow]:
        """Await a statement for a limited time, which `more` extends by seconds.

        Without a response the statement is canceled but not awaited, because psycopg would wait for the server again.
        """
        task = asyncio.ensure_future(statement)
        try:
            done, _ = await asyncio.wait({task}, timeout=CONNECT_TIMEOUT + RESPONSE_TIMEOUT + more)
        except asyncio.CancelledError:
            _abandon(task)
            raise
        if not done:
            _abandon(task)
            await pool.drain()  # a firewall may have forgotten all of them
            raise UnknownCommitError("the store's server does not respond")
        rows: Sequence[DictRow] = task.result()
        return rows

    def _plain(self, error: Exception) -> str:
        """Return the first line of an error without values of rows or the password."""
        text = str(error).partition("\n")[0]
        return text.replace(unquote(self._password), "***") if self._password else text

    # -- Health and listeners ------------------------------------------------------------------------------------------

    def failed(self, why: str) -> None:
        """Refuse writes until `recovered`."""
        if not self.trouble:
            log.error("the store cannot be written", extra={"error": why})
            self.trouble = why
        if self._healing is None or self._healing.done():
            self._healing = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        """Probe until the server can be written. Takeovers and drains wait for that, and have no core that does it."""
        while self.trouble and not self._closed:
            await asyncio.sleep(PROBE_INTERVAL)
            if self.trouble and self.fence:
                with contextlib.suppress(UnconfirmedError):
                    await self.probe()

    async def probe(self) -> None:
        """Write and remove as many bytes as a submission may need. Raises UnconfirmedError."""
        for size in (PROBE_SIZE, 0):
            about = {"bytes": size, **self.condition}
            try:
                rows = await self.run(self.reserved, "write_probe", about)
            except UnknownCommitError:  # the connection may have ended long ago
                rows = await self.run(self.reserved, "write_probe", about)
            await self.check_fence(rows)
        self.recovered()

    def recovered(self) -> None:
        """Clear `trouble`, after a write was stored. A lost lease does not come back."""
        if self.trouble not in {"", LEASE_LOST}:
            self.trouble = ""
            log.info("the store can be written again")

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each commit; see `ChangeLog.listen`."""
        self._listeners.append(listener)

    def unlisten(self) -> None:
        """Call none of the listeners any more."""
        self._listeners = []

    def notify(self, saved: Sequence[Saved]) -> None:
        """Call the listeners."""
        for listener in self._listeners:
            try:
                listener(saved)
            except Exception:
                # The writes are stored, so their callers must get the result.
                log.exception("a listener of the store failed")


class StorePart(StoreReads, StoreWrites):
    """A part of the store: one port, on the database that all parts share."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write = database.write
        self._auditor = database.auditor

    async def _rows(self, name: str, /, **values: object) -> Sequence[DictRow]:
        return await self._database.rows(name, **values)

    async def _rows_aside(self, name: str, values: Values, convert: Callable[[Row], T]) -> list[T]:
        return [convert(row) for row in await self._rows(name, **values)]

    def _array(self, values: Sequence[str] | Sequence[int]) -> Sequence[str] | Sequence[int]:
        return [*values]

    async def _change(self, step: str, name: str, values: Values, entry: str | None = None) -> bool:
        return bool((await self._write(step, name, {**values, "audit": entry}))["written"])

    async def _prune_all(self, name: str, values: Values) -> None:
        limit = {"limit": PRUNE_BATCH_SIZE}
        while (await self._write("prune", name, {**values, **limit}))["written"] == PRUNE_BATCH_SIZE:
            pass


def arrays(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the columns of rows with equal names, as parameters of a statement that takes an array for each."""
    names = rows[0] if rows else ()
    return {name: [row[name] for row in rows] for name in names}


def _storable(values: Sequence[object]) -> Sequence[object]:
    """Return the values without texts that PostgreSQL cannot store."""
    return [value for value in values if not (isinstance(value, str) and NUL in value)]


def _placeholders(sql: str) -> str:
    """Return a statement with psycopg's placeholders for binary parameters."""
    return statements.PARAMETER.sub(r"%(\1)b", sql.replace("%", "%%"))


def connection_parameters(url: str) -> dict[str, Any]:
    """Return the parameters of all connections, as far as the URL does not set them.

    The system finds dead ones. No standby is used, to which a name or a proxy may lead after a failover, because it may
    lack the newest commits.
    """
    given = conninfo_to_dict(url)
    wanted = {
        "target_session_attrs": os.environ.get("PGTARGETSESSIONATTRS") or "primary",
        "keepalives_idle": KEEPALIVE_IDLE,
        "keepalives_interval": KEEPALIVE_INTERVAL,
        "keepalives_count": 3,
        "tcp_user_timeout": 3 * KEEPALIVE_INTERVAL * 1000,  # for what was sent: the system probes idle connections only
    }
    return {name: value for name, value in wanted.items() if name not in given} | {
        "autocommit": True,
        "prepare_threshold": None,
        "connect_timeout": int(CONNECT_TIMEOUT),
        "application_name": "hfgateway",
        "client_encoding": "UTF8",
    }


def _pool(url: str, size: int) -> Pool:
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=CONNECT_TIMEOUT,
        # After this, the next statement that needs a connection tries again at once.
        reconnect_timeout=CONNECT_TIMEOUT / 2,
        kwargs=connection_parameters(url) | {"row_factory": dict_row},
    )


@contextlib.contextmanager
def _replicated(connection: psycopg.AsyncConnection[DictRow]) -> Iterator[None]:
    """Raise OperationalError if the wait for the standby is canceled: the commit may be lost in a failover.

    The server reports success then, with a warning.
    """
    functions = set[str | None]()

    def note(notice: psycopg.errors.Diagnostic) -> None:
        functions.add(notice.source_function)  # its text may be translated

    connection.add_notice_handler(note)
    try:
        yield
    finally:
        connection.remove_notice_handler(note)
    if "SyncRepWaitForLSN" in functions:
        raise psycopg.OperationalError("the wait for the standby was canceled")


def _abandon(task: "asyncio.Future[Any]") -> None:
    """Cancel a task, whose result nothing waits for."""
    task.cancel()
    task.add_done_callback(retrieve_exception)
