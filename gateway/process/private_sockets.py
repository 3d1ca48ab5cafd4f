"""The Unix sockets of a gateway: the operator's, and the one on which the gateway measures its queue of submissions.

A file beside the store contains the address of the operator's socket. Replicas on one machine share it: the leader's
address is in it, or that of any other if the leader runs elsewhere.
"""

import asyncio
import contextlib
import hashlib
import os
import socket
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from gateway.settings.config import default_store
from gateway.settings.values import Store

CHECK_POINTER_INTERVAL = 1.0
"""Seconds between looks for the file."""
_PROBES = "probes"
_PLACES = frozenset({"host", "hostaddr", "port", "dbname", "service"})
"""The parameters of a URL that can name the server or the database in place of its other parts."""


class PrivateSockets:
    """The sockets' addresses for gRPC, in a folder that only the gateway's user can enter; and the file."""

    def __init__(self, store: Store, exit_stack: contextlib.AsyncExitStack) -> None:
        """Create the folder. The exit stack removes it."""
        folder = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="hfgateway-")))
        self.admin, self.probes = f"unix:{folder / 'admin'}", f"unix:{folder / _PROBES}"
        self._store = store
        self._pointer = admin_pointer(store)

    def write_pointer(self) -> None:
        """Write the address of the operator's socket to the file."""
        pointer = self._pointer
        pointer.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not socket_in_use(self._store):
            _remove_left_sockets(pointer)
        part = pointer.with_name(f"{pointer.name}.{os.getpid()}.part")  # replicas may write at the same time
        part.touch(mode=0o600)  # another user who can write it can redirect the operator's calls, and their secrets
        part.write_text(self.admin)
        # Replace atomically, so that a reader finds the complete address or no file.
        part.replace(pointer)

    async def keep_pointer(self) -> None:
        """Write the file again when its replica on this machine has ended, or when it could not be written before."""
        while True:
            await asyncio.sleep(CHECK_POINTER_INTERVAL)
            with contextlib.suppress(OSError):
                if not self._points_here() and not socket_in_use(self._store):
                    self.write_pointer()

    def _points_here(self) -> bool:
        return self._pointer.exists() and self._pointer.read_text() == self.admin

    def remove_pointer(self) -> None:
        """Remove the file, unless another replica on this machine has written it."""
        with contextlib.suppress(OSError):
            if self._points_here():
                self._pointer.unlink()


def admin_pointer(store: Store) -> Path:
    """Return the file that contains the address of the operator's socket for a store.

    For a database of a server, it is in the user's data folder on the gateway's machine.
    """
    if isinstance(store, Path):
        return store.with_name(store.name + ".admin")
    place = str(store)
    if named := sorted(pair for pair in parse_qsl(urlsplit(store.url).query) if pair[0] in _PLACES):
        place += f"?{urlencode(named)}"
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    return default_store(os.environ).with_name(f"postgresql-{name}.admin")


def socket_in_use(store: Store) -> bool:
    """Return whether a gateway on this machine serves the operator's socket of a store."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(admin_pointer(store).read_text().removeprefix("unix:"))
        return True
    return False


def _remove_left_sockets(pointer: Path) -> None:
    """Remove the sockets and the folder of a gateway that was killed."""
    with contextlib.suppress(OSError):
        left = Path(pointer.read_text().removeprefix("unix:"))
        if left.is_socket():
            left.unlink()
            left.with_name(_PROBES).unlink(missing_ok=True)
            left.parent.rmdir()
