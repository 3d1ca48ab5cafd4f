"""Removes the data of deleted generations from Higgsfield, and repeats what Higgsfield has not confirmed.

A deletion is recorded in the commit that removes the generation here. DELETE is idempotent at Higgsfield, so it is
repeated until it is confirmed, also after a restart: one request at a time, with growing pauses after failures, and not
before the end of a Retry-After. The failure of one account does not delay the removals of another one.
"""

import logging
import random

from gateway.concurrency import Wakeup
from gateway.errors import GatewayError
from gateway.generations.clock import sleep, spread
from gateway.generations.ports import Clock, Upstream
from gateway.generations.stores import DeletionStore, Removal, UnconfirmedError

log = logging.getLogger(__name__)

FIRST_PAUSE, MAX_PAUSE = 5.0, 600.0
"""Seconds after a DELETE that was not confirmed."""


class Removals:
    """`run` repeats removals, `remove` tries one now, `wake` announces that one was recorded."""

    def __init__(self, deletions: DeletionStore, upstream: Upstream, clock: Clock) -> None:
        self._deletions = deletions
        self._upstream = upstream
        self._clock = clock
        self._wakeup = Wakeup()
        self._not_before: dict[str, float] = {}
        """By the id of the credentials: when Higgsfield's Retry-After ends, in steady time."""

    def wake(self) -> None:
        """Wake `run`, because a removal was recorded."""
        self._wakeup.wake()

    async def remove(self, removal: Removal) -> None:
        """Send the DELETE, and record the removal as confirmed. Raises GatewayError, UnconfirmedError."""
        try:
            await self._upstream.delete(removal)
        except GatewayError as error:
            self._not_before[removal.account] = self._clock.moment().steady + (error.failure.retry_after or 0.0)
            raise
        await self._deletions.removed(removal)

    async def run(self) -> None:
        """Repeat unconfirmed removals until canceled."""
        pause = FIRST_PAUSE
        while True:
            recorded = self._wakeup.signal()
            try:
                removals = await self._deletions.removals()
            except UnconfirmedError:
                await sleep(self._clock, FIRST_PAUSE)
                continue
            reachable = [removal for removal in removals if self._upstream.can_delete(removal.account, removal.origin)]
            if not reachable:
                await self._clock.wait(recorded, None)
                await sleep(self._clock, FIRST_PAUSE)  # the call that recorded it tries first
            random.shuffle(reachable)  # so that one that always fails does not keep the others back
            now = self._clock.moment().steady
            failed = {removal.account for removal in reachable if now < self._not_before.get(removal.account, now)}
            for removal in reachable:
                if removal.account not in failed and not await self._repeat(removal):
                    failed.add(removal.account)
            if failed:
                await sleep(self._clock, spread(pause))
            pause = min(2 * pause, MAX_PAUSE) if failed else FIRST_PAUSE

    async def _repeat(self, removal: Removal) -> bool:
        try:
            await self.remove(removal)
        except (GatewayError, UnconfirmedError) as error:
            named = {"generation_id": removal.generation_id, "request_id": removal.request_id, "error": str(error)}
            log.warning("data of a deleted generation not removed from Higgsfield; will retry", extra=named)
            return False
        except Exception:  # it must not end the removals of others
            log.exception("the removal of a deleted generation failed; will retry")
            return False
        return True
