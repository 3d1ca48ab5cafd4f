"""Temporary files for uploads whose size is unknown. They never fill the disk, which the store may use too."""

import errno
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import IO

from gateway.concurrency import in_thread
from gateway.errors import Failure, GatewayError, Reason

PIECE = 1 << 20
"""Bytes that are read at once."""
RETRY_AFTER = 30.0
"""Seconds after which other uploads may have ended."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Spool:
    """Creates the files in the folder for temporary files (`TMPDIR`).

    A tenant's files may together take as many bytes as remain free. One tenant can thus use half of the free space,
    two a third each. There is always space for another tenant, and for the other programs that use the disk.
    """

    def __init__(self, free: Callable[[int], int] | None = None) -> None:
        """`free` returns the free bytes of the file system of a file descriptor."""
        self._free = free or _free
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def file(self, tenant: str) -> AsyncIterator["SpoolFile"]:
        """Create a file, which is removed at the end of the block.

        A thread creates it, because the disk may hang. A thread removes it, because that takes a tenth of a second for
        a file of 2 GB, and waits for its reader.

        Raises GATEWAY_OVERLOADED if the space is used up, also in the methods of the file.
        """
        try:
            raw = await in_thread(tempfile.TemporaryFile)
            file = SpoolFile(raw, self._free, self._held, tenant)
            try:
                yield file
            finally:
                try:
                    await in_thread(raw.close)
                finally:
                    self._held[tenant] -= file.size
                    if not self._held[tenant]:
                        del self._held[tenant]
        except OSError as error:
            if error.errno in _FULL:
                raise _no_space() from error
            raise


class SpoolFile:
    """A file that is written first, then read once. `size` is the number of bytes written.

    It is buffered, because only a buffered file waits at its end for a thread that still uses it: the reader of a PUT
    that was canceled is not awaited.
    """

    def __init__(self, file: IO[bytes], free: Callable[[int], int], held: "Counter[str]", tenant: str) -> None:
        self._file = file
        self._free = free
        self._held = held
        self._tenant = tenant
        self.size = 0

    async def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        self.size += len(chunk)
        self._held[self._tenant] += len(chunk)
        held = self._held[self._tenant]

        def write() -> None:
            if held > self._free(self._file.fileno()):
                raise _no_space()
            self._file.write(chunk)

        await in_thread(write)

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the content."""
        await in_thread(partial(self._file.seek, 0))
        while piece := await in_thread(partial(self._file.read, PIECE)):
            yield piece


def _free(descriptor: int) -> int:
    disk = os.fstatvfs(descriptor)
    return disk.f_bavail * disk.f_frsize


def _no_space() -> GatewayError:
    message = (
        "the gateway has no space for more uploads of unknown size; an upload with its size in the header needs none"
    )
    return GatewayError(Failure(Reason.GATEWAY_OVERLOADED, message, retryable=True, retry_after=RETRY_AFTER))
