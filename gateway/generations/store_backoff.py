"""Retries and backoff while the store refuses reads or writes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.generations.clock import sleep
from gateway.generations.model import Steady
from gateway.generations.ports import Clock
from gateway.generations.stores import UnconfirmedError

log = logging.getLogger(__name__)

T = TypeVar("T")
FIRST_PAUSE, MAX_PAUSE = 0.05, 2.0
"""Seconds between attempts to store something that has already happened."""
FIRST_REST, MAX_REST = 1.0, 5.0
"""Seconds between attempts to start something new."""


async def until_stored(clock: Clock, what: str, write: Callable[[], Awaitable[T]], **named: str) -> T:
    """Call `write` until it succeeds, and return its result.

    After an UnconfirmedError it pauses and tries again; any other error is raised. The first one is logged, with `what`
    as the subject and `named` as fields: in an outage, thousands of outcomes may wait.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await write()
        except UnconfirmedError:
            if pause == FIRST_PAUSE:
                log.error("%s could not be stored; trying again until it is", what, extra=named)
        await sleep(clock, pause)
        pause = min(2 * pause, MAX_PAUSE)


async def until_taken_over(step: Callable[[], Awaitable[T]]) -> T:
    """Call a step of a takeover until the store allows it, and return its result. The first UnconfirmedError is logged.

    An operator may have locked a table. If the new leader ended instead, each other replica would in turn, although all
    of them can still serve reads.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            return await step()
        except UnconfirmedError as error:
            if pause == FIRST_PAUSE:
                log.error("the takeover waits for the store; trying again", extra={"error": str(error)})
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE)


class StoreBackoff:
    """Delays new work after a refused write: one step is tried at a time, with growing pauses.

    Without it, every waiting step would be retried at once, thousands of times a second.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._until = 0.0
        self._trying = False

    def failed(self, now: Steady) -> None:
        """Record a refused write."""
        if self._pause and not self._trying:
            return  # it started before the first refusal
        self._trying = False
        self._pause = min(2 * self._pause, MAX_REST) if self._pause else FIRST_REST
        self._until = now + self._pause

    def succeeded(self) -> None:
        """Record a committed write."""
        self._pause = self._until = 0.0

    def started(self, now: Steady) -> None:
        """Record the start of a step. While writes are refused, no other starts before the pause is over."""
        if self._pause:
            self._trying = True
            self._until = now + self._pause

    def ended(self) -> None:
        """Record the end of a step without a refused write. It may have written nothing, so the next one may start.

        Otherwise many generations that do not change would each wait for a pause, long after the store has recovered.
        """
        if self._trying:
            self._until = 0.0

    def resumes_at(self, now: Steady) -> float | None:
        """Return the time at which the next step may start; None if now."""
        return self._until if now < self._until else None
