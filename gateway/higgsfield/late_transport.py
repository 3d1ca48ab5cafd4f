"""Imports the transport with the first request, because the import of aiohttp would double the start-up time."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.higgsfield.transport import AioTransport


class LateTransport:
    """Makes the transport when it is first used. `headers` are sent with every request, over `proxy` if it is given."""

    def __init__(self, headers: Mapping[str, str], proxy: str | None) -> None:
        self._headers = headers
        self._proxy = proxy
        self._real: AioTransport | None = None

    @property
    def real(self) -> "AioTransport":
        """The transport. The first access imports and makes it."""
        return self._real or self._load()

    async def aclose(self) -> None:
        """Close all connections of the transport, if it was made."""
        if self._real is not None:
            await self._real.aclose()

    def _load(self) -> "AioTransport":
        from gateway.higgsfield.transport import AioTransport

        self._real = AioTransport(headers=self._headers, proxy=self._proxy)
        return self._real


TransportFrom = Callable[[Mapping[str, str], str | None], LateTransport]
"""Makes a transport from the headers of every request, and the URL of the proxy or None."""
