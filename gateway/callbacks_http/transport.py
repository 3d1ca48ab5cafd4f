"""Sends one POST with aiohttp to addresses that were checked before, on a new connection."""

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway import failpoints
from gateway.callbacks.model import NotSentError
from gateway.callbacks_http.response import CertificateError, ResponseHead

RECEIVE_BUFFER_BYTES = 8192
"""Bytes that are received from a receiver at once, more or less: the kernel doubles them for its own use."""
_may_send: ContextVar[Callable[[], bool]] = ContextVar("may_send")
"""The `may_send` of the request that the current task makes."""


async def post(
    url: str,
    host: str,
    checked: Sequence[str],
    *,
    headers: Mapping[str, str],
    body: bytes,
    tls: ssl.SSLContext | bool,
    may_send: Callable[[], bool],
) -> ResponseHead:
    """Send a POST and return the head of the response; its body is not read.

    `host` is the host of the URL, `checked` the addresses to connect to. `may_send` is called right before the first
    byte; if it returns False, nothing is sent. The caller sets the timeout. Raises OSError, CertificateError if the TLS
    handshake fails, or NotSentError.
    """
    target = yarl.URL(url, encoded=True)
    if target.raw_host is None or target.raw_host.lower() != host.lower():
        raise OSError("yarl parses another host out of the URL")
    connector = aiohttp.TCPConnector(
        resolver=_FixedResolver(checked),
        use_dns_cache=False,
        force_close=True,
        ssl=tls,
        socket_factory=_socket,
    )
    _may_send.set(may_send)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                skip_auto_headers=("Accept", "Accept-Encoding"),
                auto_decompress=False,
                trust_env=False,
                request_class=_Request,
            ) as session,
            session.post(
                target,
                data=body,
                headers={**headers, "Content-Type": "application/json", "User-Agent": "hfgateway"},
                allow_redirects=False,
            ) as response,
        ):
            failpoints.after("callback call")
            given = response.headers
            head = ResponseHead(response.status, given.get("Retry-After"), given.get("Date", ""))
            response.close()
            return head
    except aiohttp.ClientSSLError as error:
        raise CertificateError(type(error).__name__) from error
    except aiohttp.ClientError as error:
        raise OSError(type(error).__name__) from error


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket that receives little at once.

    A receiver may send informational responses (100 to 199) until the timeout. All that are received at once are parsed
    in one iteration of the event loop: a buffer of the usual size holds 10,000 of them, which take 0.06 s.
    """
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return made


class _FixedResolver(AbstractResolver):
    """Resolves every name to the given addresses, without a lookup."""

    def __init__(self, checked: Sequence[str]) -> None:
        self._checked = checked

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._checked
        ]

    async def close(self) -> None:
        """Do nothing: the resolver holds no resources."""


class _Request(aiohttp.ClientRequest):
    """A request that asks `may_send`, with failpoints before its first byte and after its last one."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        failpoints.before("callback call")
        if not _may_send.get()():
            raise NotSentError
        return await super().send(conn)

    async def write_bytes(self, *arguments: Any) -> None:
        """Send the body; aiohttp calls this in a separate task."""
        await super().write_bytes(*arguments)
        failpoints.amid("callback call")
