"""Limits the open connections of a port. At the limit, the connection that has been idle longest makes room."""

from collections.abc import Callable

from gateway.telemetry import Rejection


class ConnectionLimit:
    """At most `max_connections` open connections.

    At the limit, a new connection takes the slot of the one that has been idle longest, which is closed. If no
    connection is idle, the new one is refused. `count_rejection` counts both cases.
    """

    def __init__(self, max_connections: int, count_rejection: Callable[[Rejection], None]) -> None:
        self._max_connections = max_connections
        self._count_rejection = count_rejection
        self._taken: set[Slot] = set()
        self._idle: dict[Slot, Callable[[], object]] = {}

    @property
    def open_connections(self) -> int:
        return len(self._taken)

    @property
    def full(self) -> bool:
        """Whether a new connection needs the slot of another one."""
        return len(self._taken) >= self._max_connections

    def take(self) -> "Slot | None":
        """Return a slot for a new connection; None if the connection must be refused."""
        if self.full:
            self._count_rejection(Rejection.CONNECTIONS)
            if not self._idle:
                return None
            oldest, close = next(iter(self._idle.items()))
            oldest.release()
            close()
        slot = Slot(self._taken, self._idle)
        self._taken.add(slot)
        return slot


class Slot:
    """The slot of one connection, which releases it when it has ended."""

    __slots__ = ("_idle", "_taken")

    def __init__(self, taken: "set[Slot]", idle: "dict[Slot, Callable[[], object]]") -> None:
        self._taken = taken
        self._idle = idle

    def idle(self, close: Callable[[], object]) -> None:
        """Mark the connection as idle. `close` closes it if its slot is needed."""
        if self in self._taken:
            self._idle[self] = close

    def busy(self) -> None:
        """Mark the connection as busy, because a request is being read or answered."""
        self._idle.pop(self, None)

    def release(self) -> None:
        """Give the slot back. A second call has no effect."""
        self._taken.discard(self)
        self._idle.pop(self, None)
