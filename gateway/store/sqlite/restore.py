"""Back up a store, and declare a store restored or moved.

Commands use this module, a gateway does not. Declaring a store restored begins with a new epoch and ends with a new
mark. If it is interrupted, every start refuses the store until it is declared restored again.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway.generations.stores import UnconfirmedError
from gateway.store import auditor
from gateway.store.restore import Declared, hold_submissions
from gateway.store.sqlite import files, mark
from gateway.store.sqlite.database import append_entry
from gateway.store.sqlite.files import InUseError, StoreFileError
from gateway.store.sqlite.store import SqliteStore
from gateway.store.sqlite.writer import Effect


def backup(store: Path, target: Path) -> None:
    """Copy a store consistently and durably, also while a gateway runs on it.

    The copy is written to `TARGET.part`, and gets its name when it is complete. Raises StoreFileError, also if the
    target exists.
    """
    store = store.resolve()
    if not store.is_file():
        raise StoreFileError(f"{store}: there is no store")
    _refuse_existing(target)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(InUseError):
            held.enter_context(files.lock(store))  # keeps a gateway from starting during the copy
        files.examine(store, None)
        part = held.enter_context(_part_of(target))
        try:
            _copy(store, part)
            files.examine(part)
            _publish(part, target)
            mark.sync_folder(target.absolute().parent)
        except (sqlite3.Error, OSError) as error:
            # Only the store can be corrupt, because the copy is new.
            is_source = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            found = f"{store}: {files.describe_error(store, error)}"
            raise StoreFileError(found if is_source else f"{target}: cannot be written ({error})") from error


def apply_migrations(path: Path) -> int:
    """Apply the migrations that a store lacks, and return the number that it has. Raises StoreFileError."""
    path = path.resolve()
    with _lock(path):
        files.prepare(path).close()
        return files.examine(path, None).schema  # `prepare` has checked its pages


def declare_moved(path: Path) -> None:
    """Declare a file the newest state of its store. Raises StoreFileError if its mark proves otherwise."""
    path = path.resolve()
    with _lock(path):
        doubt = files.examine(path).doubt
        if doubt is not None and not doubt.may_be_newest:
            raise StoreFileError(f"{path}: {doubt.text}; {doubt.advice}")
        _renew_mark(path)


async def declare_restored(path: Path) -> Declared:
    """Declare that a store was restored from a backup or copied.

    It gets a new epoch. Submissions that were not accepted are held, because they may have been sent since the backup.
    Raises StoreFileError.
    """
    _refuse_empty(path)
    store = SqliteStore(path, lambda _: None, declared=True)
    try:
        newest = next((float(row["time"]) for row in store.database.rows("read_newest_change_time")), None)
        await _renew_epoch(store)
        held = await hold_submissions(store)
        await _forget_origin(store)
    except UnconfirmedError as error:
        raise StoreFileError(f"{path}: {error}") from error
    finally:
        await store.close()
    with _lock(path):
        _renew_mark(path)
    return Declared(held, newest)


def _lock(path: Path) -> contextlib.ExitStack:
    """Lock a store. Raises StoreFileError, also if there is none, or a gateway has it."""
    if not path.is_file():
        raise StoreFileError(f"{path}: there is no store")
    try:
        return files.lock(path)
    except InUseError as error:
        raise InUseError(f"{path}: a gateway runs on it: stop it first") from error


def _refuse_empty(path: Path) -> None:
    with _lock(path):
        if not path.stat().st_size:
            raise StoreFileError(f"{path}: is empty; {mark.empty_store_advice(path)}")


async def _renew_epoch(store: SqliteStore) -> None:
    """Give the store a new epoch, which makes its mark and all resume tokens invalid."""
    sql, epoch = store.database.sql, secrets.token_hex(4)

    def write(connection: sqlite3.Connection) -> Effect:
        connection.execute(sql["write_epoch"], {"epoch": epoch})
        if connection.execute(sql["read_audit_head"]).fetchone():
            append_entry(connection, sql, auditor.restored(epoch))
        return None, None

    await store.database.writer.write("new epoch", write)


async def _forget_origin(store: SqliteStore) -> None:
    """Make a backup, or a store that was moved away, an ordinary one.

    This is the last change: if there is no mark, nothing else shows that the store may not be the newest state.
    """
    sql = store.database.sql

    def write(connection: sqlite3.Connection) -> Effect:
        connection.execute(sql["delete_origin"])
        return None, None

    await store.database.writer.write(None, write)


def _renew_mark(path: Path) -> None:
    try:
        with contextlib.closing(files.connect_examiner(path)) as connection:
            known = files.store_state(connection)
        mark.create(path, known.epoch, known.commits)
    except (sqlite3.Error, OSError) as error:
        raise StoreFileError(f"{path}: its mark cannot be written ({error})") from error


def _refuse_existing(target: Path) -> None:
    if target.is_dir():
        raise StoreFileError(f"{target}: is a folder; name a file")
    if os.path.lexists(target):
        raise StoreFileError(f"{target}: exists already; nothing was overwritten")


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """Create the file `TARGET.part` with mode 0600 for a copy, and remove that name at the end.

    It replaces a file that an interrupted backup left. Only the process that has the file locked removes its name.
    Raises StoreFileError, also if another backup writes to the file.
    """
    part = target.with_name(target.name + ".part")
    with contextlib.ExitStack() as held:
        try:
            with contextlib.suppress(FileNotFoundError):
                _lock_part(held, part, os.O_RDONLY)
                _remove(part)
            _lock_part(held, part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except (BlockingIOError, FileExistsError) as error:
            raise StoreFileError(f"{part}: another backup writes to it") from error
        except OSError as error:
            raise StoreFileError(f"{target}: cannot be written ({error.strerror})") from error
        try:
            yield part
        finally:
            _remove(part)


def _lock_part(held: contextlib.ExitStack, part: Path, flags: int) -> None:
    """Open a file and lock it until the stack is closed. Raises OSError."""
    file = os.open(part, flags, 0o600)
    held.callback(os.close, file)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not os.path.samestat(os.fstat(file), part.stat()):
        raise BlockingIOError  # another backup has replaced it


def _remove(part: Path) -> None:
    """Remove a copy and its journal, which SQLite would apply to the next file of that name."""
    Path(f"{part}-journal").unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _publish(part: Path, target: Path) -> None:
    """Give a complete copy its name, and never replace another file."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        _refuse_existing(target)
        raise
    except OSError:  # a file system without hard links
        _refuse_existing(target)
        part.rename(target)


def _copy(store: Path, part: Path) -> None:
    """Copy the store, and store the time in the copy, which marks it as a backup."""
    with contextlib.closing(files.connect_examiner(store)) as connection:
        connection.execute("VACUUM INTO :path", {"path": str(part)})
    with contextlib.closing(sqlite3.connect(part)) as copy, copy:
        made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        copy.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('backup', :made)", {"made": made})
    with open(part, "rb") as copied:
        os.fsync(copied.fileno())
