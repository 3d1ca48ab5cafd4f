"""The high-water mark: a file beside the store that says how far the store has come.

A store counts its commits in `meta`. After each COMMIT, and before anybody is answered, the count is written to the
mark. So whatever was sent, or promised to a caller, the mark has seen: a store that has fewer commits than its mark, or
another epoch, is an older copy. The mark is not synced with each commit, which would double the cost of one: it is a
memory-mapped page, which survives the death of the process, and is synced a second after a commit. A power cut can
leave it that second behind. It never gets ahead of the store.

The mark also has the inode of the store's file, because a whole folder can be copied or restored, mark included.
"""

import contextlib
import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

from gateway import failpoints

FORM = struct.Struct("=8s8sQQ")
"""What it is, the store's epoch, the inode of the store's file, the store's commits."""
MAGIC = b"hfgwmark"
COUNT = slice(24, 32)
"""Where the commits are: eight aligned bytes, which are written at once."""


class Content(NamedTuple):
    """What a mark says. `commits` 0: the first start of its store was not finished."""

    epoch: str
    inode: int
    commits: int


class Known(NamedTuple):
    """What a store says of itself; its epoch is empty while it has no schema. `backup`: when it was made as one."""

    epoch: str = ""
    commits: int = 0
    backup: str = ""


class Doubt(NamedTuple):
    """Why a file may not be the newest state of its store.

    `newest`: it may be all the same, if the operator says that it was moved. The texts are parts of one line.
    """

    text: str
    advice: str
    newest: bool = False


class Mark:
    """The mark of a store that is open."""

    def __init__(self, store: Path) -> None:
        """Raises OSError, or ValueError for one that is too short."""
        with open(path_of(store), "r+b") as file:
            self._page = mmap.mmap(file.fileno(), FORM.size)
        (self.commits,) = struct.unpack("=Q", self._page[COUNT])

    def write(self, commits: int) -> None:
        """The store has so many commits now."""
        failpoints.before("mark")
        self._page[COUNT] = struct.pack("=Q", commits)
        self.commits = commits
        failpoints.after("mark")

    def sync(self) -> None:
        """Have it outlive a power cut, too."""
        self._page.flush()

    def close(self) -> None:
        """Sync it and let go of it."""
        with contextlib.closing(self._page):
            self.sync()


def path_of(store: Path) -> Path:
    """The mark of a store."""
    return Path(f"{store}.mark")


def read(store: Path) -> Content | None:
    """What the mark of a store says; None where there is none that can be read."""
    try:
        magic, epoch, inode, commits = FORM.unpack(path_of(store).read_bytes())
        return Content(epoch.rstrip(b"\0").decode("ascii"), inode, commits) if magic == MAGIC else None
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def create(store: Path, epoch: str, commits: int) -> None:
    """Make the mark of a store anew, durably and at once. Raises OSError."""
    path = path_of(store)
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(FORM.pack(MAGIC, epoch.encode(), store.stat().st_ino, commits))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in it outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def doubt(store: Path, known: Known) -> Doubt | None:
    """Whether this file may be anything but the newest state of its store, by its mark."""
    mark = read(store)
    if known.backup:
        return Doubt(f"is a backup made at {known.backup}", RESTORED)
    if mark is None:
        # A store that never counted is new, or was written by a gateway without marks.
        return Doubt(f"has no mark {path_of(store).name}", MOVED, newest=True) if known.commits else None
    if not mark.commits:
        return None
    if not known.epoch:
        return Doubt(f"is empty, but its mark {path_of(store).name} tells of {mark.commits} commits", RESTORED)
    if known.epoch != mark.epoch:
        return Doubt(f"is not the store that its mark {path_of(store).name} belongs to", RESTORED)
    if known.commits < mark.commits:
        behind = f"commit {known.commits} of {mark.commits}"
        return Doubt(f"is older than its mark {path_of(store).name} ({behind})", RESTORED)
    if mark.inode != store.stat().st_ino:
        return Doubt(f"was copied or moved since its mark {path_of(store).name} was written", MOVED, newest=True)
    return None


RESTORED = "if it was restored or copied, run: hfgateway migrate --restored (docs/operations.md)"
MOVED = (
    "if it is the newest state and was moved, run: hfgateway migrate --moved, "
    "otherwise: hfgateway migrate --restored (docs/operations.md)"
)
