"""Opening a SQLite store file: one process at a time, the right schema, nothing corrupt, nothing newer."""

import contextlib
import fcntl
import logging
import os
import re
import sqlite3
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from gateway.store import mark, migrations
from gateway.store.mark import Doubt, Known
from gateway.store.migrations import APPLICATION_ID, MigrationError

log = logging.getLogger(__name__)

RESTORE = "put a backup in its place and run: hfgateway migrate --restored (docs/operations.md)"


class StoreFileError(Exception):
    """The store file cannot be used; the text is one line for the operator."""


class InUseError(StoreFileError):
    """A gateway has it."""


class Examined(NamedTuple):
    """What was found in a store file: how many migrations it has, and why it may not be the newest state."""

    schema: int
    doubt: Doubt | None


def lock(path: Path) -> contextlib.ExitStack:
    """Hold a store for as long as this process lives: the file itself, and its name. A crash releases both.

    The lock on the file refuses a gateway that opens it by another name, or after the side file was removed. The lock
    on the side file refuses one that finds another file under this name. Close it after the last connection: closing a
    database file drops the locks that SQLite holds on it in this process.
    """
    with contextlib.ExitStack() as held:
        try:
            side = held.enter_context(open(f"{path}.lock", "ab"))
        except OSError as error:
            raise StoreFileError(f"{path}: its folder cannot be written ({error.strerror})") from error
        if path.is_dir():
            raise StoreFileError(f"{path}: is a folder, not a file")
        _only_ours(path)
        try:
            database = held.enter_context(open(path, "rb"))
        except OSError as error:
            raise StoreFileError(f"{path}: cannot be opened ({error.strerror})") from error
        try:
            for file in (side, database):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUseError(f"{path}: is in use by another gateway") from error
        return held.pop_all()


def in_use(path: Path) -> bool:
    """Whether a running gateway has the store. Leaves no trace. Not for the process that may be that gateway."""
    return _locked(Path(f"{path}.lock")) or _locked(path)


def _locked(file: Path) -> bool:
    try:
        with open(file, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection: durable at every commit, and the only one that checkpoints.

    What is erased is overwritten, whatever SQLite was built to do: prepared requests hold the tokens of webhooks.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=1", "wal_autocheckpoint=1000", "secure_delete=1"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and never checkpoints."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA query_only=1")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.row_factory = sqlite3.Row
    return connection


def prepare(path: Path, *, declared: bool = False) -> sqlite3.Connection:
    """The writing connection to a file that was checked and whose schema is up to date. Raises StoreFileError.

    A file that may not be the newest state of its store is refused, unless its state is being `declared`: then its mark
    is left as it is, so that a start is refused until the declaration is complete.
    """
    if path.exists() and not os.access(path, os.W_OK):
        raise StoreFileError(f"{path}: is read-only")
    _only_ours(path)
    found = examine(path)
    if found.doubt is not None and not declared:
        raise StoreFileError(f"{path}: {found.doubt.text}; {found.doubt.advice}")
    _tighten(path)
    try:
        if not declared and mark.read(path) is None:
            mark.create(path, "", 0)
        connection = connect_writer(path)
        try:
            _migrate(connection, path)
            if not declared:
                _complete_mark(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: {_told(error)}") from error
    except OSError as error:
        raise StoreFileError(f"{path}: its mark cannot be written ({error.strerror})") from error
    return connection


def examine(path: Path, *, thoroughly: bool = False) -> Examined:
    """What is in a file that can be used. Changes nothing. Raises StoreFileError."""
    if path.is_dir():
        raise StoreFileError(f"{path}: is a folder, not a file")
    _refuse_foreign_log(path)
    try:
        with contextlib.closing(connect_examiner(path)) as connection:
            schema = _check(connection, path, "integrity_check" if thoroughly else "quick_check")
            return Examined(schema, mark.doubt(path, known(connection)))
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: {_told(error)}") from error


def known(connection: sqlite3.Connection) -> Known:
    """What a store says of itself."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone() is None:
        return Known()
    found = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('epoch', 'commits', 'backup')"))
    return Known(found.get("epoch", ""), int(found.get("commits", 0)), found.get("backup", ""))


def _complete_mark(connection: sqlite3.Connection, path: Path) -> None:
    """Finish the mark of a store that is opened for the first time, or bring up one that a crash left behind."""
    content, store = mark.read(path), known(connection)
    if content is None or content.commits < store.commits:
        mark.create(path, store.epoch, store.commits)


def _only_ours(path: Path) -> None:
    """Make the file, empty and for our user alone: callers' secrets will be in it, which must be kept as they are."""
    with contextlib.suppress(OSError):  # whatever is wrong, SQLite meets it next, and has words for it
        path.touch(mode=0o600, exist_ok=False)


def _tighten(path: Path) -> None:
    """Take the permissions of other users away, which a copy may have been given."""
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(FileNotFoundError):
            mode = file.stat().st_mode & 0o777
            if not mode & 0o077:
                continue
            try:
                file.chmod(0o600)
            except OSError:
                log.warning("other users can access the store; allow only the gateway's user", extra=_mode(file, mode))
            else:
                log.warning("other users could access the store; its mode is 0600 now", extra=_mode(file, mode))


def _mode(file: Path, mode: int) -> dict[str, str]:
    return {"file": str(file), "mode": f"{mode:04o}"}


def _refuse_foreign_log(path: Path) -> None:
    """SQLite would replay a log that was left by another file under this name: a file without a log never had one."""
    try:
        with open(path, "rb") as file:
            head = file.read(20)
        left = Path(f"{path}-wal").stat().st_size
    except OSError:
        return
    if left and head[18:20] == b"\1\1":
        raise StoreFileError(f"{path}: {path.name}-wal is left from another file: remove {path.name}-wal and -shm")


def queries() -> dict[str, str]:
    """The named statements of queries.sql."""
    text = (resources.files("gateway.store") / "sql" / "sqlite" / "queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def connect_examiner(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing; where no log is left to be read, it does not even make the files of one."""
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=5.0)


def _check(connection: sqlite3.Connection, path: Path, check: str) -> int:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and owner != APPLICATION_ID:
        raise StoreFileError(f"{path}: is not a store of this gateway")
    try:
        version, _ = migrations.check(connection)
    except MigrationError as error:
        raise StoreFileError(f"{path}: {error}") from error
    (state,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
    if state != "ok":
        raise StoreFileError(f"{path}: is corrupt; {RESTORE}")
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that the file lacks; it is copied first if there is anything in it."""
    version, missing = migrations.check(connection)
    if version and missing:
        part = Path(f"{path}.schema-{version}.part")
        part.unlink(missing_ok=True)  # of a start that ended in the middle
        _only_ours(part)
        connection.execute("VACUUM INTO ?", (str(part),))
        part.replace(f"{path}.schema-{version}")
    migrations.apply(connection, missing)


def _told(error: sqlite3.Error) -> str:
    known = {
        "file is not a database": "is corrupt, or no SQLite file",
        "database disk image is malformed": f"is corrupt; {RESTORE}",
        "attempt to write a readonly database": "is read-only",
        "unable to open database file": "cannot be opened",
        "database is locked": "is locked by another program",
    }
    return known.get(str(error), f"cannot be used ({error})")
