"""A media server on a real socket, with programmable faults."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

PIECE = 64 * 1024


@dataclass
class File:
    """One file. Each request consumes the first of `faults`; without one it is answered as requested.

    A fault may contain: `status`, sent instead of the file; `cut`, the number of bytes after which the connection
    closes; `more`, the error of the Content-Length; `at`, the number of bytes after which `then` is awaited; and
    `headers`, sent in addition.
    """

    content: bytes
    times: int = 1
    etag: str = '"one"'
    faults: list[dict[str, Any]] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    ranged: bool = True
    conditional: bool = True
    """Whether the server respects If-Range."""

    @property
    def size(self) -> int:
        return len(self.content) * self.times

    @property
    def ranges(self) -> list[str]:
        """The Range headers of the requests."""
        return [request.headers.get("Range", "") for request in self.requests]

    def pieces(self, begin: int) -> Iterator[bytes]:
        """Yield the content from the offset."""
        length = len(self.content)
        at = begin
        while at < self.size:
            piece = self.content[at % length :][:PIECE]
            at += len(piece)
            yield piece


class MediaServer:
    """Serves `files` by their paths; over TLS with `tls`."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, File] = {}
        self.url = ""
        self._address = host, port
        self._tls = tls

    def add(self, path: str, content: bytes, **more: Any) -> File:
        self.files[path] = file = File(content, **more)
        return file

    async def __aenter__(self) -> MediaServer:
        application = web.Application()
        application.add_routes([web.get("/{path:.*}", self._file, allow_head=False)])
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address, ssl_context=self._tls).start()
        self.url = "http{}://{}:{}".format("s" if self._tls else "", *self._runner.addresses[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file = self.files[request.path]
        file.requests.append(request)
        fault = file.faults.pop(0) if file.faults else {}
        if "status" in fault:
            return web.Response(status=fault["status"], headers=fault.get("headers"))
        begin = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        same = not file.conditional or request.headers.get("If-Range", file.etag) == file.etag
        if wanted and file.ranged and same:
            begin = int(wanted[1])
            if begin >= file.size:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{file.size}", "ETag": file.etag})
        answer = web.StreamResponse(status=206 if begin else 200)
        if begin:
            answer.headers["Content-Range"] = f"bytes {begin}-{file.size - 1}/{file.size}"
        if file.etag:
            answer.headers["ETag"] = file.etag
        answer.headers.update(fault.get("headers", {}))
        if fault.get("chunked"):
            answer.enable_chunked_encoding()
        else:
            answer.content_length = file.size - begin + fault.get("more", 0)
        await answer.prepare(request)
        await self._send(answer, request, file.pieces(begin), fault)
        return answer

    async def _send(
        self, answer: web.StreamResponse, request: web.Request, pieces: Iterator[bytes], fault: dict[str, Any]
    ) -> None:
        sent = 0
        then: Callable[[], Awaitable[None]] | None = fault.get("then")
        for piece in pieces:
            if "cut" in fault:
                piece = piece[: max(fault["cut"] - sent, 0)]  # noqa: PLW2901
            if piece:
                await answer.write(piece)
            sent += len(piece)
            if then is not None and sent >= fault["at"]:
                await then()
                then = None
            if sent >= fault.get("cut", sent + 1):
                break
        if "cut" in fault or fault.get("more"):
            assert request.transport is not None
            # The written bytes are sent before the connection closes.
            request.transport.close()
