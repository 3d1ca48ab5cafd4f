"""The mark: a file beside the store with the number of its commits, by which a restored or copied store is recognized.

A store counts its commits in the table `meta`. After each COMMIT, and before the write returns, the count is copied to
the mark. A store is an older copy if it has fewer commits than its mark, or another epoch.

Syncing the mark with each commit would double the cost of a commit. Instead, the mark is a memory-mapped page, which
survives a crash of the process, and is synced a second after a commit. A power cut can leave it a second behind the
store, but never ahead of it.

The mark also contains the inode of the store's file and its own generation, because a whole folder can be copied, mark
included. The file system gives the inodes of removed files to new ones, but with other generations.
"""

import contextlib
import fcntl
import mmap
import os
import shlex
import struct
from os import fsync
from pathlib import Path
from typing import NamedTuple

from gateway import failpoints

LAYOUT = struct.Struct("=8s8sQQ")
"""The layout of the file: MAGIC, the epoch, `_identity` of both files, the number of commits."""
MAGIC = b"hfgwmark"
COMMITS_BYTES = slice(24, 32)
"""The bytes of the number of commits: eight aligned ones, so that they are written atomically."""

FS_IOC_GETVERSION = 0x80087601
"""The request of Linux for the generation of a file."""


class MarkContent(NamedTuple):
    """The content of a mark. `commits` is 0 if the first start of its store did not finish."""

    epoch: str
    identity: int
    commits: int


class StoreState(NamedTuple):
    """What a store contains about itself.

    `epoch` is "" without a schema. `backup` is the time at which it was made as a backup; "" for any other store.
    `moving_to` is the database to which it is being moved, `moved_to` the one to which it was; "" for none.
    """

    epoch: str = ""
    commits: int = 0
    backup: str = ""
    moving_to: str = ""
    moved_to: str = ""


class Doubt(NamedTuple):
    """Why a file may not be the newest state of its store, and what the operator can do about it.

    `may_be_newest`: the operator may declare that it is the newest state and was moved. The texts are parts of a line.
    """

    text: str
    advice: str
    may_be_newest: bool = False


class Mark:
    """The mark of an open store."""

    def __init__(self, store: Path) -> None:
        """Open the mark. Raises OSError, or ValueError if the file is too short."""
        with open(path_of(store), "r+b") as file:
            self._page = mmap.mmap(file.fileno(), LAYOUT.size)
        (self.commits,) = struct.unpack("=Q", self._page[COMMITS_BYTES])

    def write(self, commits: int) -> None:
        """Store the number of commits, which survives a crash of this process from now on."""
        failpoints.before("mark")
        self._page[COMMITS_BYTES] = struct.pack("=Q", commits)
        self.commits = commits
        failpoints.after("mark")

    def sync(self) -> None:
        """Sync the mark, so that it survives a power cut, too. Raises OSError."""
        self._page.flush()

    def close(self) -> None:
        """Sync and close the mark. Raises OSError."""
        with contextlib.closing(self._page):
            self.sync()


def path_of(store: Path) -> Path:
    """Return the path of a store's mark."""
    return Path(f"{store}.mark")


def read(store: Path) -> MarkContent | None:
    """Return the content of a store's mark; None if there is none, or its content is not that of a mark.

    Raises OSError if the file cannot be read, for example because it belongs to another user.
    """
    try:
        magic, epoch, identity, commits = LAYOUT.unpack(path_of(store).read_bytes())
        return MarkContent(epoch.rstrip(b"\0").decode("ascii"), identity, commits) if magic == MAGIC else None
    except (FileNotFoundError, struct.error, UnicodeDecodeError):
        return None


def create(store: Path, epoch: str, commits: int) -> None:
    """Create or replace the mark of a store, durably and atomically. Raises OSError."""
    path = path_of(store)
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(LAYOUT.pack(MAGIC, epoch.encode(), _identity(store, file.fileno()), commits))
        file.flush()
        fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def generation(descriptor: int) -> int:
    """Return the number by which an open file differs from others that have had its inode; 0 if it is not known."""
    found = bytearray(8)
    with contextlib.suppress(OSError):  # not every file system has generations
        fcntl.ioctl(descriptor, FS_IOC_GETVERSION, found)
    return int.from_bytes(found[:4])


