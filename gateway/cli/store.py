"""`hfgateway backup` and `hfgateway migrate`: copy, update and declare the file of a store."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import exit_codes
from gateway.cli.output import echo, echo_cells, fail, time_text

if TYPE_CHECKING:
    from gateway.settings.config import Settings
    from gateway.store.restore import Declared

T = TypeVar("T")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
def backup(file: Path) -> None:
    """Copy the SQLite store that HFGATEWAY_STORE_URL names to FILE, which must not exist.

    A gateway may run on the store.
    """
    from gateway.cli.operator import store_file
    from gateway.store.sqlite import restore

    store = store_file("back it up with the server's tools, such as pg_basebackup or pg_dump (docs/postgresql.md)")
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # so that the partial copy is removed
    _or_fail(lambda: restore.backup(store, file))
    echo(f"{file}: backup of {store}")


@click.group(invoke_without_command=True)
@click.option("--restored", is_flag=True, help="The store is a backup or a copy: hold what may have been sent since.")
@click.option("--moved", is_flag=True, help="The store is the newest state, and no gateway has run on a copy of it.")
@click.pass_context
def migrate(context: click.Context, restored: bool, moved: bool) -> int:
    """Update the store that HFGATEWAY_STORE_URL names to this version, while no gateway runs on it."""
    if context.invoked_subcommand is not None:
        for name in ("restored", "moved"):
            if context.params[name]:
                raise click.UsageError(f"--{name} cannot be used with {context.invoked_subcommand}")
        return 0
    from gateway.cli.operator import read_valid_settings, store_file
    from gateway.settings.values import PostgresUrl
    from gateway.store.sqlite import restore

    if restored and moved:
        raise click.UsageError("use only one of --restored and --moved")
    settings = read_valid_settings()
    if isinstance(settings.store, PostgresUrl) and not moved:
        return _migrate_database(settings, restored=restored)
    store = store_file("a database of a server cannot be moved away from its mark, because it has none")
    if restored:
        _report(store, _or_fail(lambda: asyncio.run(restore.declare_restored(store))))
        return 0
    if moved:
        _or_fail(lambda: restore.declare_moved(store))
    schema = _or_fail(lambda: restore.apply_migrations(store))
    echo(f"{store}: schema {schema}")
    return 0


@migrate.command("sqlite-to-postgres")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--abandon", is_flag=True, help="Give up a move that is not complete: gateways may start on FILE again.")
def sqlite_to_postgres(file: Path, abandon: bool) -> None:
    """Move the SQLite store FILE into a database.

    HFGATEWAY_STORE_URL names an empty PostgreSQL database. No gateway may run on either. After an interruption, run
    the command again: it continues.
    """
    from gateway.cli.operator import read_valid_settings
    from gateway.settings.extras import missing
    from gateway.settings.values import PostgresUrl

    target = read_valid_settings().store
    if not isinstance(target, PostgresUrl):
        fail("HFGATEWAY_STORE_URL: must be the postgresql:// URL of an empty database", exit_codes.USAGE)
    try:
        from gateway.store.postgres import moving
    except ModuleNotFoundError:
        fail(f"HFGATEWAY_STORE_URL: {missing('postgresql')}", exit_codes.USAGE)
    if abandon:
        _or_fail(lambda: asyncio.run(moving.abandon(file, target.url, str(target))))
        echo(f"{file}: is no longer being moved")
        return
    moved = _or_fail(lambda: asyncio.run(moving.move(file, target.url, str(target), echo)))
    echo(f"{file}: moved to {target}, {moved.rows} rows in {moved.seconds:.1f} s")
    echo("Start the gateway with this HFGATEWAY_STORE_URL. The file is kept, and no gateway starts on it.")


def _migrate_database(settings: Settings, *, restored: bool) -> int:
    """Update a database of a server, or declare it restored. An error is printed and ends the command."""
    from gateway.generations.stores import UnconfirmedError
    from gateway.process.opening import open_store
    from gateway.settings.config import SettingError
    from gateway.store.store import StoreOpenError

    def broken(error: Exception) -> None:
        raise StoreOpenError(f"{settings.store}: {error}")

    async def run() -> Declared | None:
        store = await open_store(settings, broken, declaring=restored)
        from gateway.store.postgres.restore import declare_restored  # psycopg is installed, or the store was not opened
        from gateway.store.postgres.store import PostgresStore

        try:
            assert isinstance(store, PostgresStore)
            return await declare_restored(store) if restored else None
        except UnconfirmedError as error:
            raise StoreOpenError(f"{settings.store}: {error}") from error
        finally:
            await store.close()

    try:
        declared = _or_fail(lambda: asyncio.run(run()))
    except SettingError as error:
        fail(error, exit_codes.USAGE)
    if declared is None:
        echo(f"{settings.store}: up to date")
    else:
        _report(settings.store, declared)
    return 0


def _report(store: object, declared: Declared) -> None:
    if declared.newest is None:
        echo(f"{store}: no change is stored in it")
        unknown = "Submissions that are not in it"
    else:
        echo(f"{store}: the last change in it is of {time_text(declared.newest)}")
        unknown = "Later submissions"
    echo(f"{unknown} are unknown to it: if a caller repeats one, it is sent, and charged, again.")
    count = len(declared.held)
    if not count:
        echo("No generation is held")
        return
    held = "1 generation is" if count == 1 else f"{count} generations are"
    echo(f"{held} held: resolve each with hfgateway resolve ID")
    for generation in declared.held:
        echo_cells((generation.id, generation.tenant, generation.spec.model_id, generation.state.name))


def _or_fail(act: Callable[[], T]) -> T:
    """Return the result of a step. If the store cannot be used, the error is printed and ends the command."""
    from gateway.store.store import StoreOpenError

    try:
        return act()
    except StoreOpenError as error:
        fail(error, exit_codes.REFUSED)
