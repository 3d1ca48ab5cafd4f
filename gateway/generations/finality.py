"""Whether what cannot be undone may be done by age: LOST, and what retention removes.

Ages are true as long as the machine's clocks are. A gateway that is started with a calendar set forward takes all for
older than it is, and nothing on the machine can tell that from a long pause. Higgsfield's answers can: so before
something is given up Higgsfield is asked for the time, once in the life of a process, and the earlier of the two
counts. While it does not answer nothing is given up.
"""

import logging

from gateway.errors import GatewayError
from gateway.generations.clock import DISAGREEMENT
from gateway.generations.ports import Clock, Upstream

log = logging.getLogger(__name__)


class Finality:
    """Tells a steady time that is not too late, where there is one."""

    def __init__(self, clock: Clock, upstream: Upstream) -> None:
        self._clock = clock
        self._upstream = upstream
        self._ahead: float | None = None

    async def time(self) -> float | None:
        """The steady time, or an earlier one if ours is ahead of Higgsfield's; None while nothing may be given up."""
        if not self._clock.agrees():
            return None
        if self._ahead is None:
            try:
                theirs = await self._upstream.time()
            except GatewayError as error:
                log.warning("nothing is given up while Higgsfield does not answer", extra={"error": str(error)})
                return None
            ahead = 0.0 if theirs is None else self._clock.moment().steady - theirs
            # The steady time runs evenly: what it is ahead now it is ahead for as long as this process lives.
            self._ahead = ahead if ahead >= DISAGREEMENT else 0.0
            if self._ahead:
                log.warning("the clock is ahead of Higgsfield's: is it right?", extra={"seconds": round(ahead)})
        return self._clock.moment().steady - self._ahead
