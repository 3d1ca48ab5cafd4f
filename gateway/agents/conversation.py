"""What is known of one session while somebody watches it: one reader of Higgsfield, however many watch.

A watcher is a number: how many changes it has been told of. The reader asks for the messages after the last one before
which everything is settled, so that it reads what is new and what may still change, and nothing else.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.agents.model import Message, Session, Transcript
from gateway.agents.ports import AgentApi
from gateway.errors import GatewayError, Reason, upstream_unavailable
from gateway.generations.clock import give, jittered
from gateway.generations.ports import Clock

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 10.0
BACKOFF = 1.5
PASSING = frozenset({Reason.UPSTREAM_UNAVAILABLE, Reason.UPSTREAM_SATURATED})
"""Errors of a read that a watch outlasts."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two reads, at first and at the most; unless told as Higgsfield advises (upstream.md 6.3)."""

    first: float = FIRST_PAUSE
    longest: float = LONGEST_PAUSE


@dataclass(slots=True)
class _Row:
    message: Message
    changed: int


class Conversation:
    """One session. `believed` has the last word on its state; `watchers` is kept by who opens and leaves."""

    def __init__(
        self, session_id: str, api: AgentApi, clock: Clock, pace: Pace, believed: Callable[[str, Transcript], Session]
    ) -> None:
        self.watchers = 0
        self.changes = 0
        self.failure: Exception | None = None
        """Why it will not be read any more."""
        self._id = session_id
        self._api = api
        self._clock = clock
        self._pace = pace
        self._believed = believed
        self._session: Session | None = None
        self._session_changed = 0
        self._rows: list[_Row] = []
        self._since: str | None = None  # rows are known from this message on; None: none were read
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._poll: asyncio.Task[None] | None = None
        self._alarm: asyncio.Future[None] | None = None
        self._delay = pace.first
        self._not_before = 0.0
        self._one_at_a_time = asyncio.Lock()  # an older read must not undo a newer one
        self._signals: set[asyncio.Future[None]] = set()

    @property
    def session(self) -> Session:
        """As it is now; only after `open`."""
        assert self._session is not None
        return self._session

    async def open(self, after: str) -> None:
        """Make sure that the messages after that one are known, as they are now, and go on reading.

        Raises GatewayError where they cannot be read.
        """
        async with self._one_at_a_time:
            if self._place(after) is None and self._since is not None:
                await self._read(self._settled())  # it may be newer than the last read
            if self._place(after) is None:
                await self._read(after)
        if self._clock.moment().steady - self._read_at >= self._pace.first:
            await self.refresh()
        if self._poll is None:
            self._poll = asyncio.create_task(self._keep_reading())

    async def refresh(self) -> None:
        """Read what is new; who comes while that is being done waits for the same read."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_on())
            self._reading.add_done_callback(self._has_read)
        await asyncio.shield(self._reading)

    def poke(self) -> None:
        """Something was done: look at once, unless Higgsfield asked for a pause, and quickly for a while."""
        self._delay = self._pace.first
        if self._alarm is not None and self._clock.moment().steady >= self._not_before:
            give(self._alarm)

    def heard(self, session: Session) -> None:
        """The session is so now, whoever told."""
        if session != self._session:
            self.changes += 1
            self._session, self._session_changed = session, self.changes
            self.wake()

    def news(self, seen: int, after: str) -> Sequence[Session | Message]:
        """Return what has changed since so many changes: the session, and the messages after that one in order.

        The session is first, unless it has become idle since then: the end of a turn follows its messages.
        """
        first = self._place(after)
        messages = [row.message for row in self._rows[first:] if row.changed > seen]
        if self._session_changed <= seen:
            return messages
        turn_ended = seen > 0 and self.session.state.resting
        return [*messages, self.session] if turn_ended else [self.session, *messages]

    async def quiet(self, seconds: float) -> None:
        """Return at the next change, when watchers have to look around, or after so many seconds."""
        signal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._signals.add(signal)
        try:
            await self._clock.wait(signal, seconds)
        finally:
            self._signals.discard(signal)

    def wake(self) -> None:
        """Have everybody look around."""
        signals, self._signals = self._signals, set()
        for signal in signals:
            give(signal)

    def stop(self) -> None:
        """Nobody watches any more."""
        for task in (self._poll, self._reading):
            if task is not None:
                task.cancel()

    async def _keep_reading(self) -> None:
        while True:
            self._alarm = asyncio.get_running_loop().create_future()
            pause = max(jittered(self._delay), self._not_before - self._clock.moment().steady)
            self._delay = min(self._delay * BACKOFF, self._pace.longest)
            await self._clock.wait(self._alarm, pause)
            try:
                await self.refresh()
            except Exception as error:
                if not isinstance(error, GatewayError) or error.failure.reason not in PASSING:
                    self.failure = error  # a defect of ours, too: who watches must hear that nothing more comes
                    self.wake()
                    return
                self._not_before = self._clock.moment().steady + (error.failure.retry_after or 0.0)

    async def _read_on(self) -> None:
        async with self._one_at_a_time:
            await self._read(self._settled())

    async def _read(self, after: str) -> None:
        transcript = await self._api.messages(self._id, after)
        if self._would_lose(after, transcript.messages):
            raise upstream_unavailable("Higgsfield does not show the message yet: watch again", retry_after=1.0)
        self._read_at = self._clock.moment().steady
        before = self.changes
        self._merge(after, transcript.messages)
        known = Transcript(transcript.session, [row.message for row in self._rows])
        self.heard(self._believed(self._since or "", known))
        if self.changes != before:
            self.wake()

    def _would_lose(self, after: str, messages: Sequence[Message]) -> bool:
        """Whether these messages after one that is not known leave out some that others are still to be told of."""
        if self._since is None or self._place(after) is not None:
            return False
        return all(message.id != self._since for message in messages)

    def _merge(self, after: str, messages: Sequence[Message]) -> None:
        """What was read takes the place of all that was known after that message."""
        place = self._place(after)
        if place is None:
            place, self._since = 0, after
        before = {row.message.id: row for row in self._rows}
        rows = self._rows[:place]
        number = self.changes + 1
        for message in messages:
            known = before.get(message.id)
            if known is None or known.message != message:
                known = _Row(message, number)
                self.changes = number
            rows.append(known)
        self._rows = rows

    def _place(self, after: str) -> int | None:
        """Where the rows after a message begin; None where it, or what came after it, is not known."""
        if after == self._since:
            return 0
        for place, row in enumerate(self._rows, 1):
            if row.message.id == after:
                return place
        return None

    def _settled(self) -> str:
        """The last message up to which nothing changes any more."""
        last = self._since or ""
        for row in self._rows:
            if not row.message.settled:
                break
            last = row.message.id
        return last

    def _has_read(self, task: "asyncio.Task[None]") -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()  # each of those who wait is told; there may be none
