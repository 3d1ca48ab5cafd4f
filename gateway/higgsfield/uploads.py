"""Uploads to Higgsfield's storage: a slot from the API, then one PUT without credentials."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ValidationError

from gateway import failpoints
from gateway.errors import upstream_unavailable
from gateway.higgsfield.client import HiggsfieldClient
from gateway.settings.values import ProxyFor, no_proxy
from gateway.uploads.service import Slot

if TYPE_CHECKING:  # its import would double the start-up time
    import aiohttp

SLOT_SECONDS = 3600.0
"""Seconds for which an upload URL is valid if it does not say so itself (Higgsfield's documentation)."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_NOT_PASSED_ON = frozenset({"authorization", "cookie", "host", "content-length", "transfer-encoding", "connection"})


class _SlotResponse(BaseModel):
    public_url: str
    upload_url: str
    content_type: str | None = None
    upload_headers: dict[str, str] | None = None


class HiggsfieldStorage:
    """Implements `Storage`. `client` returns the client for the slots of a tenant.

    `timeout` is the most seconds without progress, because a large file may take long.
    """

    def __init__(
        self, client: Callable[[str], HiggsfieldClient], *, timeout: float, proxy_for: ProxyFor = no_proxy
    ) -> None:
        self._client = client
        self._timeout = timeout
        self._proxy_for = proxy_for
        self._session: aiohttp.ClientSession | None = None

    async def slot(self, tenant: str, content_type: str) -> Slot:
        """Return an upload slot for one file. Raises GatewayError."""
        client = self._client(tenant)
        body = await client.upload_slot(content_type)
        try:
            response = _SlotResponse.model_validate_json(body)
        except ValidationError as error:
            raise upstream_unavailable("Higgsfield's upload slot could not be read") from error
        # An older service returns no headers: then only the content type was signed.
        signed = response.upload_headers or {"Content-Type": content_type}
        headers = {name: value for name, value in signed.items() if _may_pass(name, value)}
        if not all(fit_for_files(url, local=client.local) for url in (response.upload_url, response.public_url)):
            raise upstream_unavailable("Higgsfield's upload URL is not allowed")
        return Slot(response.public_url, response.upload_url, headers, _seconds(response.upload_url))

    async def put(self, slot: Slot, size: int, chunks: AsyncIterator[bytes]) -> None:
        """PUT the file once. It is never repeated, because its source cannot be read twice. Raises GatewayError."""
        import aiohttp
        from yarl import URL

        source = _Source(chunks)
        failpoints.before("storage call")
        try:
            async with (
                asyncio.timeout(None) as limit,
                self._opened().put(
                    URL(slot.upload_url, encoded=True),
                    data=source.read(limit, self._timeout),
                    headers={**slot.headers, "Content-Length": str(size)},
                    allow_redirects=False,
                    proxy=self._proxy_for(slot.upload_url),
                ) as response,
            ):
                failpoints.after("storage call")
                if not 200 <= response.status < 300:
                    raise upstream_unavailable(f"Higgsfield's storage answered with HTTP status {response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if source.failure is not None:
                raise source.failure from error
            raise upstream_unavailable("Higgsfield's storage did not accept the file") from error
        if source.sent != size:
            # A storage, or a proxy in front of it, may respond before it has read the file. The rest is not sent then.
            raise source.failure or upstream_unavailable("Higgsfield's storage did not take the whole file")

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                # The time to connect includes waiting for another connection. A storage may close one that is idle just
                # as the next upload begins.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, connect=10.0, sock_read=self._timeout),
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
                trust_env=False,
            )
        return self._session


class _Source:
    """Chunks for aiohttp. It wraps errors of the source, so `failure` keeps the original one.

    `sent` is the number of bytes that aiohttp was given.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.failure: Exception | None = None
        self.sent = 0

    async def read(self, limit: asyncio.Timeout, seconds: float) -> AsyncIterator[bytes]:
        """Yield the chunks. `limit` ends the upload if the storage does not take one within so many seconds.

        After the last one it has as many for the whole response. The timeouts of aiohttp do not include the time in
        which a body is written, and begin again with each byte of a response.
        """
        loop = asyncio.get_running_loop()
        try:
            async for chunk in self._chunks:
                if not limit.expired():
                    limit.reschedule(loop.time() + seconds)
                self.sent += len(chunk)
                yield chunk
                if not limit.expired():
                    limit.reschedule(None)
            if not limit.expired():
                limit.reschedule(loop.time() + seconds)
            failpoints.amid("storage call")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.failure = error
            raise OSError("the source of an upload failed") from error


def fit_for_files(url: str, *, local: bool) -> bool:
    """Return whether files may be sent to a URL: https without user info. With `local`, a sandbox, http is allowed."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
    return named and (parts.scheme == "https" or (parts.scheme == "http" and local))


def _may_pass(name: str, value: str) -> bool:
    return bool(_HEADER_NAME.fullmatch(name)) and name.lower() not in _NOT_PASSED_ON and value.isprintable()


def _seconds(url: str) -> float:
    expires = parse_qs(urlsplit(url).query).get("X-Amz-Expires", [""])[0]
    return float(expires) if re.fullmatch(r"[0-9]{1,6}", expires) else SLOT_SECONDS
