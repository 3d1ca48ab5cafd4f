"""Polls one session for all its watchers.

A watcher is represented by the number of changes that it has seen. A poll reads the messages after the last settled
one, so that it gets only new messages and those that may still change.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.agents.model import Message, Session, Transcript
from gateway.agents.ports import AgentApi
from gateway.concurrency import Signals, Wakeup, retrieve_exception
from gateway.errors import GatewayError, Reason, upstream_unavailable
from gateway.frozen import frozen
from gateway.generations.clock import jittered
from gateway.generations.ports import Clock

FIRST_PAUSE, MAX_PAUSE = 2.0, 10.0
PAUSE_GROWTH = 1.5
TRANSIENT_REASONS = frozenset({Reason.UPSTREAM_UNAVAILABLE, Reason.UPSTREAM_SATURATED})
"""The errors of a poll that do not end the watches."""


@frozen
class Pace:
    """Seconds between polls, first and longest. The defaults are the advice of Higgsfield's documentation."""

    first: float = FIRST_PAUSE
    longest: float = MAX_PAUSE


@dataclass(slots=True)
class _Row:
    message: Message
    changed: int


class Conversation(Signals):
    """The known state of one session.

    `corrected` returns the session that a transcript shows, or a corrected one if the transcript may be outdated.
    `watchers` is maintained by `Agents`. `changes` counts the changes so far.
    """

    def __init__(
        self,
        session_id: str,
        api: Callable[[], AgentApi],
        clock: Clock,
        pace: Pace,
        corrected: Callable[[str, Transcript], Session],
    ) -> None:
        super().__init__()
        self.watchers = 0
        self.changes = 0
        self.failure: Exception | None = None
        """The error that ended the polling."""
        self._id = session_id
        self._api = api
        self._clock = clock
        self._pace = pace
        self._corrected = corrected
        self._session: Session | None = None
        self._session_changed = 0
        self._rows: list[_Row] = []
        self._since: str | None = None  # the rows are the messages after this one; None before the first read
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._poll: asyncio.Task[None] | None = None
        self._wakeup = Wakeup()
        self._delay = pace.first
        self._not_before = 0.0
        self._one_at_a_time = asyncio.Lock()  # an older read must not overwrite a newer one

    @property
    def session(self) -> Session:
        """The current session. Available after `open`."""
        assert self._session is not None
        return self._session

    async def open(self, after: str) -> None:
        """Read the current messages after one, and start polling. Raises GatewayError if they cannot be read."""
        async with self._one_at_a_time:
            if self._index_after(after) is None and self._since is not None:
                await self._read(self._last_settled())  # `after` may be newer than the last read
            if self._index_after(after) is None:
                await self._read(after)
        if self._clock.moment().steady - self._read_at >= self._pace.first:
            await self.refresh()
        if self._poll is None:
            self._poll = asyncio.create_task(self._keep_reading())

    async def refresh(self) -> None:
        """Poll once. Concurrent calls share one request. Raises GatewayError."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_new())
            self._reading.add_done_callback(self._reading_ended)
        await asyncio.shield(self._reading)

    def poll_soon(self) -> None:
        """Poll at once, and frequently for a while, because something was done. A Retry-After is still respected."""
        self._delay = self._pace.first
        if self._clock.moment().steady >= self._not_before:
            self._wakeup.wake()

    def turn_started(self) -> None:
        """Show the session as PROCESSING before the next poll, if it was read."""
        if self._session is not None:
            self._set_session(self._session.processing())

    def _set_session(self, session: Session) -> None:
        """Set the session and wake the watchers if it has changed."""
        if session != self._session:
            self.changes += 1
            self._session, self._session_changed = session, self.changes
            self.wake()

    def changes_since(self, seen: int, after: str) -> Sequence[Session | Message]:
        """Return what has changed after the first `seen` changes: the session, and the messages after one, in order.

        The session comes first while a turn is running, and last if none is: the end of a turn follows its messages,
        also for a watch that begins or resumes after it.
        """
        first = self._index_after(after)
        # None if an outdated read does not show that message. The next ones show it again, with what follows it.
        rows = [] if first is None else self._rows[first:]
        messages = [row.message for row in rows if row.changed > seen]
        if self._session_changed <= seen:
            return messages
        return [*messages, self.session] if self.session.state.resting else [self.session, *messages]

    async def wait(self, seconds: float) -> None:
        """Wait for the next change or wake-up, for at most `seconds`."""
        signal = self.signal()
        try:
            await self._clock.wait(signal, seconds)
        finally:
            self.drop(signal)

    def stop(self) -> None:
        """Stop polling, after the last watcher has left."""
        for task in (self._poll, self._reading):
            if task is not None:
                task.cancel()

    async def _keep_reading(self) -> None:
        signal = self._wakeup.signal()
        while True:
            pause = max(jittered(self._delay), self._not_before - self._clock.moment().steady)
            self._delay = min(self._delay * PAUSE_GROWTH, self._pace.longest)
            await self._clock.wait(signal, pause)
            signal = self._wakeup.signal()  # before the read, which may not show what is done during it
            try:
                await self.refresh()
            except Exception as error:
                if not isinstance(error, GatewayError) or error.failure.reason not in TRANSIENT_REASONS:
                    self.failure = error  # also a bug: without the error, watchers would wait indefinitely
                    self.wake()
                    return
                self._not_before = self._clock.moment().steady + (error.failure.retry_after or 0.0)
                signal = self._wakeup.signal()  # `poll_soon` did not know of this Retry-After

    async def _read_new(self) -> None:
        async with self._one_at_a_time:
            await self._read(self._last_settled())

    async def _read(self, after: str) -> None:
        transcript = await self._api().messages(self._id, after)
        if self._would_lose(after, transcript.messages):
            raise upstream_unavailable("Higgsfield does not show the message yet; watch again", retry_after=1.0)
        self._read_at = self._clock.moment().steady
        before = self.changes
        self._merge(after, transcript.messages)
        known = Transcript(transcript.session, [row.message for row in self._rows])
        self._set_session(self._corrected(self._since or "", known))
        if self.changes != before:
            self.wake()

    def _would_lose(self, after: str, messages: Sequence[Message]) -> bool:
        """Return whether these messages would replace rows, without containing them, that watchers have not seen."""
        if self._since is None or self._index_after(after) is not None:
            return False
        return all(message.id != self._since for message in messages)

    def _merge(self, after: str, messages: Sequence[Message]) -> None:
        """Replace the rows after a message by the messages that were read."""
        index = self._index_after(after)
        if index is None:
            index, self._since = 0, after
        before = {row.message.id: row for row in self._rows}
        rows = self._rows[:index]
        number = self.changes + 1
        # Of two messages with one id, the later one counts. Otherwise each poll would report a change.
        for message in {message.id: message for message in messages}.values():
            known = before.get(message.id)
            if known is None or known.message != message:
                known = _Row(message, number)
                self.changes = number
            rows.append(known)
        self._rows = rows

    def _index_after(self, after: str) -> int | None:
        """Return the index of the first row after a message; None if the rows do not contain all that follow it."""
        if after == self._since:
            return 0
        for index, row in enumerate(self._rows, 1):
            if row.message.id == after:
                return index
        return None

    def _last_settled(self) -> str:
        """Return the last message up to which all messages are final."""
        last = self._since or ""
        for row in self._rows:
            if not row.message.settled:
                break
            last = row.message.id
        return last

    def _reading_ended(self, task: "asyncio.Task[None]") -> None:
        self._reading = None
        retrieve_exception(task)  # the callers of `refresh` get it, if there still are any
