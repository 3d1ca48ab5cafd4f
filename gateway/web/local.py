"""Protects the HTTP port of a gateway without API keys from web pages of other sites.

Without keys, every caller that reaches the port may spend money. A page of another site could call it from its own
origin, or under a name that it has rebound to this machine.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from gateway.settings.values import is_loopback_host
from gateway.telemetry import Rejection

_FOREIGN_HOST = "the gateway serves hosts other than this machine only with API keys: HFGATEWAY_AUTH=keys\n"


class LocalCallersOnly:
    """ASGI middleware that refuses foreign requests.

    The Host header must name this machine. An Origin header must be the gateway's own or one of `allowed_origins`.
    `count_rejection` counts refused requests.
    """

    def __init__(
        self, app: Any, *, allowed_origins: Sequence[str], count_rejection: Callable[[Rejection], None]
    ) -> None:
        self._app = app
        self._allowed_origins = frozenset(allowed_origins)
        self._count_rejection = count_rejection

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin", "")
        answer = None
        if not _is_local(host):
            answer = PlainTextResponse(_FOREIGN_HOST, status_code=400)
        elif is_foreign(origin, host, self._allowed_origins):
            answer = PlainTextResponse("this origin is not allowed\n", status_code=403)
        if answer is None:
            await self._app(scope, receive, send)
            return
        self._count_rejection(Rejection.ORIGIN)
        await answer(scope, receive, send)


def is_foreign(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Return whether an Origin header names neither the gateway's own origin nor an allowed one.

    The scheme is not compared: a proxy in front of the gateway may terminate TLS.
    """
    return bool(origin) and origin not in allowed and origin.partition("://")[2] != host.lower()


def _is_local(host: str) -> bool:
    name = (host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]).lower()
    return name.endswith(".localhost") or is_loopback_host(name)
