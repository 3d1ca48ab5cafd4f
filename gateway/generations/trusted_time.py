"""Decides whether the gateway may take an irreversible step by age. No other code makes that decision.

Irreversible steps are: giving up a wait, canceling at a start_timeout, LOST, giving up a copy for the archive,
forgetting keys, pruning, and a repeat under a key that Higgsfield may have forgotten. What an operator declares LOST is
the operator's decision.

Within one process the steady clock measures ages exactly. Between two processes only the machine's wall clock does, and
a wrong wall clock looks like a long pause. The `Date` header of Higgsfield's responses distinguishes the two. Therefore
a time that an earlier process stored is compared with both clocks: a step is due when both clocks say so (the earlier
one counts), and a window is open while both say so (the later one counts). A `Correction` records by how much the
steady clock of a process was off, so that times stored under a wrong wall clock keep their true age after it has been
put right. A process that ended before it read a Date leaves an unplaced correction, and the age of its times is
unknown. A step that depends on such a time is due only after the present process has run for long enough, and no window
since such a time is open. A process therefore learns Higgsfield's time before its first POST, so that a crash during
that POST leaves a time whose age the next process knows.

Reading the Date of each response costs no call. Higgsfield is asked for the time only before an irreversible step,
before the first submission or the first change of limits of a process that has read no Date, when a Date contradicts
what is known, and when the first calls of a process get no response.
"""

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Sequence

from gateway.concurrency import Wakeup
from gateway.errors import GatewayError
from gateway.frozen import frozen
from gateway.generations.clock import DISAGREEMENT, sleep
from gateway.generations.model import Moment, Steady, Wall
from gateway.generations.ports import Clock, Upstream
from gateway.generations.store_backoff import until_stored
from gateway.generations.stores import Correction, TimeStore, UnconfirmedError

log = logging.getLogger(__name__)

ASK_INTERVAL = 10.0
"""Seconds for which the result of asking for the time is reused."""
LEARN_TIMEOUT = 5.0
"""Seconds for which the first submission of a process waits for Higgsfield's time."""
UNCORRECTED = Correction(Steady(-math.inf), 0.0)
"""Holds for times that were stored before corrections were."""


@frozen
class _Reading:
    """The result of asking for the time. `ahead`: our steady time minus theirs; None if there was no Date."""

    at: Steady
    answered: bool
    ahead: float | None = None


