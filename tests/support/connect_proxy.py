"""An HTTP proxy that opens connections for its clients (CONNECT), as a company's proxy to the internet does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Self

CHUNK = 64 * 1024


class ConnectProxy:
    """An async context manager. `routes` are the targets that clients may name, and where they lead.

    It requires `credentials`, `user:password`, if there are any.
    """

    def __init__(self, routes: Mapping[str, str] = MappingProxyType({}), credentials: str = "") -> None:
        self.routes = dict(routes)
        self.response: bytes | None = None
        """What every client gets instead of a connection, before its connection to the proxy is closed."""
        self.hangs = False
        """Whether it never responds."""
        self.asked: list[str] = []
        """The targets that clients have named."""
        self.heads: list[str] = []
        """The heads of their requests."""
        self.address = ""
        self._authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else ""
        self._server: asyncio.Server
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        while self._open:
            await asyncio.wait(self._open)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        task.add_done_callback(self._open.pop)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # broken connections are expected here
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        self.asked.append(target)
        self.heads.append(head)
        if self.hangs:
            await reader.read()
            return
        given = re.search(r"(?im)^proxy-authorization: (.*)\r$", head)
        if self.response is not None:
            writer.write(self.response)
        elif self._authorization != ("" if given is None else given[1]):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        elif method != "CONNECT" or target not in self.routes:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            await self._connect(self.routes[target], reader, writer)
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _connect(self, where: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = where.rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