def _identity(store: Path, mark: int) -> int:
    """Return a number that the files have as long as they are neither copied nor created again.

    `mark` is the descriptor of the open mark. The store is not opened here: closing it would drop the locks of SQLite.
    """
    return store.stat().st_ino ^ generation(mark) << 32


def _is_copied(store: Path, known: MarkContent) -> bool:
    if known.identity == store.stat().st_ino:  # by a gateway that did not use the generation
        return False
    with open(path_of(store), "rb") as file:
        return known.identity != _identity(store, file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that the names of its files survive a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def find_doubt(store: Path, known: StoreState) -> Doubt | None:
    """Return why a file may not be the newest state of its store; None if its mark shows that it is."""
    mark = read(store)
    if known.moved_to:
        return Doubt(f"was moved to {known.moved_to}", MOVED_AWAY)
    if known.moving_to:
        return Doubt(f"is being moved to {known.moving_to}", MOVING)
    if known.backup:
        return Doubt(f"is a backup made at {known.backup}", restored_advice(store))
    if mark is None:
        # A store without a count of commits is new, or was written by a gateway that had no marks.
        if not known.commits:
            return None
        return Doubt(f"has no mark {path_of(store).name}", moved_advice(store), may_be_newest=True)
    if not mark.commits:
        return None
    if not known.epoch:
        advice = f"{lost_log_advice(store)}; otherwise {empty_store_advice(store)}"
        return Doubt(f"is empty, but its mark {path_of(store).name} has {mark.commits} commits", advice)
    if known.epoch != mark.epoch:
        return Doubt(f"is not the store that its mark {path_of(store).name} belongs to", restored_advice(store))
    if known.commits < mark.commits:
        behind = f"commit {known.commits} of {mark.commits}"
        advice = f"{lost_log_advice(store)}; {restored_advice(store)}"
        return Doubt(f"is older than its mark {path_of(store).name} ({behind})", advice)
    if _is_copied(store, mark):
        return Doubt(
            f"was copied or moved since its mark {path_of(store).name} was written",
            moved_advice(store),
            may_be_newest=True,
        )
    return None


MOVED_AWAY = "set HFGATEWAY_STORE_URL to that database (docs/postgresql.md)"
MOVING = "run hfgateway migrate sqlite-to-postgres again, or with --abandon (docs/postgresql.md)"
MOVES = (MOVED_AWAY, MOVING)


def restored_advice(store: Path) -> str:
    """Return the advice for a store that may be a copy of an older state."""
    return f"if it was restored or copied, run: {_declaration_command(store, 'restored')} (docs/operations.md)"


def lost_log_advice(store: Path) -> str:
    """Return the advice for a store that lacks commits, which its log may have if a killed gateway has left one."""
    return f"if {store.name}-wal was left elsewhere, put it back"


def damaged_store_advice(store: Path) -> str:
    """Return the advice for a damaged store."""
    return f"put a backup in its place and run: {_declaration_command(store, 'restored')} (docs/operations.md)"


def empty_store_advice(store: Path) -> str:
    """Return the advice for a store without content."""
    return (
        f"put a backup in its place and run: {_declaration_command(store, 'restored')}, "
        "or remove its mark to begin with a new store (docs/operations.md)"
    )


def moved_advice(store: Path) -> str:
    """Return the advice for a store that is the newest state or a copy of it."""
    return (
        f"if it is the newest state and was moved, run: {_declaration_command(store, 'moved')}, "
        f"otherwise: {_declaration_command(store, 'restored')} (docs/operations.md)"
    )


def _declaration_command(store: Path, state: str) -> str:
    """Return the command line that declares the state of a store.

    It names the store. A move to PostgreSQL, or a start with `--config`, refuses another one than that of the settings
    with which the operator runs the command, and a declaration of the wrong store cannot be undone.
    """
    url = f"sqlite:///{store.absolute()}"
    return f"HFGATEWAY_STORE_URL={shlex.quote(url)} hfgateway migrate --{state}"
