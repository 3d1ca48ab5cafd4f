"""Output files from wherever Higgsfield keeps them: plain GETs without credentials, to hosts of the internet only.

The URLs come from Higgsfield's answers, and their hosts change. So each address is judged in the moment before it is
connected to, whatever name led there: what is private is refused, and no redirect is followed. Files of this machine
are for a Higgsfield on this machine.
"""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway import addresses, failpoints
from gateway.archive.ports import Checkpoint, SourceError, SourceResponse

if TYPE_CHECKING:  # its import would double the time to the first answered call
    import aiohttp

CHUNK = 128 * 1024
"""Bytes that are passed on at a time."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")


class MediaSource:
    """The `Source` of the archive. `timeout` bounds each silence, in seconds: a large file may take long."""

    def __init__(self, *, timeout: float, local: bool) -> None:
        self._timeout = timeout
        self._local = local
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self, url: str, after: Checkpoint | None) -> AsyncIterator[SourceResponse]:
        """Ask for a file, or for what follows a part of it if it still is the same file (RFC 9110, 13.1.5)."""
        import aiohttp
        from yarl import URL

        headers = {"Accept-Encoding": "identity"}
        if after is not None:
            headers |= {"Range": f"bytes={after.size}-", "If-Range": after.etag}
        try:
            target = URL(url, encoded=True)
            if target.scheme not in ("https", "http") or (target.scheme == "http" and not self._local):
                raise SourceError("its URL is none that files are fetched from")
            failpoints.before("media call")
            async with self._opened().get(target, headers=headers, allow_redirects=False) as response:
                failpoints.amid("media call")
                yield _answer(response, after)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _trouble(error) from error

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=self._socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=self._timeout),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
            )
        return self._session

    def _socket(self, address: "aiohttp.AddrInfoType") -> socket.socket:
        """A socket for an address that may be connected to, and will be: nobody looks the name up again."""
        family, kind, protocol, _, where = address
        host = str(where[0])
        if not addresses.allowed(host, addresses.LOOPBACK if self._local else ()):
            raise OSError("the address is not public")
        return socket.socket(family, kind, protocol)


def _answer(response: "aiohttp.ClientResponse", after: Checkpoint | None) -> SourceResponse:
    if response.status not in (200, 206):
        raise SourceError(f"HTTP status {response.status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError("it comes encoded, though that was not asked for")
    etag = response.headers.get("ETag", "")
    strong = etag if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag) else ""
    offset, size = 0, response.content_length
    if response.status == 206:
        told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if told is None or after is None or int(told[1]) != after.size:
            raise SourceError("another part of it came than was asked for")
        offset, size = int(told[1]), int(told[2])
        strong = strong or after.etag
    elif size is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise SourceError("it does not say where it ends")
    return SourceResponse(offset, size, strong, _chunks(response), response.headers.get("Content-Type", ""))


async def _chunks(response: "aiohttp.ClientResponse") -> AsyncIterator[bytes]:
    import aiohttp

    try:
        async for chunk in response.content.iter_chunked(CHUNK):
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _trouble(error) from error
    failpoints.after("media call")


def _trouble(error: Exception) -> SourceError:
    """What went wrong, by its kind: texts of errors hold the URL, whose query may be a signature."""
    cause = getattr(error, "os_error", error)
    told = " (not a public address)" if "not public" in str(cause) else ""
    return SourceError(f"{type(error).__name__}{told}")
