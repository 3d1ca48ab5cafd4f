"""The store on a PostgreSQL database, which one gateway at a time writes (docs/postgresql.md)."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Self

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow, dict_row

from gateway.access.keys import ApiKey
from gateway.concurrency import keep_running
from gateway.generations.clock import since_boot
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.store_backoff import until_taken_over
from gateway.generations.stores import SpecOf, StoredCredentials, StoreError, UnconfirmedError
from gateway.store.postgres import migrations
from gateway.store.postgres.agents import PostgresAgents
from gateway.store.postgres.archive import PostgresCopies
from gateway.store.postgres.audit import PostgresAudit
from gateway.store.postgres.callbacks import PostgresCallbacks
from gateway.store.postgres.change_log import PostgresChangeLog
from gateway.store.postgres.characters import PostgresCharacters
from gateway.store.postgres.claims import PostgresClaims
from gateway.store.postgres.database import (
    LOCK_TIMEOUT,
    NO_EPOCH,
    STATEMENT_TIMEOUT,
    UNDECLARED,
    Database,
    StorePart,
    connection_parameters,
)
from gateway.store.postgres.deletions import PostgresDeletions
from gateway.store.postgres.errors import ConnectionLostError, ServerError, refused, unreachable
from gateway.store.postgres.events import PostgresEvents
from gateway.store.postgres.generations import PostgresGenerations
from gateway.store.postgres.health import PostgresHealth
from gateway.store.postgres.keys import PostgresKeys
from gateway.store.postgres.lease import LEASE_TIMEOUT, Lease
from gateway.store.postgres.limits import PostgresLimits
from gateway.store.postgres.log_writer import LogWriter
from gateway.store.postgres.tail import Tail
from gateway.store.postgres.times import PostgresTimes
from gateway.store.postgres.webhooks import PostgresWebhooks
from gateway.store.reads import AccountReads, CatalogReads, UsageReads
from gateway.store.rows import credentials_of
from gateway.store.store import Leader, SharedStore
from gateway.store.writes import AccountWrites, CatalogWrites

log = logging.getLogger(__name__)

RIGHTS = "the gateway's role must own its tables, and own its database or have the right CREATE on its schema"
MOVING = "a store is being moved into it; run hfgateway migrate sqlite-to-postgres again, until it is complete"
MIN_SERVER_VERSION = 14
RECONNECTIONS = 2
"""New connections for migrations after a lost one."""
REFUSAL_TIMEOUT = 1.0
"""Seconds in which the refusal of a connection keeps a replica from taking over. Shorter than STALE_AFTER."""
CHECK_STALENESS_INTERVAL = 0.25
"""Seconds between looks whether what is known of the store is new enough to be shown."""
ROLE_TIMEOUTS = {
    "statement_timeout": STATEMENT_TIMEOUT,
    "lock_timeout": LOCK_TIMEOUT,
    "idle_in_transaction_session_timeout": LOCK_TIMEOUT,
}
"""Seconds. They are set for the role in this database, because a pooler refuses them as parameters of a connection."""


class PostgresAccounts(StorePart, AccountReads, AccountWrites):
    """The methods are described in `gateway/generations/stores.py`."""


class PostgresCatalogs(StorePart, CatalogReads, CatalogWrites):
    """The methods are described in `gateway/catalog/ports.py`."""


class PostgresUsage(StorePart, UsageReads):
    """The methods are described in `gateway/generations/stores.py`."""


class PostgresStore(SharedStore):
    """All ports to the store on one database. Made by `open`, with the lease, or by `join`. See `SharedStore`.

    It is read without the lease, and written from the moment on in which this gateway has it, until `close`.
    """

    def __init__(self, url: str, shown: str, broken: Callable[[Exception], None], connections: int) -> None:
        self.database = database = Database(url, connections, broken)
        self.lease = Lease(database, shown, migrations.newest())
        self.others_send_for = 0.0
        self._url = url
        self._shown = shown
        self.upgrading: asyncio.Task[None] | None = None
        """Applies the migrations that wait for the end of older gateways."""
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        """For the preparation to lead, opened before the lease was taken; None if that took long."""
        self._refused = False
        """Whether the server refused the last attempt to open it."""
        self._watching: asyncio.Task[None] | None = None
        self._on_stale: Callable[[], None] = lambda: None
        self._writer = writer = LogWriter(database)
        self.tail = Tail(database, self.lease, self._take)
        self.health = PostgresHealth(database)
        self.claims = PostgresClaims(database, writer)
        self.generations = PostgresGenerations(database, writer)
        self.change_log = PostgresChangeLog(database, writer, self.tail)
        self.deletions = PostgresDeletions(database, writer)
        self.webhooks = PostgresWebhooks(database)
        self.events = PostgresEvents(database)
        self.accounts = PostgresAccounts(database)
        self.times = PostgresTimes(database)
        self.auditor = database.auditor
        self.audit = PostgresAudit(database)
        self.keys = PostgresKeys(database)
        self.limits = PostgresLimits(database)
        self.usage = PostgresUsage(database)
        self.callbacks = PostgresCallbacks(database)
        self.copies = PostgresCopies(database)
        self.agents = PostgresAgents(database)
        self.characters = PostgresCharacters(database)
        self.catalogs = PostgresCatalogs(database)

    @classmethod
    async def open(
        cls,
        url: str,
        shown: str,
        broken: Callable[[Exception], None],
        connections: int,
        *,
        moving: bool = False,
        declaring: bool = False,
    ) -> Self:
        """Check the server, take the lease, and bring the schema up to date. Raises ServerError.

        `shown` is the URL without secrets, for messages. `broken` is called if another gateway takes the lease. Refused
        are a database into which a store is being moved, unless `moving`, and one without an epoch, unless `declaring`
        it restored.
        """
        await _prepare(url, shown)
        store = cls(url, shown, broken, connections)
        async with store._opening():
            orderly = await store.lease.take()
            await store._prepare_to_lead(orderly=orderly, moving=moving, declaring=declaring)
        return store

    @classmethod
    async def join(cls, url: str, shown: str, broken: Callable[[Exception], None], connections: int) -> Self:
        """Open a store as `open` does, but without the lease if another gateway has it: see `leads`."""
        await _prepare(url, shown)
        store = cls(url, shown, broken, connections)
        async with store._opening():
            orderly = await store.lease.take_soon()
            if orderly is None:
                await store._read_meta()
            else:
                await store._prepare_to_lead(orderly=orderly)
            store._watching = asyncio.create_task(keep_running(store._report_staleness))
        return store

    @contextlib.asynccontextmanager
    async def _opening(self) -> AsyncIterator[None]:
        """Open the connections. If the body fails, close the store."""
        try:
            await self.database.open()
            yield
        except BaseException as error:
            await self.close()
            if isinstance(error, UnconfirmedError):
                raise ServerError(f"{self._shown}: {error}; see the log") from error
            raise

    @property
    def leads(self) -> bool:
        return self.lease.held

    @property
    def leader(self) -> Leader:
        return self.tail.leader

    @property
    def current(self) -> bool:
        return self.lease.certain or self.tail.fresh

    @property
    def age(self) -> float:
        return since_boot() - self._known_at

    @property
    def _known_at(self) -> float:
        """The time of the newest state that is known."""
        return max(self.lease.confirmed_at, self.tail.read_at)

    async def begin(self, position: int, spec_of: SpecOf) -> None:
        await self.tail.begin(position, spec_of)

    def on_stale(self, act: Callable[[], None]) -> None:
        self._on_stale = act

    async def _report_staleness(self) -> None:
        """Act also while a statement waits for a server that does not respond.

        A state that became too old between two looks counts, too: calls may have begun in between.
        """
        reported = 0.0  # as `_known_at` before the first read; also while the store can be used
        while True:
            if self.current:
                if reported:
                    log.info("the store can be used again")
                reported = 0.0
            elif self._known_at != reported:
                reported = self._known_at
                log.warning("the store cannot be used; refusing calls until it can")
                self._on_stale()
            await asyncio.sleep(CHECK_STALENESS_INTERVAL)

    async def follow(self) -> None:
        orderly = await self.tail.run()
        self.database.unlisten()
        await until_taken_over(lambda: self._prepare_to_lead(orderly=orderly))

    async def _take(self) -> bool | None:
        """Take the lease as `Lease.take_now` does, with a connection to prepare the store. Raises UnconfirmedError."""
        connection, taken = await self._connect_to_lead(), None
        self._refused = False
        try:
            taken = await self.lease.take_now()
        finally:
            if connection is not None and taken is None:
                await connection.close()
        self._connection = connection
        return taken

    async def _connect_to_lead(self) -> psycopg.AsyncConnection[TupleRow] | None:
        """Return a connection, or None if that takes long. Raises StoreError if the server refuses it.

        Without one, a new leader would end, and after it each other replica that takes the lease, although all of them
        can still serve reads.
        """
        try:
            # The log is not read in this time. The first of several servers may be dead, so no response is no refusal.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFUSAL_TIMEOUT):
                    return await connect(self._url, self._shown)
        except ServerError as error:
            if not self._refused:
                log.warning("the server refuses the connection to lead; will try again", extra={"error": str(error)})
            self._refused = True
            raise StoreError("the store's server refuses new connections") from error
        return None

    async def _prepare_to_lead(self, *, orderly: bool, moving: bool = False, declaring: bool = False) -> None:
        """Prepare a store whose lease was taken. Raises ServerError."""
        self.others_send_for = 0.0 if orderly else SEND_TIMEOUT
        if not orderly:
            await self.lease.await_attempts()
        fence = self.database.fence
        # A newer gateway may have changed the schema since.
        connection, self._connection = self._connection, None
        complete = await _prepare(self._url, self._shown, fence, connection)
        await self._read_meta(moving=moving, declaring=declaring)
        if not complete:
            self.upgrading = asyncio.create_task(_complete(self._url, self._shown, fence))

    async def _read_meta(self, *, moving: bool = False, declaring: bool = False) -> None:
        """Read what the store knows about itself. Raises ServerError if it cannot be used."""
        (row,) = await self.database.rows("read_meta", name="epoch")
        self.database.epoch = row["value"]
        if row["value"] == NO_EPOCH and not declaring:
            raise ServerError(f"{self._shown}: {UNDECLARED}")
        (row,) = await self.database.rows("read_writes")
        self.database.writes = max(self.database.writes, row["writes"])
        if not moving and await self.database.rows("read_meta", name="moving"):
            raise ServerError(f"{self._shown}: {MOVING}")

    async def reachable_at(self, peer: str) -> None:
        await self.database.write(None, "write_peer", {"peer": peer})

    async def report_serving(self) -> Sequence[ApiKey]:
        return await self.keys.changed(await self.lease.report_serving())

    @property
    def others(self) -> int:
        return self.lease.others

    async def close(self) -> None:
        self.database.refuse_writes()
        if self._watching is not None:
            self._watching.cancel()
        if self.upgrading is not None:
            self.upgrading.cancel()
            await asyncio.wait((self.upgrading,))
        if self._connection is not None:
            await self._connection.close()
        await self._writer.close()
        await self.database.finish_writes()
        await self.lease.give_back()
        await self.database.close()


async def examine(url: str, shown: str) -> str:
    """Check a server and its database without changing anything, and describe them. Raises ServerError."""
    async with _connected(url, shown) as connection:
        async with connection.transaction():  # some poolers allow none, and a migration is one
            await _check(connection, shown)
        if not await migrations.exist(connection, shown) or not await _has_schema(connection):
            await _check_create(connection, shown)
            return "will get its schema at the first start"
        missing = await migrations.missing(connection, shown)
        await _check_tables(connection, shown)
        if missing:
            await _check_create(connection, shown)
        cursor = await connection.execute("SELECT FROM meta WHERE name = 'epoch' AND value = %s", [NO_EPOCH])
        if await cursor.fetchone() is not None:
            raise ServerError(f"{shown}: {UNDECLARED}")
        cursor = await connection.execute("SELECT FROM meta WHERE name = 'moving'")
        if await cursor.fetchone() is not None:
            raise ServerError(f"{shown}: {MOVING}")
        cursor = await connection.execute("SELECT address FROM lease JOIN replicas USING (replica)")
        holder = await cursor.fetchone()
    state = f"lacks {len(missing)} migrations, which the next start applies" if missing else "is up to date"
    return f"{state}; its last gateway was {holder[0]}" if holder else f"{state}; no gateway runs on it"


async def exists(url: str, shown: str) -> bool:
    """Return whether a database has a store, without changing anything. Raises ServerError."""
    async with _connected(url, shown) as connection:
        return await migrations.exist(connection, shown)


async def credentials(url: str, shown: str) -> Sequence[StoredCredentials]:
    """Return the stored credentials of accounts without changing anything. Raises ServerError."""
    async with _connected(url, shown) as connection:
        cursor = await connection.execute("SELECT to_regclass('credentials') IS NOT NULL")
        if await cursor.fetchone() != (True,):
            return []
        async with connection.cursor(row_factory=dict_row) as rows:
            await rows.execute("SELECT * FROM credentials ORDER BY create_time, id")
            return [credentials_of(row) for row in await rows.fetchall()]


async def _prepare(
    url: str, shown: str, fence: int | None = None, connection: psycopg.AsyncConnection[TupleRow] | None = None
) -> bool:
    """Check the server and its database, and apply the migrations that can be applied now. Raises ServerError.

    `fence` is that of the lease, if this gateway has it. `connection` is used and closed, if it is given. Returns
    whether the schema is up to date.

    A lost connection is replaced. The server also ends one whose transaction stands still because this process does.
    """
    for _ in range(RECONNECTIONS):
        first, connection = connection, None
        with contextlib.suppress(ConnectionLostError):
            return await _prepare_once(url, shown, fence, first)
    return await _prepare_once(url, shown, fence)


async def _prepare_once(
    url: str, shown: str, fence: int | None, opened: psycopg.AsyncConnection[TupleRow] | None = None
) -> bool:
    async with _connected(url, shown, opened) as connection:
        await _check(connection, shown)
        await _limit(connection)
        try:
            return await migrations.apply(connection, shown, fence)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
            return await migrations.apply(connection, shown, fence)  # another gateway was creating the schema


async def _complete(url: str, shown: str, fence: int) -> None:
    """Apply the migrations for which no older gateway may run, once none does: once none sends heartbeats."""
    complete = False
    while not complete:
        await asyncio.sleep(LEASE_TIMEOUT)
        try:
            complete = await _prepare(url, shown, fence)
        except ServerError as error:
            log.warning("migrations could not be applied; will retry", extra={"error": str(error)})


async def connect(url: str, shown: str) -> psycopg.AsyncConnection[TupleRow]:
    """Return a new connection. Raises ServerError."""
    try:
        return await psycopg.AsyncConnection.connect(url, **connection_parameters(url))
    except psycopg.Error as error:
        raise unreachable(shown, error) from None  # its text may contain parts of the URL


@contextlib.asynccontextmanager
async def _connected(
    url: str, shown: str, connection: psycopg.AsyncConnection[TupleRow] | None = None
) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
    """Connect for the time of the block, unless there is a `connection`. Errors of the server in it become ServerError.

    It is a ConnectionLostError if the connection was lost.
    """
    if connection is None:
        connection = await connect(url, shown)
    try:
        yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServerError(f"{shown}: {error.diag.message_primary}; {RIGHTS}") from error
    except psycopg.Error as error:
        raise refused(shown, error, lost=connection.broken) from error
    finally:
        await connection.close()


async def _check(connection: psycopg.AsyncConnection[TupleRow], shown: str) -> None:
    """Raise ServerError if the server cannot keep the gateway's promises."""
    found = connection.info.server_version // 10_000
    if found < MIN_SERVER_VERSION:
        raise ServerError(f"{shown}: is PostgreSQL {found}, which is too old; use {MIN_SERVER_VERSION} or newer")
    cursor = await connection.execute(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',"
        " current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_encoding'),"
        " current_schema(), current_setting('standard_conforming_strings'), current_setting('array_nulls'),"
        " current_setting('client_min_messages')"
    )
    (row,) = await cursor.fetchall()
    standby, read_only, synchronous, synced, encoding, schema, conforming, nulls, messages = row
    if standby:
        advice = "name the primary, or all servers with target_session_attrs=read-write"
        raise ServerError(f"{shown}: is a read-only standby; {advice}")
    if read_only:
        raise ServerError(f"{shown}: is read-only; unset default_transaction_read_only for the role and the database")
    if synchronous == "off":
        raise ServerError(f"{shown}: may lose commits in a crash; set synchronous_commit = on")
    if encoding != "UTF8":
        raise ServerError(f"{shown}: has the encoding {encoding}; create the database with UTF8")
    if conforming == "off":  # statements and copied rows with a backslash would have another meaning
        raise ServerError(f"{shown}: reads backslashes as escapes; set standard_conforming_strings = on")
    if nulls == "off":
        raise ServerError(f"{shown}: reads NULL in arrays as a text; set array_nulls = on")
    if messages == "error":
        advice = "set client_min_messages = warning"
        raise ServerError(f"{shown}: hides the warning that the standby may lack a commit; {advice}")
    if schema is None:
        raise ServerError(f"{shown}: no schema of its search_path exists")
    if synced == "off":
        log.warning("the store's server has fsync = off: a crash of its machine loses generations that were charged")


