"""How to go on while the store refuses writes: the one place that backs off."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.generations.clock import rest
from gateway.generations.ports import Clock, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between attempts to store what has happened already."""
FIRST_REST, LONGEST_REST = 1.0, 5.0
"""Seconds between attempts to begin something new."""


async def until_stored(clock: Clock, what: str, write: Callable[[], Awaitable[T]], **named: str) -> T:
    """Write what has happened, until it is stored: it must not be forgotten. `write` may be called again.

    `what` and `named` go to the log. Any error but StoreError is raised.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await write()
        except StoreError:
            log.error("%s could not be stored; trying again", what, extra=named)
        await rest(clock, pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class StoreBackoff:
    """Holds back new work after a write was refused: one step is tried at a time, less and less often.

    Without it, each of the waiting steps would be tried again at once, thousands of times a second.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._until = 0.0
        self._trying = False

    def failed(self, now: float) -> None:
        """A write was refused."""
        if self._pause and not self._trying:
            return  # it began together with one that was refused before
        self._trying = False
        self._pause = min(2 * self._pause, LONGEST_REST) if self._pause else FIRST_REST
        self._until = now + self._pause

    def worked(self) -> None:
        """A write was committed."""
        self._pause = self._until = 0.0

    def begins(self, now: float) -> None:
        """A step begins: while writes are refused it is the only one until the pause is over."""
        if self._pause:
            self._trying = True
            self._until = now + self._pause

    def ends(self, now: float) -> float | None:
        """When the next step may begin; None if now."""
        return self._until if now < self._until else None
