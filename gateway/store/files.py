"""Opening a SQLite store file: one process at a time, the right schema, nothing corrupt, nothing newer."""

import contextlib
import fcntl
import os
import re
import secrets
import sqlite3
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO

from gateway import failpoints

APPLICATION_ID = 0x68666777  # "hfgw"


class StoreFileError(Exception):
    """The store file cannot be used; the text is one line for the operator."""


def lock(path: Path) -> IO[bytes]:
    """Hold the side file for as long as this process lives; a crash lets go of it, a second gateway is refused."""
    try:
        held = open(f"{path}.lock", "ab")  # noqa: SIM115 - held for life
    except OSError as error:
        raise StoreFileError(f"{path}: its folder cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise StoreFileError(f"{path}: is in use by another gateway") from error
    return held


def in_use(path: Path) -> bool:
    """Whether a running gateway holds the file. Leaves no trace."""
    try:
        with open(f"{path}.lock", "rb") as held:
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


def prepare(path: Path) -> sqlite3.Connection:
    """The writing connection to a file that was checked and whose schema is up to date. Raises StoreFileError."""
    if path.exists():
        if not os.access(path, os.W_OK):
            raise StoreFileError(f"{path}: is read-only")
        examine(path)
    else:
        _only_ours(path)
    try:
        connection = connect_writer(path)
        try:
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: {_told(error)}") from error
    return connection


def _only_ours(path: Path) -> None:
    """Make the file, empty and for our user alone: callers' secrets will be in it, which must be kept as they are."""
    with contextlib.suppress(OSError):  # whatever is wrong, SQLite meets it next, and has words for it
        path.touch(mode=0o600)


def examine(path: Path, *, thoroughly: bool = False) -> int:
    """The schema version of a file that can be used; 0 for an empty one. Changes nothing. Raises StoreFileError."""
    if path.is_dir():
        raise StoreFileError(f"{path}: is a folder, not a file")
    try:
        with contextlib.closing(_connect_examiner(path)) as connection:
            return _check(connection, path, "integrity_check" if thoroughly else "quick_check")
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: {_told(error)}") from error


def queries() -> dict[str, str]:
    """The named statements of queries.sql."""
    text = (_folder() / "queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def _connect_examiner(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing; where no log is left to be read, it does not even make the files of one."""
    mode = "mode=ro" if Path(f"{path}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=5.0)


def _check(connection: sqlite3.Connection, path: Path, check: str) -> int:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and owner != APPLICATION_ID:
        raise StoreFileError(f"{path}: is not a store of this gateway")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    newest = len(_migrations())
    if version > newest:
        raise StoreFileError(f"{path}: was written by a newer gateway (schema {version}, known up to {newest})")
    (state,) = connection.execute(f"PRAGMA {check}(1)").fetchone()
    if state != "ok":
        raise StoreFileError(f"{path}: is corrupt; restore it from a backup")
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Run the migrations that the file has not seen; it is copied first if there is anything in it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    pending = _migrations()[version:]
    if not pending:
        return
    if version:
        part = Path(f"{path}.schema-{version}.part")
        part.unlink(missing_ok=True)  # of a start that ended in the middle
        _only_ours(part)
        connection.execute("VACUUM INTO ?", (str(part),))
        part.replace(f"{path}.schema-{version}")
    script = "".join(file.read_text() for file in pending)
    connection.create_function("random_hex", 1, secrets.token_hex)
    connection.executescript(  # the parts are our own files and numbers
        f"BEGIN EXCLUSIVE; {script} INSERT OR IGNORE INTO meta VALUES ('epoch', random_hex(4)), "  # noqa: S608
        "('token_secret', random_hex(32)); "
        f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={version + len(pending)};"
    )
    failpoints.before("migration")
    connection.execute("COMMIT")
    failpoints.after("migration")


def _migrations() -> list[Traversable]:
    folder = _folder() / "migrations"
    return sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)


def _folder() -> Traversable:
    return resources.files("gateway.store") / "sql" / "sqlite"


def _told(error: sqlite3.Error) -> str:
    known = {
        "file is not a database": "is corrupt, or no SQLite file",
        "database disk image is malformed": "is corrupt; restore it from a backup",
        "attempt to write a readonly database": "is read-only",
        "unable to open database file": "cannot be opened",
        "database is locked": "is locked by another program",
    }
    return known.get(str(error), f"cannot be used ({error})")
