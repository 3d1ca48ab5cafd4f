"""An httpx transport over aiohttp whose errors say what is certain.

httpx's own pool walks all its connections for every request, which costs ten times the request itself at 200 in flight
(`bench/`, docs/decisions/0004). What matters more: a submission may be repeated only when it is certain that not one
byte of it was sent, so this transport raises `ConnectError`, `ConnectTimeout` and `PoolTimeout` for such failures only.
Everything it does not know is a `ReadError`: ambiguous. It repeats no POST (a GET or DELETE goes out a second time
where an idle connection turns out to be closed), follows no redirect, keeps no cookies.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import aiohttp
import httpx
import yarl

from gateway import failpoints
from gateway.higgsfield.request_context import send_gate, sending

_KEPT_BY_US = frozenset({b"cookie", b"connection"})


class Reply(NamedTuple):
    """A whole answer; names of headers in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AioTransport(httpx.AsyncBaseTransport):
    """Sends each request over aiohttp.

    `headers` go with every request. `limit` bounds the open connections (0: none); `keepalive` is how long an idle one
    may be used again, in seconds: short, because a request that meets a connection just closed by the other side looks
    like a lost answer.
    """

    def __init__(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 0,
        keepalive: float = 1.0,
        tls: ssl.SSLContext | bool = True,
    ) -> None:
        self._headers = headers
        self._limit = limit
        self._keepalive = keepalive
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def exchange(
        self,
        method: str,
        url: httpx.URL,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        connect: float,
        most: int,
    ) -> Reply:
        """Send a request to the origin of `url` for the `target`, and read the answer as it comes over the wire.

        Raises an `httpx.TransportError` whose class says whether the request can have been processed. An answer that is
        encoded, or longer than `most` bytes, is such an error too. `connect` limits the seconds until there is a
        connection; who calls limits the whole.
        """
        response = await self._send(method, _destination(url, target), headers, body, _timeout(connect, None))
        content = response.content
        received = b""
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise httpx.RemoteProtocolError("the answer is encoded")
            while not content.at_eof():
                received += await content.readany()
                if len(received) > most:
                    raise httpx.RemoteProtocolError("the answer is too long")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise certain_or_not(error) from error
        finally:
            _let_go(response)
        return Reply(response.status, response.headers, received)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The same for who speaks httpx: its time limits and its way to read."""
        limits = request.extensions.get("timeout", {})
        headers = {
            name.decode("ascii"): value.decode("ascii")
            for name, value in request.headers.raw
            if name.lower() not in _KEPT_BY_US
        }
        response = await self._send(
            request.method,
            yarl.URL(str(request.url), encoded=True),
            headers,
            await request.aread(),
            _timeout(limits.get("connect"), limits.get("read")),
        )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response), request=request)

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _send(
        self, method: str, url: yarl.URL, headers: Mapping[str, str], body: bytes, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        session = self._session or self._open()
        try:
            return await session.request(
                method, url, headers=headers, data=body or None, allow_redirects=False, timeout=timeout
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise certain_or_not(error) from error

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=_GatedConnector(limit=self._limit, ssl=self._tls, keepalive_timeout=self._keepalive),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            trust_env=False,
            request_class=_Request,
        )
        return self._session


def _destination(origin: httpx.URL, target: str) -> yarl.URL:
    """The URL, put together: parsing one anew costs more than sending it, and every status call has another."""
    path, _, query = target.partition("?")
    authority = origin.netloc.decode("ascii")
    return yarl.URL.build(scheme=origin.scheme, authority=authority, path=path, query_string=query, encoded=True)


@lru_cache(maxsize=64)
def _timeout(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    # `connect` covers the look-up of the name, too; `sock_connect` does not.
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=read)


def _let_go(response: aiohttp.ClientResponse) -> None:
    """Give its connection back; one with an answer that was not read to its end is of no use to anybody."""
    if response.content.at_eof():
        response.release()
    else:
        response.close()


def certain_or_not(error: Exception) -> httpx.TransportError:
    """The httpx error for a failure: connect errors only where no byte of the request can have left."""
    if isinstance(error, aiohttp.ConnectionTimeoutError | _GateClosedError):
        return httpx.ConnectTimeout("no connection in time")
    if isinstance(error, aiohttp.ClientConnectorError):  # DNS, refused, TLS: before a byte of HTTP
        return httpx.ConnectError(type(error).__name__)
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no answer in time")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return httpx.RemoteProtocolError(type(error).__name__)
    return httpx.ReadError(type(error).__name__)


class _GateClosedError(aiohttp.ClientError):
    """The gate said no: nothing was sent."""


class _GatedConnector(aiohttp.TCPConnector):
    """Asks the gate between having a connection and using it."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        gate = send_gate.get()
        if gate is not None and not gate():
            connection.close()
            raise _GateClosedError
        return connection


class _Request(aiohttp.ClientRequest):
    """Has a place to be killed at before its first byte, and one after its last."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        failpoints.before(sending.get())
        response = await super().send(conn)
        if not self.body:
            failpoints.amid(sending.get())
        return response

    async def write_bytes(self, *arguments: Any) -> None:
        """The rest of one with a body, in a task of its own."""
        await super().write_bytes(*arguments)
        failpoints.amid(sending.get())


class _Body(httpx.AsyncByteStream):
    """The answer's bytes as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_chunked(65_536):
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise certain_or_not(error) from error

    async def aclose(self) -> None:
        _let_go(self._response)
