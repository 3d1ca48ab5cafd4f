"""Context variables that a request carries down to the transport."""

from collections.abc import Callable
from contextvars import ContextVar

SendCheck = Callable[[], bool]

send_check: ContextVar[SendCheck | None] = ContextVar("send_check", default=None)
"""Called when a connection is open, right before the first byte is sent. If it returns False, the transport sends
nothing and raises `ConnectTimeout`."""
sending: ContextVar[str] = ContextVar("sending", default="")
"""The name of the request at failpoints, such as "submit call"."""
