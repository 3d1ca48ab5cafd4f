"""A TCP proxy that can cut or silently drop its connections, as a failing network or gateway does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

ACCEPT_ITERATIONS = 5
"""Iterations of the event loop within which a connection that was just accepted becomes known to `cut`."""
_CHUNK = 64 * 1024
# l_onoff=1, l_linger=0: closing the socket sends a RST.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """An async context manager that listens on a loopback port and forwards each new connection to `target`."""

    def __init__(self) -> None:
        self.target = ""
        """host:port. Connections are closed at once if it is empty or nothing listens there."""
        self.address = ""
        self.allowance: int | None = None
        """The bytes that a connection may receive from the target; then it is closed. None: no limit."""
        self.forwards = asyncio.Event()
        """While it is cleared, new connections are accepted, and wait."""
        self.forwards.set()
        self._server: asyncio.Server
        self._left: socket.socket | None = None
        """Keeps the address that the proxy has left, so that no other server gets it while clients still try it."""
        self._open: set[asyncio.StreamWriter] = set()
        self._far: set[asyncio.StreamWriter] = set()
        self._swallowed: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._listen("127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_accepting()
        self.forwards.set()
        self.cut()
        if self._left is not None:
            self._left.close()
        for writer in self._far:
            writer.transport.abort()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _listen(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, host, port)
        self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def _stop_accepting(self) -> None:
        """Close the listening socket once no connection is being accepted: asyncio would leave that one open."""
        for listening in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(ACCEPT_ITERATIONS):
            await asyncio.sleep(0)
        for listening in self._server.sockets:
            # A process that is being started has a copy of the socket, which would listen until it runs its program.
            listening.shutdown(socket.SHUT_RDWR)
        self._server.close()

    async def move(self, host: str) -> None:
        """Listen on the same port of another loopback address instead, and reset all open connections."""
        await self._stop_accepting()
        self.cut()
        old, _, port = self.address.rpartition(":")
        if self._left is not None:
            self._left.close()
        self._left = socket.socket()
        # Connections of the port may not have ended yet. The system gives a port in use to no one all the same.
        self._left.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._left.bind((old, int(port)))
        await self._listen(host, int(port))

    def cut(self) -> int:
        """Reset all open connections; returns their number."""
        cut = len(self._open)
        for writer in self._open:
            _reset(writer)
        self._open.clear()
        return cut

    def end(self, last: bytes) -> None:
        """Send the same last bytes to all open connections, and close them."""
        for writer in self._open:
            writer.write(last)
            writer.close()

    def swallow(self) -> int:
        """Silently drop all open connections: discard what both sides send, and pass on no end. Returns their number.

        New connections work.
        """
        self._swallowed |= self._open
        return len(self._open)

    def mute(self) -> int:
        """Discard what the target sends to all open connections, until they are cut. Returns their number."""
        self._muted |= self._open
        return len(self._open)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        try:
            await self._forward(reader, writer)
        except OSError:
            pass  # broken connections are expected here
        finally:
            self._open.discard(writer)
            self._swallowed.discard(writer)
            self._muted.discard(writer)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        if not host:
            return
        await self.forwards.wait()
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._far.add(far_writer)

        def swallowed() -> bool:
            return writer in self._swallowed

        def muted() -> bool:
            return writer in self._swallowed or writer in self._muted

        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer, None, swallowed))
                both.create_task(_copy(far_reader, writer, self.allowance, muted))
        finally:
            self._far.discard(far_writer)
            far_writer.transport.abort()


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    allowance: int | None,
    swallowed: Callable[[], bool],
) -> None:
    """Copy one direction until its end, or until `allowance` bytes, and close the writer."""
    left = allowance
    with contextlib.suppress(OSError):
        while piece := await reader.read(_CHUNK if left is None else min(left, _CHUNK)):
            if swallowed():
                continue
            writer.write(piece)
            await writer.drain()
            if left is not None:
                left -= len(piece)
    if not swallowed():
        with contextlib.suppress(OSError):
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