async def _check_create(connection: psycopg.AsyncConnection[TupleRow], shown: str) -> None:
    """Raise ServerError if the role may not create tables."""
    cursor = await connection.execute("SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE')")
    ((schema, may),) = await cursor.fetchall()
    if not may:
        raise ServerError(f"{shown}: permission denied for schema {schema}; {RIGHTS}")


async def _check_tables(connection: psycopg.AsyncConnection[TupleRow], shown: str) -> None:
    """Raise ServerError if the role may not read and write all tables."""
    cursor = await connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        " AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')"
        " AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) ORDER BY relname LIMIT 1"
    )
    row = await cursor.fetchone()
    if row is not None:
        raise ServerError(f"{shown}: permission denied for table {row[0]}; {RIGHTS}")


async def _limit(connection: psycopg.AsyncConnection[TupleRow]) -> None:
    """Set the limits that are not set for the role that has logged in. They apply to new connections."""
    cursor = await connection.execute(
        "SELECT name FROM pg_settings WHERE setting = '0' AND name = ANY(%s)", [[*ROLE_TIMEOUTS]]
    )
    for (name,) in await cursor.fetchall():
        statement = sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
            sql.Identifier(connection.info.dbname), sql.Identifier(name), sql.Literal(f"{ROLE_TIMEOUTS[name]:g}s")
        )
        # Another gateway may do it at the same time.
        with contextlib.suppress(psycopg.errors.InternalError_, psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await connection.execute("SET LOCAL ROLE NONE")  # it may act as another role, whose limits do not apply
                await connection.execute(statement)


async def _has_schema(connection: psycopg.AsyncConnection[TupleRow]) -> bool:
    cursor = await connection.execute(
        "SELECT FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'lease'"
    )
    return await cursor.fetchone() is not None
