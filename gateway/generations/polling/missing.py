"""Decides what a 404 to a status call means.

It is normal shortly after a submission. After a day the generation is LOST, if Higgsfield knows other requests of the
account and the 404s continue. Otherwise the fault may be in the credentials or in Higgsfield.
"""

import logging
from collections.abc import Callable

from gateway.generations.model import Generation, GenerationId
from gateway.generations.ports import Clock
from gateway.generations.state import Missing
from gateway.generations.trusted_time import TrustedTime

log = logging.getLogger(__name__)

GIVE_UP_MISSING = 86_400.0
"""Seconds of 404 responses after which an accepted generation may be LOST."""
CONFIRM_MISSING = 3_600.0
"""Seconds for which the 404s must continue after that, while other requests are known."""
CONFIRMATIONS = 10
"""404s in a row in this time: a few may be errors, and a generation that is a day old is polled rarely."""


class MissingRequests:
    """The 404s to status calls. `reaches(account, origin)` returns whether these credentials can be used there."""

    def __init__(self, clock: Clock, trusted_time: TrustedTime, reaches: Callable[[str, str], bool]) -> None:
        self._clock = clock
        self._trusted_time = trusted_time
        self._reaches = reaches
        self._known_at: dict[str, float] = {}
        """By the id of the credentials: when Higgsfield last knew a request that was sent with them."""
        self.suspected: dict[GenerationId, tuple[float, int]] = {}
        """By id: since when a generation may be LOST if its 404s continue, and how many there were. Remove one that has
        ended or that Higgsfield knows again."""

    def found(self, generation: Generation) -> None:
        """Record that Higgsfield knows the request of a generation."""
        self._known_at[generation.spec.account] = self._clock.moment().steady

    async def judge(self, generation: Generation) -> Missing | None:
        """Return the observation that a 404 leads to: missing since now, or LOST. None if it leads to none."""
        since, now = generation.missing_since, self._clock.moment().steady
        if since is None:
            return Missing()
        if now - since < GIVE_UP_MISSING:
            return None
        if not self._others_answered(generation, since):
            log.error("Higgsfield knows none of this account's requests; check the credentials")
        elif self._count_missing(generation, now) and await self._trusted_time.is_over(since, GIVE_UP_MISSING):
            return Missing(given_up_since=since)
        return None

    def _others_answered(self, generation: Generation, since: float) -> bool:
        """Return whether Higgsfield knew another request in the second half of the time this one was missing.

        If all requests become unknown at once, responses about the others may still arrive just after `since`.
        """
        known_at = self._known_at.get(generation.spec.account)
        reaches = self._reaches(generation.spec.account, generation.spec.origin)
        return reaches and known_at is not None and known_at - since >= GIVE_UP_MISSING / 2

    def _count_missing(self, generation: Generation, now: float) -> bool:
        """Count a 404 of a generation that may be LOST; return whether they have continued for long enough."""
        began, count = self.suspected.get(generation.id, (now, 0))
        self.suspected[generation.id] = (began, count + 1)
        return now - began >= CONFIRM_MISSING and count >= CONFIRMATIONS
