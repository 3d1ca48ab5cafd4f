"""Guards the HTTP port while no keys are asked for: whoever reaches it may spend money, so no web page shall.

A page of another site could call by its own origin, or by a name that it had rebound to this machine.
"""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from gateway.config import Address
from gateway.telemetry import Bad


class LocalCallersOnly:
    """ASGI middleware: serves calls that name this machine, and that no page made but ours and the allowed ones."""

    def __init__(self, app: Any, *, allowed_origins: Sequence[str], bad: Callable[[Bad], None]) -> None:
        self._app = app
        self._allowed_origins = frozenset(allowed_origins)
        self._bad = bad

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse, or go on."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin", "")
        answer = None
        if not _is_local(host):
            answer = PlainTextResponse("this host is not served here\n", status_code=400)
        elif origin and origin not in self._allowed_origins and origin.partition("://")[2] != host:
            answer = PlainTextResponse("this origin may not call\n", status_code=403)
        if answer is None:
            await self._app(scope, receive, send)
            return
        self._bad(Bad.ORIGIN)
        await answer(scope, receive, send)


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.endswith(".localhost") or Address(name, 0).loopback
