"""What goes with a request down to its socket (a gate, a name), and the transport behind, imported when needed."""

import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.higgsfield.transport import AioTransport

Gate = Callable[[], bool]

send_gate: ContextVar[Gate | None] = ContextVar("send_gate", default=None)
"""Asked once a connection is there, right before the first byte; False raises `ConnectTimeout` instead of sending."""
sending: ContextVar[str] = ContextVar("sending", default="")
"""What the request is called at failpoints, such as "submit call"."""


class LateTransport:
    """Loads the real transport with the first request: its import would double the time to the first answered call."""

    def __init__(self, headers: Mapping[str, str], tls: ssl.SSLContext | bool) -> None:
        self._headers = headers
        self._tls = tls
        self._real: AioTransport | None = None

    @property
    def real(self) -> "AioTransport":
        """The transport itself."""
        return self._real or self._load()

    async def aclose(self) -> None:
        """Close every connection."""
        if self._real is not None:
            await self._real.aclose()

    def _load(self) -> "AioTransport":
        from gateway.higgsfield.transport import AioTransport

        self._real = AioTransport(headers=self._headers, tls=self._tls)
        return self._real


TransportFrom = Callable[[Mapping[str, str], ssl.SSLContext | bool], LateTransport]
"""Makes the transport, given the headers of every request and how TLS is done."""
