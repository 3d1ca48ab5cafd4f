"""What each driver does when a task is canceled, a connection is cut, a server refuses, or a pooler stands between."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from bench.trials.connections import Asyncpg, Driver, Psycopg, asyncpg, psycopg
from bench.trials.servers import Server, running

Say = Callable[[str, str], None]
"""Prints what was done, and its outcome."""


class Proxy:
    """Forwards bytes. Once `watch` is seen from the client, answers are held back, or the connection is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.watch = b""
        self.cut = False
        self.seen = asyncio.Event()
        self._held = False

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._relay(reader, writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_connection("127.0.0.1", self._port)
        forth = asyncio.create_task(self._forth(reader, to_server[1]))
        with contextlib.suppress(OSError):
            while data := await to_server[0].read(65536):
                if self._held and self.cut:
                    break
                if self._held:
                    continue
                writer.write(data)
                await writer.drain()
        forth.cancel()
        for connection in (writer, to_server[1]):
            connection.close()

    async def _forth(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.watch and self.watch in data:
                    self._held = True
                    self.seen.set()
                writer.write(data)
                await writer.drain()
        writer.close()


def drivers() -> list[Driver]:
    return [Asyncpg("asyncpg", prepare=True), Psycopg("psycopg", prepare=True)]


async def outcome(work: Awaitable[object], limit: float = 40) -> str:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(limit):
            result: object = await work
        said = f"returned {str(result)[:60]}"
    except asyncio.CancelledError:
        said = "CancelledError"
    except BaseException as error:
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith(("psycopg", "asyncpg"))]
        state = getattr(error, "sqlstate", None)
        first = str(error).partition("\n")[0][:90]
        said = f"{type(error).__name__}({' > '.join(kinds[1:3])}) sqlstate {state}: {first}"
    return f"{said} [{time.monotonic() - begun:.1f} s]"


async def once(server: Server, driver: Driver, say: Say) -> None:
    look = Psycopg("look", prepare=False)
    await look.open(server.url(), 1)
    await _canceled_statement(server, driver, look, say)
    for cut in (False, True):
        await _unanswered_commit(server, driver, look, say, cut=cut)
    await driver.open(server.url(), 1)
    await _errors(driver, say)
    await _terminated(driver, look, say)
    await driver.close()
    await look.close()


async def _canceled_statement(server: Server, driver: Driver, look: Driver, say: Say) -> None:
    """Cancel in the middle of a statement in a transaction."""
    await driver.open(server.url(), 1)
    work = asyncio.create_task(
        driver.together([("INSERT INTO notes VALUES ('middle')", ()), ("SELECT pg_sleep(20)", ())])
    )
    await asyncio.sleep(0.5)
    work.cancel()
    say("canceled in a statement", await outcome(work))
    say("  the next user of the pool", await outcome(driver.fetch("SELECT count(*) FROM notes WHERE note = 'middle'")))
    busy = await look.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' AND state = 'active'"
    )
    say("  the statement still runs", str(busy[0][0]))
    await driver.close()


async def _unanswered_commit(server: Server, driver: Driver, look: Driver, say: Say, *, cut: bool) -> None:
    """After COMMIT was sent, cut the connection, or hold its answer back and cancel."""
    note = f"{driver.name} {cut}"
    proxy = Proxy(server.port)
    async with proxy.open() as port:
        await driver.open(f"postgresql://trial@127.0.0.1:{port}/postgres", 1)
        proxy.watch, proxy.cut = b"COMMIT", cut
        work = asyncio.create_task(driver.together([("INSERT INTO notes SELECT $1::text", (note,)), ("SELECT 1", ())]))
        async with asyncio.timeout(20):
            await proxy.seen.wait()
        if not cut:
            await asyncio.sleep(0.3)
            work.cancel()
        say("cut after COMMIT" if cut else "canceled after COMMIT, no answer", await outcome(work))
        stored = await look.fetch("SELECT count(*) FROM notes WHERE note = $1", note)
        say("  it is stored", str(stored[0][0]))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(driver.close(), 15)


async def _errors(driver: Driver, say: Say) -> None:
    """Show the errors of statements that the server refuses."""
    for name, sql in {
        "serialization failure": "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
        "deadlock": "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$",
        "unique violation": "INSERT INTO notes_once VALUES (1), (1)",
        "missing right": "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '42501'; END $$",
        "missing table": "SELECT * FROM nothing",
    }.items():
        say(name, await outcome(driver.fetch(sql)))
    limited = [("SELECT set_config('statement_timeout', '200', true)", ()), ("SELECT pg_sleep(5)", ())]
    say("statement timeout", await outcome(driver.together(limited)))
    say(
        "read only",
        await outcome(
            driver.together([("SELECT set_config('transaction_read_only', 'on', true)", ()), ("DELETE FROM notes", ())])
        ),
    )


