"""Context variables that a request carries down to the transport."""

from collections.abc import Callable
from contextvars import ContextVar

Gate = Callable[[], bool]

send_gate: ContextVar[Gate | None] = ContextVar("send_gate", default=None)
"""Called when a connection is open, right before the first byte is sent. If it returns False, the transport sends
nothing and raises `ConnectTimeout`."""
sending: ContextVar[str] = ContextVar("sending", default="")
"""The name of the request at failpoints, such as "submit call"."""