class TrustedTime:
    """Compares stored steady times with our clock and with Higgsfield's."""

    def __init__(self, clock: Clock, upstream: Upstream, times: TimeStore, corrections: Sequence[Correction]) -> None:
        self._clock = clock
        self._upstream = upstream
        self._times = times
        self._corrections = list(corrections)
        self._born = clock.moment().steady
        self._placed = False
        self._tried = False
        self._doubted = False
        self._wall_wrong_at: Steady | None = None
        """When the wall clock was last seen to be wrong; None if it is right."""
        self._reading: _Reading | None = None
        self._asking = asyncio.Lock()
        self._learning = asyncio.Lock()
        self._wakeup = Wakeup()

    async def begin(self) -> None:
        """Store that the clock of this process is not known yet, with as many attempts as it takes.

        Call it before any other time is stored: a time that no correction covers would get a wrong age.
        """
        known = self._corrections
        if known and not known[-1].placed:
            return  # covers the times of this process as well
        same = [
            one.since
            for before, one in itertools.pairwise(known)
            if one.ahead == before.ahead and one.placed and before.placed
        ]
        unplaced = Correction(self._born, self._ahead_now(), placed=False)
        await until_stored(self._clock, "that the clock is not known yet", lambda: self._times.correct(unplaced, same))
        self._replace(unplaced, same)

    async def learn(self) -> None:
        """Wait until this process knows Higgsfield's time, or until one attempt to learn it has ended.

        Await it before a POST is recorded. Without a response it returns after LEARN_TIMEOUT seconds: the submission
        is sent all the same, but if the process ends before the response, no later process repeats it.
        """
        if self._placed or self._tried:
            return
        async with self._learning:
            if not self._tried:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LEARN_TIMEOUT):
                        await self._read()
                self._tried = True

    async def is_over(self, since: Steady, seconds: float, *, unanswered: bool = False) -> bool:
        """Return whether so many seconds have certainly passed since a stored steady time; see `before`."""
        if self._clock.moment().steady - since < seconds:
            return False  # not even by our own clock
        before = await self.before(seconds, unanswered=unanswered)
        return before is not None and since <= before

    async def before(self, seconds: float, *, unanswered: bool = False) -> Steady | None:
        """Return the latest steady time that is certainly so many seconds ago; None if none is.

        Without a response from Higgsfield no time is certain. With `unanswered`, the time this process has been running
        counts even then.
        """
        if not self._clock.agrees():
            return None
        now = self._clock.moment().steady
        lived = now - seconds >= self._born
        if lived and unanswered:
            return Steady(now - seconds)
        reading = await self._read()
        if not reading.answered:
            return None
        if lived:
            return Steady(now - seconds)
        return None if reading.ahead is None else self._long_ago(now, reading.ahead, seconds)

    async def is_open(self, since: Steady, seconds: float) -> bool | None:
        """Return whether a window since a stored steady time is certainly open; None while that is unknown."""
        now = self._clock.moment().steady
        if now - since > seconds:
            return False
        uncorrected = since >= self._born and self._correction_at(since).ahead == self._ahead_now()
        if uncorrected and self._clock.agrees():
            return True
        reading = await self._read()
        if reading.ahead is None:
            return None
        correction = self._correction_at(since)
        if not correction.placed:
            return False  # its age is unknown, and will remain so
        age = (now - reading.ahead) - (since - correction.ahead)
        # A stored time in Higgsfield's future was stored by a wrong clock, so its age is unknown.
        return -DISAGREEMENT < age <= seconds

    def seen_from(self, since: Steady) -> Moment:
        """Return the present moment on the clock of the process that stored a steady time, as far as it is known."""
        moment = self._clock.moment()
        if since >= self._born:
            return moment
        correction = self._correction_at(since)
        if not correction.placed:
            return moment._replace(steady=Steady(since + moment.steady - self._born))
        if not self._placed:
            return moment
        off = self._ahead_now() - correction.ahead
        return moment._replace(steady=Steady(min(moment.steady, moment.steady - off)))

    def higgsfield_now(self) -> float | None:
        """Return Higgsfield's time now, in seconds since the epoch; None if this process has not learned it.

        It does not jump with the wall clock. Days and months of budgets begin by it, and by no other clock.
        """
        return self._clock.moment().steady - self._ahead_now() if self._placed else None

    def by_higgsfield(self, at: Steady) -> float | None:
        """Return a stored steady time by Higgsfield's clock; None if the clock of its process is not known."""
        correction = self._correction_at(at)
        return at - correction.ahead if correction.placed else None

    def note_date(self, theirs: Wall | None) -> None:
        """Note the Date of a response; None if a call got no response.

        A Date that contradicts what is known is verified by asking for the time. The time is also asked for if a call
        fails before any Date was read: otherwise the times that this process stores could never be corrected.
        """
        now, wall = self._clock.moment()
        if theirs is not None:
            self._warn_of_wall(wall - theirs, now)
        self._doubted = theirs is None or abs(now - theirs - self._ahead_now()) >= DISAGREEMENT
        if not self._placed or (self._doubted and theirs is not None):
            self._wakeup.wake()

    def _warn_of_wall(self, ahead: float, now: Steady) -> None:
        """Log that the wall clock is wrong, once until it has been right for a minute.

        It is the clock that an operator can correct. Steady time may be right while the wall clock is not, and differ
        from Higgsfield's by less, because it never goes back. Higgsfield's servers may disagree, too.
        """
        if abs(ahead) >= DISAGREEMENT:
            if self._wall_wrong_at is None:
                log.warning("the clock differs from Higgsfield's; check it", extra={"seconds_ahead": round(ahead)})
            self._wall_wrong_at = now
        elif self._wall_wrong_at is not None and now - self._wall_wrong_at >= DISAGREEMENT:
            self._wall_wrong_at = None

    async def run(self) -> None:
        """Ask for the time if a Date is missing or contradicts what is known, and store the correction."""
        signal = self._wakeup.signal()
        while True:
            await self._clock.wait(signal, None)
            if self._doubted:
                await self._read()
            else:
                await self._keep(self._ahead_now(), self._born)
            signal = self._wakeup.signal()  # a Date that comes in the pause may be the last one for long
            await sleep(self._clock, ASK_INTERVAL)

    async def _read(self) -> _Reading:
        """Ask for the time, at most every ASK_INTERVAL seconds."""
        async with self._asking:
            reading = self._reading
            if reading is None or self._clock.moment().steady - reading.at >= ASK_INTERVAL:
                reading = self._reading = await self._ask()
            return reading

    async def _ask(self) -> _Reading:
        began = self._clock.moment().steady
        try:
            theirs = await self._upstream.time()
        except GatewayError as error:
            if self._reading is None or self._reading.answered:
                log.warning("Higgsfield's time is unavailable; irreversible steps wait", extra={"error": str(error)})
            return _Reading(self._clock.moment().steady, answered=False)
        ended = self._clock.moment().steady
        if theirs is None:
            return _Reading(ended, answered=True)
        ahead = _certain_difference(began - theirs, ended - theirs)
        await self._keep(ahead, ended)
        return _Reading(ended, answered=True, ahead=ahead)

    async def _keep(self, ahead: float, now: Steady) -> None:
        """Store a new correction. The first one of a process applies from its start, later ones from now on."""
        if abs(ahead - self._ahead_now()) < DISAGREEMENT:
            if self._placed:
                return
            ahead = self._ahead_now()
        correction = Correction(now if self._placed else self._born, ahead)
        try:
            await self._times.correct(correction)
        except UnconfirmedError:
            log.warning("clock correction could not be stored; will retry")
            return
        self._replace(correction)
        self._placed = True

    def _replace(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        replaced = {correction.since, *forget}
        self._corrections = [*(earlier for earlier in self._corrections if earlier.since not in replaced), correction]

    def _ahead_now(self) -> float:
        return self._corrections[-1].ahead if self._corrections else 0.0

    def _correction_at(self, at: Steady) -> Correction:
        """Return by how much the steady clock was ahead of Higgsfield's when a time was stored."""
        return next((correction for correction in reversed(self._corrections) if correction.since <= at), UNCORRECTED)

    def _long_ago(self, now: Steady, ahead: float, seconds: float) -> Steady:
        """Return the latest stored time that is so old by our clock and by Higgsfield's."""
        end = now - seconds
        for correction in reversed(self._corrections):
            at = min(end, now - ahead - seconds + correction.ahead)
            if at >= correction.since and correction.placed:
                return Steady(at)
            end = min(end, math.nextafter(correction.since, 0.0))
        return Steady(min(end, now - ahead - seconds))


def _certain_difference(lower: float, upper: float) -> float:
    """Return the least difference of the clocks, given its bounds; 0 if it is less than DISAGREEMENT."""
    if lower >= DISAGREEMENT:
        return lower
    return upper if upper <= -DISAGREEMENT else 0.0
