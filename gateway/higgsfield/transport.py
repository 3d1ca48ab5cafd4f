"""Sends requests over aiohttp, and raises httpx's errors, which say whether a request may have been processed.

A submission may be repeated only if no byte of it was sent. This transport therefore raises `ConnectError` and
`ConnectTimeout` only in that case. After any other error the outcome is unknown.

It never repeats a POST. A GET or DELETE is sent a second time if an idle connection turns out to be closed. It does not
follow redirects or keep cookies. It is also faster: the pool of httpx walks all its connections for every request,
which at 200 in flight costs ten times the request itself (`bench/`, docs/decisions/0004).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import aiohttp
import httpx
import yarl

from gateway import failpoints
from gateway.higgsfield.errors import UnreadResponseError
from gateway.higgsfield.request_context import send_check, sending


class Reply(NamedTuple):
    """A complete response. The names of headers are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AioTransport:
    """Sends each request over aiohttp.

    `headers` are sent with every request. The number of connections is not limited. An idle connection is reused for at
    most `keepalive` seconds. That is short, because a request on a connection that the other side has just closed looks
    like a lost response. `proxy` is the URL of an HTTP proxy that opens the connections to https URLs (CONNECT).
    """

    def __init__(
        self, *, headers: Mapping[str, str] | None = None, keepalive: float = 1.0, proxy: str | None = None
    ) -> None:
        self._headers = {} if headers is None else headers
        self._proxy = proxy
        self._keepalive = keepalive
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
        max_bytes: int,
    ) -> Reply:
        """Send a request for `target` to the origin of `url`, and read the response without decoding it.

        Raises an `httpx.TransportError` whose class says whether the request may have been processed; also if the
        response is compressed or longer than `max_bytes`. `connect` limits the seconds until there is a connection. The
        caller limits the total.
        """
        response = await self._send(method, _destination(url, target), headers, body, _timeout(connect))
        content = response.content
        received = b""
        try:
            if response.headers.get("content-encoding", "").lower() not in {"", "identity"}:
                raise UnreadResponseError("the response is compressed")
            while not content.at_eof():
                received += await content.readany()
                if len(received) > max_bytes:
                    raise UnreadResponseError(f"the response is longer than {max_bytes} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise transport_error(error) from error
        finally:
            response.release()  # closes the connection if the response was not read to its end
        return Reply(response.status, response.headers, received)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(
        self, method: str, url: yarl.URL, headers: Mapping[str, str], body: bytes, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        session = self._session or self._open()
        # Not the headers of the session, which aiohttp would send to the proxy in plaintext, with the credentials.
        headers = {**self._headers, **headers}
        try:
            return await session.request(
                method, url, headers=headers, data=body or None, allow_redirects=False, timeout=timeout
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise transport_error(error) from error
        except RuntimeError as error:
            if not session.closed:
                raise
            raise httpx.ConnectError("the connections are closed") from error

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=_CheckedConnector(limit=0, keepalive_timeout=self._keepalive),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            trust_env=False,
            proxy=self._proxy,
            request_class=_Request,
        )
        return self._session


def _destination(origin: httpx.URL, target: str) -> yarl.URL:
    """Build the URL from its parts. Parsing would cost more than sending, and each status call has a different URL."""
    path, _, query = target.partition("?")
    authority = origin.netloc.decode("ascii")
    return yarl.URL.build(scheme=origin.scheme, authority=authority, path=path, query_string=query, encoded=True)


@lru_cache(maxsize=64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    # `connect` includes the DNS lookup; `sock_connect` does not.
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=None)


def transport_error(error: Exception) -> httpx.TransportError:
    """Return the httpx error for a failure. It is a connect error only if no byte of the request can have been sent."""
    if isinstance(error, aiohttp.ConnectionTimeoutError | _SendRefusedError):
        return httpx.ConnectTimeout("no connection in time")
    if isinstance(error, aiohttp.ClientConnectorError):  # DNS, connection refused or TLS: before any byte of HTTP
        return httpx.ConnectError(type(error).__name__)
    if isinstance(error, _ProxyFailedError):
        return httpx.ConnectError(str(error))
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout("no answer in time")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return httpx.RemoteProtocolError(type(error).__name__)
    return httpx.ReadError(type(error).__name__)


class _SendRefusedError(aiohttp.ClientError):
    """The send check returned False, so nothing was sent."""


class _ProxyFailedError(aiohttp.ClientError):
    """The proxy did not open a connection, so nothing was sent."""


class _CheckedConnector(aiohttp.TCPConnector):
    """Calls the send check when a connection is open and before it is used."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> aiohttp.connector.Connection:
        try:
            connection = await super().connect(req, traces, timeout)
        except aiohttp.ClientConnectorError:
            raise
        except aiohttp.ClientHttpProxyError as error:
            raise _ProxyFailedError(f"the proxy refused the connection with HTTP status {error.status}") from error
        except aiohttp.ClientError as error:
            raise _ProxyFailedError(f"the proxy did not open a connection: {type(error).__name__}") from error
        may_send = send_check.get()
        if may_send is not None and not may_send():
            connection.close()
            raise _SendRefusedError
        return connection

    async def _get(self, key: Any, traces: Any) -> aiohttp.connector.Connection | None:
        """Return an idle connection; None if there is none.

        A connection that has received a response without a request is closed. aiohttp would take that response for the
        one to the next request (RFC 9112, 9.2).
        """
        while (connection := await super()._get(key, traces)) is not None and connection.protocol is not None:
            if not connection.protocol.should_close:
                return connection
            connection.close()
        return None


class _Request(aiohttp.ClientRequest):
    """A request with failpoints before its first byte and after its last one."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        failpoints.before(sending.get())
        response = await super().send(conn)
        if not self.body:
            failpoints.amid(sending.get())
        return response

    async def write_bytes(self, *arguments: Any) -> None:
        """Write the rest of a request with a body. Runs in its own task."""
        await super().write_bytes(*arguments)
        failpoints.amid(sending.get())
