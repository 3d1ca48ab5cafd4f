"""Open the file of a store: lock it for one process, check it, and bring its schema up to date."""

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gateway.generations.stores import StoredCredentials
from gateway.store import statements
from gateway.store.rows import credentials_of
from gateway.store.sqlite import mark, migrations
from gateway.store.sqlite.mark import Doubt, StoreState
from gateway.store.sqlite.migrations import APPLICATION_ID, MigrationError
from gateway.store.store import StoreOpenError

log = logging.getLogger(__name__)

MAX_CHECKED_BYTES = 1 << 30
"""Bytes of the largest file that a start checks. That takes 1.3 s from memory, and 10 s from a disk of 100 MB/s."""
OWNER_ADVICE = "let the gateway's user read and write all files of the store"
Check = Literal["integrity_check", "quick_check"]


class StoreFileError(StoreOpenError):
    """The store file cannot be used. The message is one line for the operator."""


class InUseError(StoreFileError):
    """Another gateway has the store open."""


class Examined(NamedTuple):
    """The result of checking a store file: the number of its migrations, and why it may not be the newest state."""

    schema: int
    doubt: Doubt | None


def lock(path: Path) -> contextlib.ExitStack:
    """Lock a store, creating its file if there is none. Raises StoreFileError, or InUseError if another process has it.

    Two files are locked: the store, and `FILE.lock` beside it. The lock on the store refuses a gateway that opens it by
    another name, or after `FILE.lock` was removed. The lock on `FILE.lock` refuses a gateway that finds another file
    under this name. The end of the process releases both.

    Close the result after the last connection, because closing the file drops the locks that SQLite holds on it in this
    process.
    """
    with contextlib.ExitStack() as held:
        _create_private(Path(f"{path}.lock"))  # another user who can read it can hold the lock
        try:
            side = held.enter_context(open(f"{path}.lock", "ab"))
        except OSError as error:
            if Path(f"{path}.lock").exists():
                raise StoreFileError(f"{path}.lock: cannot be opened ({error.strerror}); {OWNER_ADVICE}") from error
            raise StoreFileError(f"{path}: its folder cannot be written ({error.strerror})") from error
        if path.is_dir():
            raise StoreFileError(f"{path}: is a folder, not a file")
        _create_private(path)
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
    """Return whether another process has the store locked. Changes nothing.

    Must not be called in the process that has it locked: closing the file would drop the locks of SQLite.
    """
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
    """Open the one writing connection, which is durable at every commit and checkpoints the log.

    Deleted content is overwritten with zeros, because prepared requests contain the tokens of webhooks.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=1", "wal_autocheckpoint=1000", "secure_delete=1"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that cannot write and never checkpoints."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA query_only=1")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.row_factory = sqlite3.Row
    return connection


def prepare(path: Path, *, declared: bool = False, moving: bool = False) -> sqlite3.Connection:
    """Check a file, apply the migrations it lacks, and return the writing connection to it. Raises StoreFileError.

    A file that may not be the newest state of its store is refused, unless its state is being `declared`. Its mark then
    stays as it is, so that every start is refused until the declaration is complete. One that is `moving` to another
    store is only accepted for that.
    """
    if files := unwritable(path):
        raise StoreFileError(f"{files[0]}: this user cannot write it; {OWNER_ADVICE}")
    _create_private(path)
    large = path.stat().st_size > MAX_CHECKED_BYTES
    if large:
        log.info("the store is too large to check at a start; to check it, stop the gateway and run hfgateway doctor")
    found = examine(path, None if large else "quick_check")
    if found.doubt is not None and not declared and not (moving and found.doubt.advice in mark.MOVES):
        raise StoreFileError(f"{path}: {found.doubt.text}; {found.doubt.advice}")
    _make_private(path)
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
        raise StoreFileError(f"{path}: {describe_error(path, error)}") from error
    except OSError as error:
        raise StoreFileError(f"{path}: its mark cannot be written ({error.strerror})") from error
    return connection


def examine(path: Path, check: Check | None = "quick_check") -> Examined:
    """Check a file without changing anything. Raises StoreFileError if it cannot be used.

    `quick_check` reads all pages. `integrity_check` also compares the indexes with their tables, which takes longer.
    None checks only whose file it is, and its migrations.
    """
    if path.is_dir():
        raise StoreFileError(f"{path}: is a folder, not a file")
    _refuse_foreign_log(path)
    try:
        with contextlib.closing(connect_examiner(path)) as connection:
            schema = _check(connection, path, check)
            return Examined(schema, mark.find_doubt(path, store_state(connection)))
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: {describe_error(path, error)}") from error
    except OSError as error:
        raise StoreFileError(f"{mark.path_of(path)}: cannot be read ({error.strerror}); {OWNER_ADVICE}") from error


def unwritable(path: Path) -> list[Path]:
    """Return the existing files of a store that this user cannot write, although a gateway does."""
    files = (path, mark.path_of(path), *(Path(f"{path}{end}") for end in (".lock", "-wal", "-shm")))
    return [file for file in files if file.exists() and not os.access(file, os.W_OK)]


def credentials(path: Path) -> Sequence[StoredCredentials]:
    """Return the stored credentials of accounts without changing anything. Raises StoreFileError."""
    try:
        with contextlib.closing(connect_examiner(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'credentials'").fetchone() is None:
                return []
            connection.row_factory = sqlite3.Row
            return [credentials_of(row) for row in connection.execute(statements.load()["read_credentials"])]
    except sqlite3.Error as error:
        raise StoreFileError(f"{path}: {describe_error(path, error)}") from error


def store_state(connection: sqlite3.Connection) -> StoreState:
    """Return what a store contains about itself."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone() is None:
        return StoreState()
    found = dict(connection.execute("SELECT name, value FROM meta WHERE name <> 'token_secret'"))
    texts = {name: found.get(name, "") for name in ("epoch", "backup", "moving_to", "moved_to")}
    return StoreState(commits=int(found.get("commits", 0)), **texts)


