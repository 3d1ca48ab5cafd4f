"""The connections that one port may hold at once, and which of them can be closed for a newcomer."""

from collections.abc import Callable

from gateway.telemetry import Bad


class Places:
    """At most `most` connections. While all places are taken, the connection that has been idle longest is closed.

    Where none is idle, the newcomer is refused. `bad` counts both.
    """

    def __init__(self, most: int, bad: Callable[[Bad], None]) -> None:
        self._most = most
        self._bad = bad
        self._taken: set[Place] = set()
        self._idle: dict[Place, Callable[[], object]] = {}

    @property
    def taken(self) -> int:
        """Connections that are open."""
        return len(self._taken)

    def take(self) -> "Place | None":
        """A place for a new connection; None where there is none."""
        if len(self._taken) >= self._most:
            self._bad(Bad.CONNECTIONS)
            if not self._idle:
                return None
            oldest, close = next(iter(self._idle.items()))
            oldest.leave()
            close()
        place = Place(self._taken, self._idle)
        self._taken.add(place)
        return place


class Place:
    """One connection's. `leave` it when the connection has ended; it does no harm to do so twice."""

    __slots__ = ("_idle", "_taken")

    def __init__(self, taken: "set[Place]", idle: "dict[Place, Callable[[], object]]") -> None:
        self._taken = taken
        self._idle = idle

    def idle(self, close: Callable[[], object]) -> None:
        """Nothing is done for this connection now: it may be closed."""
        if self in self._taken:
            self._idle[self] = close

    def busy(self) -> None:
        """A request is read or answered."""
        self._idle.pop(self, None)

    def leave(self) -> None:
        """The connection is closed."""
        self._taken.discard(self)
        self._idle.pop(self, None)
