"""Downloads output files, with plain GETs without credentials, from public addresses only.

The URLs come from Higgsfield's responses, and their hosts change. Each address is therefore checked right before the
connection: private addresses are refused, and redirects are not followed. If Higgsfield is on this machine, as a
sandbox, files of this machine are allowed.

A proxy looks up the names itself. Then only URLs with an address are checked here, and the proxy must refuse names with
private addresses.
"""

import asyncio
import re
import socket
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from gateway import addresses, failpoints
from gateway.archive.ports import Checkpoint, RangeError, SourceError, SourceResponse
from gateway.settings.values import ProxyFor, no_proxy

if TYPE_CHECKING:  # its import would double the start-up time
    import aiohttp

CHUNK = 128 * 1024
"""The largest chunk in bytes. A host that sends fewer bytes within the timeout counts as stuck."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")


class MediaSource:
    """Implements `Source` of the archive.

    `timeout` is the most seconds for the head of a response, and for CHUNK bytes of its body; files may be large.
    """

    def __init__(self, *, timeout: float, local: bool, proxy_for: ProxyFor = no_proxy) -> None:
        self._timeout = timeout
        self._local = local
        self._proxy_for = proxy_for
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}
        """By the proxy that they use, or None."""

    @asynccontextmanager
    async def open(self, url: str, after: Checkpoint | None) -> AsyncIterator[SourceResponse]:
        """Request a file, or the rest of it after a part if it is unchanged (RFC 9110, 13.1.5).

        Raises SourceError, and RangeError if the response is not that rest.
        """
        import aiohttp
        from yarl import URL

        headers = {"Accept-Encoding": "identity"}
        if after is not None:
            headers |= {"Range": f"bytes={after.size}-", "If-Range": after.etag}
        try:
            target = URL(_quote(url), encoded=True)
            if target.scheme not in ("https", "http") or (target.scheme == "http" and not self._local):
                raise SourceError("its URL is not allowed")
            session = self._opened(self._proxy_for(url), target.host or "")
            failpoints.before("media call")
            async with asyncio.timeout(self._timeout):  # that of aiohttp begins again with each byte
                response = await session.get(target, headers=headers, allow_redirects=False)
            async with response:
                failpoints.amid("media call")
                yield _answer(response, after, self._timeout)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _trouble(error) from error

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    def _opened(self, proxy: str | None, host: str) -> "aiohttp.ClientSession":
        """Return the session for a host. Raises OSError or ValueError if its address is known and not allowed."""
        import aiohttp

        if proxy is not None and (address := addresses.literal(host)) is not None:
            self._check(str(address))
        if proxy not in self._sessions:
            self._sessions[proxy] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, socket_factory=None if proxy else self._socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=10.0, sock_read=self._timeout),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
                proxy=proxy,
            )
        return self._sessions[proxy]

    def _socket(self, address: "aiohttp.AddrInfoType") -> socket.socket:
        """Return a socket for an allowed address. The connection uses this address without another DNS lookup."""
        family, kind, protocol, _, where = address
        self._check(str(where[0]))
        return socket.socket(family, kind, protocol)

    def _check(self, address: str) -> None:
        """Raise OSError if an address is not allowed."""
        if not addresses.allowed(address, addresses.LOOPBACK if self._local else ()):
            raise OSError("the address is not public")


def _quote(url: str) -> str:
    """Return a URL whose path and query have only ASCII characters without spaces. The others may be signed."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{slash}{quote(path, string.punctuation)}"


def _answer(response: "aiohttp.ClientResponse", after: Checkpoint | None, timeout: float) -> SourceResponse:
    if response.status == 416:
        raise RangeError("the host has no bytes after the checkpoint")
    if response.status not in (200, 206):
        raise SourceError(f"HTTP status {response.status}")
    if response.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
        raise SourceError("the response is compressed, which was not requested")
    etag = response.headers.get("ETag", "")
    strong = etag if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag) else ""
    offset, size = 0, response.content_length
    if response.status == 206:
        part = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if part is None or after is None or int(part[1]) != after.size:
            raise RangeError("the response holds another range than requested")
        offset, size = int(part[1]), int(part[2])
        strong = strong or after.etag
    elif size is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise SourceError("the response has no length")
    return SourceResponse(offset, size, strong, _chunks(response, timeout), response.headers.get("Content-Type", ""))


async def _chunks(response: "aiohttp.ClientResponse", timeout: float) -> AsyncIterator[bytes]:
    """Yield the body. Raises SourceError if CHUNK bytes take longer than the timeout, without the time of the reader.

    The timeout of aiohttp begins again with each byte, so a slow host could occupy a place indefinitely.
    """
    import aiohttp

    loop = asyncio.get_running_loop()
    until, missing = loop.time() + timeout, CHUNK
    try:
        while True:
            async with asyncio.timeout_at(until):
                chunk = await response.content.read(CHUNK)
            if not chunk:
                break
            missing -= len(chunk)
            received = loop.time()
            yield chunk
            if missing > 0:
                until += loop.time() - received
            else:
                until, missing = loop.time() + timeout, CHUNK
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _trouble(error) from error
    failpoints.after("media call")


def _trouble(error: Exception) -> SourceError:
    """Return an error by its class. Messages of errors contain the URL, and its query may be a signature."""
    cause = getattr(error, "os_error", error)
    reason = " (not a public address)" if "not public" in str(cause) else ""
    return SourceError(f"{type(error).__name__}{reason}")