def _complete_mark(connection: sqlite3.Connection, path: Path) -> None:
    """Finish the mark of a new store, or bring up to date a mark that a crash left behind its store."""
    content, store = mark.read(path), store_state(connection)
    if content is None or content.commits < store.commits:
        mark.create(path, store.epoch, store.commits)


def _create_private(path: Path) -> None:
    """Create the file with mode 0600 if there is none. The store will contain callers' secrets in plain text."""
    with contextlib.suppress(OSError):  # the file is opened next, and that reports the error
        path.touch(mode=0o600, exist_ok=False)


def _make_private(path: Path) -> None:
    """Set the mode to 0600, because a copy may have been readable for other users."""
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
    """Raise StoreFileError if the log beside a file was left by another file of this name.

    SQLite would replay it. It would delete it beside an empty file, which `lock` creates if the store was moved without
    its log. The header of a file shows whether it was ever used with a log.
    """
    if not log_size(path):
        return
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except FileNotFoundError:
        head = b""
    except OSError:
        return
    if not head:
        raise StoreFileError(
            f"{path}: is missing or empty, but {path.name}-wal has commits: put the file back to which it belongs,"
            f" or remove {path.name}-wal and -shm"
        )
    if head[18:20] == b"\1\1":
        raise StoreFileError(f"{path}: {path.name}-wal is left from another file: remove {path.name}-wal and -shm")


def log_size(path: Path) -> int:
    """Return the number of bytes in the log beside a store; 0 if there is none."""
    try:
        return Path(f"{path}-wal").stat().st_size
    except OSError:
        return 0


def connect_examiner(path: Path) -> sqlite3.Connection:
    """Open a connection that writes nothing, and creates no file beside the store if there is no log to read.

    It does not look for the log of an empty file, because SQLite would delete that.
    """
    has_log = Path(f"{path}-wal").exists() and (not path.exists() or path.stat().st_size > 0)
    mode = "mode=ro" if has_log else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=5.0)


def _check(connection: sqlite3.Connection, path: Path, check: Check | None) -> int:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and owner != APPLICATION_ID:
        raise StoreFileError(f"{path}: is not a store of this gateway")
    try:
        version, _ = migrations.check(connection)
    except MigrationError as error:
        raise StoreFileError(f"{path}: {error}") from error
    if check is not None and connection.execute(f"PRAGMA {check}(1)").fetchone() != ("ok",):
        raise StoreFileError(f"{path}: is corrupt; {mark.damaged_store_advice(path)}")
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that the file lacks, after copying it to FILE.schema-N unless it is new."""
    version, missing = migrations.check(connection)
    if version and missing:
        part = Path(f"{path}.schema-{version}.part")
        part.unlink(missing_ok=True)  # left by an interrupted start
        _create_private(part)
        connection.execute("VACUUM INTO :path", {"path": str(part)})
        part.replace(f"{path}.schema-{version}")
    migrations.apply(connection, missing)


def describe_error(path: Path, error: Exception) -> str:
    """Return what is wrong with a store by an error of SQLite, as the end of a sentence that begins with its name."""
    known = {
        "file is not a database": "is corrupt, or not a SQLite file",
        "database disk image is malformed": f"is corrupt; {mark.damaged_store_advice(path)}",
        "attempt to write a readonly database": "is read-only",
        "unable to open database file": "cannot be opened",
        "database is locked": "is locked by another program",
        "disk I/O error": "cannot be used (disk I/O error); the disk may be full or defective",
    }
    return known.get(str(error), f"cannot be used ({error})")