async def _terminated(driver: Driver, look: Driver, say: Say) -> None:
    """Let the server end a connection during a statement, and between two."""
    victim = asyncio.create_task(driver.fetch("SELECT pg_sleep(5)"))
    await asyncio.sleep(0.3)
    await look.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(5)'")
    say("terminated by an operator", await outcome(victim))
    say("  the next user of the pool", await outcome(driver.fetch("SELECT 1")))
    idle = await driver.fetch("SELECT pg_backend_pid()")
    await look.fetch("SELECT pg_terminate_backend($1)", idle[0][0])
    await asyncio.sleep(0.3)
    say("idle connection was terminated", await outcome(driver.fetch("SELECT 1")))
    say("  and again", await outcome(driver.fetch("SELECT 1")))


async def pooler(server: Server) -> None:
    print("\nthrough PgBouncer in transaction mode, 40 statements on 8 of ours over 4 of its connections")
    for name, driver in {
        "asyncpg, default": Asyncpg("", prepare=True),
        "asyncpg, statement_cache_size=0": Asyncpg("", prepare=False),
        "psycopg, prepare_threshold=0": Psycopg("", prepare=True),
        "psycopg, prepare_threshold=None": Psycopg("", prepare=False),
        "psycopg, prepare_threshold=None, pipeline": Psycopg("", prepare=False, pipeline=True),
    }.items():
        await driver.open(server.url(pooler=True), 8)

        async def both(driver: Driver, number: int) -> None:
            await driver.fetch("SELECT $1::integer, pg_sleep(0.002)", number)
            await driver.together([("SELECT $1::text", (str(number),)), ("SELECT $1::bigint", (number,))])

        results = await asyncio.gather(*(outcome(both(driver, n)) for n in range(40)))
        failed = [result for result in results if not result.startswith("returned")]
        print(f"  {name:45} {40 - len(failed)} succeeded; {failed[0] if failed else ''}")
        with contextlib.suppress(Exception):
            await asyncio.wait_for(driver.close(), 10)
    url = server.url(pooler=True)

    async def attempt(connecting: Awaitable[Any]) -> object:
        connection = await connecting
        try:
            shown = "SHOW statement_timeout"
            if isinstance(connection, psycopg.AsyncConnection):
                return await (await connection.execute(shown)).fetchone()
            return await connection.fetchval(shown)
        finally:
            await connection.close()

    print("\na statement timeout as a start-up parameter")
    for name, where in {"direct": server.url(), "PgBouncer": url}.items():
        setting = {"statement_timeout": "2000"}
        print(
            "  asyncpg,",
            name,
            await outcome(attempt(asyncpg.connect(where, server_settings=setting, statement_cache_size=0))),
        )
        options = "-c statement_timeout=2000"
        connecting = psycopg.AsyncConnection.connect(where, options=options, autocommit=True, prepare_threshold=None)
        print("  psycopg,", name, await outcome(attempt(connecting)))
    await _role_setting(server)

    print("\ncancellation through PgBouncer")
    for name, driver in {"asyncpg": Asyncpg("", prepare=False), "psycopg": Psycopg("", prepare=False)}.items():
        await driver.open(url, 2)
        work = asyncio.create_task(
            driver.together([("INSERT INTO notes VALUES ('pooler')", ()), ("SELECT pg_sleep(20)", ())])
        )
        await asyncio.sleep(0.5)
        work.cancel()
        print(
            f"  {name}: {await outcome(work)}; then",
            await outcome(driver.fetch("SELECT count(*) FROM notes WHERE note = 'pooler'")),
        )
        await driver.close()


async def _role_setting(server: Server) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("ALTER ROLE trial SET statement_timeout = '3s'")
    with psycopg.connect(server.url(pooler=True), autocommit=True, prepare_threshold=None) as connection:
        connection.execute("SELECT 1")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        print("  set on the role, new connection:", connection.execute("SHOW statement_timeout").fetchone())
        connection.execute("ALTER ROLE trial RESET statement_timeout")


def main() -> None:
    with running() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE notes (note text); CREATE TABLE notes_once (n integer PRIMARY KEY)")
        for driver in drivers():
            print(f"\n{driver.name}")
            asyncio.run(once(server, driver, lambda name, said: print(f"  {name:36} {said}", flush=True)))
        asyncio.run(pooler(server))


if __name__ == "__main__":
    sys.exit(main())
