"""The simulated database server: the SQL of all replicas runs on a real PostgreSQL, but over a simulated network.

The statements run one after another on one connection, in the thread of the simulation. That is what a server does with
statements of one transaction each that lock the same rows. Their time is the simulated one.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

import psycopg
from psycopg.rows import dict_row, tuple_row
from psycopg_pool import PoolTimeout

from gateway.store import statements
from gateway.store.postgres import database as gateway_database
from gateway.store.postgres import migrations
from gateway.store.postgres import store as gateway_store
from gateway.store.postgres.database import CONNECT_TIMEOUT, Database
from gateway.store.postgres.errors import ServerError
from tests.simulation.checker import Takeover
from tests.simulation.loop import CURRENT_PROCESS
from tests.simulation.world import World
from tests.support.postgres import running

SILENT, REFUSES = "silent", "refuses"
"""How a network or a server is down: nothing is answered, or connections break and are refused."""
READS = frozenset({"tail", "report_serving", "beat", "has_attempts", "is_prunable"})
"""Statements that are not recorded, nor those whose names begin with `read_`: there are too many."""
REFUSALS = ("53100", "25006", "57014", "55P03", "53200")
"""SQLSTATEs of statements that were not stored: full disk, read-only, two limits of time, no memory."""
CONFLICTS = ("40001", "40P01")
MAX_DELAY = 30.0
"""Seconds until a late statement arrives, at most."""
KNOWN_FOR = 1.0
"""Seconds after a heartbeat of the holder in which `tail` does not find it dead: less than LEASE_TIMEOUT."""
NOW = "to_timestamp(%(simulated_now)b::double precision)"
URL = "SIMULATION_DATABASE"
"""The environment variable with the URL of a server that an earlier process has started."""


@dataclass
class DatabaseBehaviour:
    """The probabilities of faults in one statement."""

    request_lost: float = 0.0
    """The connection breaks before the statement arrives."""
    answer_lost: float = 0.0
    """The connection breaks after the statement has run."""
    take_lost: float = 0.0
    """Added to `answer_lost` for the statement that takes the lease."""
    late: float = 0.0
    """The connection breaks, and the statement arrives up to MAX_DELAY seconds later."""
    conflict: float = 0.0
    """The server asks for a repeat."""
    refused: float = 0.0
    """The server refuses the statement."""
    latency: float = 0.001
    """Seconds. A message takes between a third of this time and ten times as long."""


class Link:
    """The network between a machine and the server."""

    def __init__(self) -> None:
        self.cut = ""
        """Empty if it works; otherwise SILENT or REFUSES."""
        self.held: list[Callable[[], None]] = []
        """The messages of a silent network, which arrive when it works again."""


@dataclass
class Statement:
    """A statement that was sent. `answer` gets its rows or its error."""

    sql: str
    values: Mapping[str, object]
    lock: str
    answer: asyncio.Future[Sequence[Any]]
    process: int


class DatabaseServer:
    """The server of one run, with an empty store."""

    def __init__(self, world: World, connection: psycopg.Connection[Any]) -> None:
        self.world = world
        self.behaviour = DatabaseBehaviour()
        self.state = ""
        """Empty while it works; SILENT or REFUSES for all; otherwise the SQLSTATE with which it refuses writes."""
        self.clock_skew = 0.0
        """Seconds by which its clock is ahead of the true time."""
        self.takeovers: list[Takeover] = []
        self.write_attempts: deque[float] = deque(maxlen=4000)
        """The true times of the newest statements that write."""
        self.on_write: Callable[[int], None] = lambda process: None
        """Called before each statement of a process that writes, when it arrives."""
        self.after_write: Callable[[psycopg.Cursor[Any]], None] = lambda cursor: None
        """Called after each statement that writes, with a cursor whose rows are tuples."""
        self.links: dict[int, Link] = {}
        """By the number of the process."""
        self._connection = connection
        loaded = statements.load("postgres").items()
        self._names = {gateway_database._placeholders(sql): name for name, sql in loaded}
        self._rewritten: dict[str, str] = {}
        self._held: list[Callable[[], None]] = []
        self._changes = 0
        """The number of statements so far that may have changed what `tail` reads, heartbeats apart."""
        self._tails: dict[tuple[object, ...], Sequence[Any]] = {}
        """What `tail` has read since the last of them: to execute it again would change nothing."""
        self._beat_at = -math.inf
        """The server's time of the last heartbeat of the holder of the lease."""
        _empty(connection)

    def read(self, sql: str) -> list[Any]:
        """Return the rows of a query of the simulation itself, as tuples."""
        return self._connection.cursor(row_factory=tuple_row).execute(sql).fetchall()

    def write(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement of the simulation itself for each row of parameters."""
        self._connection.cursor().executemany(sql, rows)

    # -- The network ---------------------------------------------------------------------------------------------------

    def set_state(self, state: str) -> None:
        """Set the state. What a silent server holds back runs when it is no longer silent."""
        if state != self.state:
            self.world.record("database", state or "works")
            self.state = state
            if state != SILENT:
                _release(self._held)

    def set_link(self, link: Link, cut: str) -> None:
        """Cut a network, or let it work again."""
        link.cut = cut
        if cut != SILENT:
            _release(link.held)

    def usable(self, link: Link) -> bool:
        """Return whether a new connection would be accepted, or at least not be refused."""
        return REFUSES not in (link.cut, self.state)

    def send(self, statement: Statement) -> None:
        """Send a statement. It arrives even if its process has ended by then."""
        self._later(self._arrive, statement)

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        latency = self.behaviour.latency
        self.world.call_later(self.world.log_uniform(latency / 3, latency * 10), call, *arguments)

    def _blocked(self, statement: Statement, again: Callable[[], None]) -> bool:
        """Return whether a message cannot pass. Calls `again` when it can, or breaks the connection."""
        link = self.links[statement.process]
        if REFUSES in (link.cut, self.state):
            self._later(_fail, statement, _broken())
        elif link.cut:
            link.held.append(again)
        elif self.state == SILENT:
            self._held.append(again)
        else:
            return False
        return True

    def _arrive(self, statement: Statement) -> None:
        world, behaviour = self.world, self.behaviour
        if self._blocked(statement, lambda: self._arrive(statement)):
            return
        name = self._name(statement)
        writes = not (name in READS or name.startswith("read_"))
        if writes:
            self.write_attempts.append(world.now)
            self.on_write(statement.process)
        if world.draw_fault(behaviour.request_lost):
            world.record("lost", name, "of", statement.process)
            self._later(_fail, statement, _broken())
        elif world.draw_fault(behaviour.late):
            world.record("delays", name, "of", statement.process)
            self._later(_fail, statement, _broken())
            world.call_later(world.log_uniform(0.01, MAX_DELAY), self._run_late, statement)
        elif world.draw_fault(behaviour.conflict):
            self._later(_fail, statement, _error(world.rng.choice(CONFLICTS)))
        elif writes and (self.state or world.draw_fault(behaviour.refused)):
            code = self.state or world.rng.choice(REFUSALS)
            world.record("refuses", name, "of", statement.process, code)
            self._later(_fail, statement, _error(code))
        else:
            answer = self._run(statement, name)
            take_lost = name == "take" and world.draw_fault(behaviour.take_lost)
            if take_lost or world.draw_fault(behaviour.answer_lost):
                world.record("lost the answer to", name, "of", statement.process)
                self._later(_fail, statement, _broken())
            else:
                self._later(self._answer, statement, answer)

    def _answer(self, statement: Statement, answer: Sequence[Any] | psycopg.Error) -> None:
        if self._blocked(statement, lambda: self._answer(statement, answer)):
            return
        if isinstance(answer, psycopg.Error):
            _fail(statement, answer)
        elif not statement.answer.done():
            statement.answer.set_result(answer)

    def _run_late(self, statement: Statement) -> None:
        if not self.state:
            self._run(statement, self._name(statement))

    # -- The statements ------------------------------------------------------------------------------------------------

    def _run(self, statement: Statement, name: str) -> Sequence[Any] | psycopg.Error:
        """Execute a statement and return its rows or its error."""
        holder = self._holder() if name == "take" else None
        known = self._tails.get(self._tail_key(statement)) if name == "tail" else None
        if known is not None and abs(self._now() - self._beat_at) < KNOWN_FOR:
            return known
        try:
            if statement.lock:
                with self._connection.transaction():
                    self._connection.execute(statement.lock)
                    rows = self._execute(statement)
            else:
                rows = self._execute(statement)
        except psycopg.Error as error:
            self.world.record("refused", name, "of", statement.process, error.sqlstate)
            return error
        if name == "tail" and not rows[0]["vacant"]:
            self._tails = {key: found for key, found in self._tails.items() if key[0] == self._changes}
            self._tails[self._tail_key(statement)] = rows
        elif name == "beat" and rows:
            self._beat_at = self._now()
        elif not (name in READS or name.startswith("read_")):
            self._changes += 1
            self._note(statement, name, rows, holder)
        return rows

    def _execute(self, statement: Statement) -> Sequence[Any]:
        sql = self._rewritten.get(statement.sql)
        if sql is None:
            sql = self._rewritten[statement.sql] = statement.sql.replace("now()", NOW)
        values = {**statement.values, "simulated_now": self._now()}
        cursor = self._connection.execute(sql, values, binary=True, prepare=True)
        return cursor.fetchall() if cursor.pgresult.nfields else ()

    def _note(self, statement: Statement, name: str, rows: Sequence[Any], holder: int | None) -> None:
        process = statement.process
        if name == "take":
            if rows:
                self.takeovers.append(Takeover(self.world.now, process, holder, rows[0]["released"]))
                self.world.record("lease of", process, "fence", rows[0]["fence"], "before", holder)
            return
        first = rows[0] if rows else {}
        about = [first.get(column) for column in ("fenced", "position", "saved", "written") if column in first]
        self.world.record("stored", name, "of", process, *about)
        self.after_write(self._connection.cursor(row_factory=tuple_row))

    def _tail_key(self, statement: Statement) -> tuple[object, ...]:
        return self._changes, *statement.values.values()

    def _now(self) -> float:
        """Return the time of the server's clock."""
        return self.world.now + self.clock_skew

    def _holder(self) -> int | None:
        """Return the process that took the lease last; None if the lease was given back."""
        return self.takeovers[-1].process if self.takeovers else None

    def _name(self, statement: Statement) -> str:
        return self._names[statement.sql]


class _Pool:
    """The connections of one process. It replaces psycopg's pool."""

    def __init__(self, server: DatabaseServer, size: int) -> None:
        process = CURRENT_PROCESS.get()
        assert process is not None
        self._server = server
        self._process = process.number
        self._link = server.links[process.number]
        self._free = asyncio.Semaphore(size)

    async def open(self) -> None:
        """Do nothing: connections are opened when they are needed."""

    async def wait(self) -> None:
        """Do nothing, for the same reason."""

    async def close(self) -> None:
        """Do nothing: nothing is left open."""

    async def drain(self) -> None:
        """Do nothing: a connection that ended is not used again."""

    async def execute(self, sql: str, values: Mapping[str, object], lock: str) -> Sequence[Any]:
        """Execute a statement on a free connection. Raises PoolTimeout, or an error of psycopg."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._free.acquire()
                try:
                    while not self._server.usable(self._link):
                        await asyncio.sleep(0.1)
                except asyncio.CancelledError:
                    self._free.release()
                    raise
        except TimeoutError:
            raise PoolTimeout("no connection is free") from None
        try:
            answer = self._server.world.loop.create_future()
            self._server.send(Statement(sql, values, lock, answer, self._process))
            return await answer
        finally:
            self._free.release()


class _Opened:
    """A connection with which a gateway prepares to lead."""

    async def close(self) -> None:
        pass


@contextlib.contextmanager
def simulated_connections(server: DatabaseServer) -> Iterator[None]:
    """Let gateways execute their statements on the simulated server."""

    async def once(database: Database, pool: Any, sql: str, values: Mapping[str, object], lock: str) -> Sequence[Any]:
        return await pool.execute(sql, values, lock)

    async def connect(url: str, shown: str) -> _Opened:
        process = CURRENT_PROCESS.get()
        assert process is not None
        link = server.links[process.number]
        await server.world.sleep(server.behaviour.latency * 10)
        if SILENT in (server.state, link.cut):
            await server.world.sleep(CONNECT_TIMEOUT)
        if server.state in (SILENT, REFUSES) or link.cut:
            raise ServerError("cannot be connected to")
        return _Opened()

    async def prepare(url: str, shown: str, fence: int | None = None, connection: _Opened | None = None) -> bool:
        """Wait for the connection with which the schema is checked. The schema itself is up to date."""
        if connection is None:
            await connect(url, shown)
        return True

    with (
        mock.patch.object(gateway_database, "_pool", lambda url, size: _Pool(server, size)),
        mock.patch.object(Database, "_once", once),
        mock.patch.object(gateway_store, "connect", connect),
        mock.patch.object(gateway_store, "_prepare", prepare),
    ):
        yield


# -- The real server ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def real_server() -> Iterator[None]:
    """Run a server for this process and those that it starts."""
    parent = "/dev/shm"
    with (
        running(parent if os.access(parent, os.W_OK) else None, autovacuum="off", jit="off") as server,
        mock.patch.dict(os.environ, {URL: server.url("postgres")}),
    ):
        yield


@cache
def connected() -> psycopg.Connection[Any]:
    """Return this process's connection to its own database, which has the present schema. Needs `real_server`."""
    url = os.environ[URL]
    name = f"simulation_{os.getpid()}"
    with psycopg.connect(url, autocommit=True, user="postgres") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} OWNER gateway")
    mine = url.rpartition("/")[0] + f"/{name}"
    # The gateway's function needs an event loop, and thereby a thread: the simulation's loop may run in this one.
    thread = threading.Thread(target=lambda: asyncio.run(_migrated(mine)))
    thread.start()
    thread.join()
    connection = psycopg.connect(mine, autocommit=True, row_factory=dict_row)
    atexit.register(connection.close)
    connection.prepared_max = 1000
    # One plan for each statement, in every run: rows without an order come in the same one.
    connection.execute("SET plan_cache_mode = force_generic_plan")
    return connection


async def _migrated(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await migrations.apply(connection, url, None)


def _empty(connection: psycopg.Connection[Any]) -> None:
    """Make the database as it is before the first start. New files, so that rows without an order have the same."""
    found = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'migrations'"
    )
    names = sorted(row["tablename"] for row in found)
    filled = [name for name in names if connection.execute(f"SELECT FROM {name} LIMIT 1").fetchone() is not None]
    connection.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY")
    connection.execute("INSERT INTO lease DEFAULT VALUES")
    connection.execute("INSERT INTO log DEFAULT VALUES")
    connection.execute("INSERT INTO meta VALUES ('epoch', 'epoch'), ('token_secret', repeat('5e', 32))")


# -- Errors ------------------------------------------------------------------------------------------------------------


def _broken() -> psycopg.Error:
    return psycopg.OperationalError("the connection is lost")


def _error(code: str) -> psycopg.Error:
    return psycopg.errors.lookup(code)("simulated")


def _fail(statement: Statement, error: psycopg.Error) -> None:
    if not statement.answer.done():
        statement.answer.set_exception(error)
        statement.answer.exception()  # whoever waited may have left


def _release(held: list[Callable[[], None]]) -> None:
    arriving, held[:] = [*held], []
    for arrive in arriving:
        arrive()
