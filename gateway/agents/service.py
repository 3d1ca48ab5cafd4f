"""The use cases of agents: sessions, messages, watches and media of a tenant."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from gateway.agents.conversation import Conversation, Pace
from gateway.agents.messages import Messages
from gateway.agents.model import (
    SESSION,
    KeyRecord,
    MediaKind,
    MediaSlot,
    Message,
    Role,
    Session,
    SessionState,
    Transcript,
    is_id,
    key_reused,
    media_not_found,
    session_not_found,
)
from gateway.agents.ports import AgentStore, ApiOf
from gateway.concurrency import InProgress, OwnedTasks
from gateway.errors import Failure, GatewayError, Reason, invalid_field, upstream_unavailable
from gateway.frozen import frozen
from gateway.generations.ports import Clock
from gateway.generations.watching.watch import HEARTBEAT, Stream

T = TypeVar("T")

PROCESSING_DURATION = 10.0
"""Seconds for which a session counts as PROCESSING after it accepted a message, if reads do not show the message."""
MAX_IN_PROGRESS = 128
"""The most sessions and messages of a tenant that are being sent at once. They continue if their callers leave."""


@frozen
class _Accepted:
    """A message that Higgsfield accepted, and the steady time until which a read may not show it."""

    message_id: str
    until: float


class Agents:
    """The use cases of agents. The methods raise GatewayError or UnconfirmedError.

    Other tenants' sessions are NOT_FOUND.

    `shared`: sessions that were not created through this gateway may be used, too. It is set if API keys are not
    required, so that there is one tenant.
    """

    def __init__(self, api: ApiOf, store: AgentStore, clock: Clock, pace: Pace, *, shared: bool) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._pace = pace
        self._shared = shared
        self._tasks = OwnedTasks()
        self._messages = Messages(api, store, clock, self._message_accepted, self._tasks)
        self._conversations: dict[str, Conversation] = {}
        self._accepted: dict[str, _Accepted] = {}
        self._in_progress = InProgress()

    @property
    def watched(self) -> int:
        """The number of sessions that are polled for watchers."""
        return len(self._conversations)

    async def create_session(self, tenant: str, key: str) -> tuple[Session, bool]:
        """Create a session, or find the one of a known key; return it and whether the key was known.

        Raises IDEMPOTENCY_KEY_REUSED if the key belongs to a message.
        """
        record = await self._store.agent_key(tenant, key)
        if record is None:
            session = await self._finish(tenant, lambda: self._create(tenant, key))
            if session is not None:
                return session, False
            record = await self._store.agent_key(tenant, key)
        if record is None or record.fingerprint != SESSION:
            raise key_reused("" if record is None else record.session_id)
        return await self.session(tenant, record.session_id), True

    async def session(self, tenant: str, session_id: str) -> Session:
        """Return the current state of a session."""
        await self._check(tenant, session_id)
        after = await self._store.newest_agent_message(session_id)
        return self._corrected(after, await self._api(tenant).messages(session_id, after))

    async def send(self, tenant: str, session_id: str, text: str, key: str) -> tuple[Message, bool]:
        """Send a message once, even if the call is canceled; return it and whether the key was known.

        See `Messages.send`.
        """
        await self._check(tenant, session_id)
        return await self._finish(tenant, lambda: self._messages.send(tenant, session_id, text, key))

    async def unresolved(self) -> Sequence[tuple[KeyRecord, float]]:
        """Return the messages of all tenants without an outcome, each with its wall time. For operators."""
        records = await self._store.unresolved_agent_messages()
        moment = self._clock.moment()
        return [(record, moment.wall + record.used_at - moment.steady) for record in records]

    async def resolve(self, tenant: str, key: str, message_id: str | None) -> None:
        """Resolve a message without an outcome; see `Messages.resolve`. For operators."""
        await self._tasks.finish(self._messages.resolve(tenant, key, message_id))

    async def messages(self, tenant: str, session_id: str, after: str) -> Sequence[Message]:
        """Return all messages after one, oldest first; all of the session if `after` is ""."""
        await self._check(tenant, session_id)
        _check_message(after)
        return (await self._api(tenant).messages(session_id, after)).messages

    async def interrupt(self, tenant: str, session_id: str) -> Session:
        """Stop the agent's current turn; return the session afterwards."""
        await self._check(tenant, session_id)
        interrupted = self._accepted.get(session_id)
        await self._api(tenant).interrupt(session_id)
        if self._accepted.get(session_id) is interrupted:  # otherwise, a message was accepted during the call
            self._accepted.pop(session_id, None)
        self._poll_soon(session_id)
        return await self.session(tenant, session_id)

    async def watch(
        self, tenant: str, session_id: str, after: str, *, until_idle: bool, check: Callable[[], None]
    ) -> AsyncGenerator[Session | Message | None, None]:
        """Yield the session and the messages after one, then every change; None after each HEARTBEAT without a change.

        The watch ends when the session is TERMINATED, or with `until_idle` when no turn is running. `check` is called
        at every heartbeat and wake-up; an error that it raises ends the watch.
        """
        await self._check(tenant, session_id)
        _check_message(after)
        stream = Stream(self._clock, check)
        conversation = self._join(tenant, session_id)
        try:
            await conversation.open(after)
            seen, yielded_at = 0, self._clock.moment().steady
            while True:
                changed, seen = conversation.changes_since(seen, after), conversation.changes
                for message in changed:
                    yield message
                    yielded_at = self._clock.moment().steady
                if conversation.changes > seen:
                    continue
                state = conversation.session.state
                if state is SessionState.TERMINATED or (until_idle and state.resting):
                    return
                if conversation.failure is not None:
                    raise conversation.failure
                stream.raise_if_over(draining=self._messages.draining)
                await conversation.wait(yielded_at + HEARTBEAT - self._clock.moment().steady)
                if conversation.changes == seen and self._clock.moment().steady - yielded_at >= HEARTBEAT:
                    stream.raise_if_over(draining=self._messages.draining)
                    yield None
                    yielded_at = self._clock.moment().steady
        finally:
            self._leave(session_id, conversation)

    async def create_media(self, tenant: str, extension: str, kind: MediaKind) -> MediaSlot:
        """Create a slot for a file."""
        slot = await self._api(tenant).create_media(extension, kind)
        await self._store.add_agent_media(tenant, slot.id, self._clock.moment().steady)
        return slot

    async def confirm_media(self, tenant: str, media_id: str, kind: MediaKind) -> None:
        """Confirm that the file of a slot was uploaded. Raises NOT_DONE if it was not, or NOT_FOUND."""
        known = is_id(media_id) and (self._shared or await self._store.has_agent_media(tenant, media_id))
        if not known:
            raise media_not_found(media_id)
        if not await self._api(tenant).confirm_media(media_id, kind):
            metadata = {"media_id": media_id, "state": "PENDING"}
            raise GatewayError(Failure(Reason.NOT_DONE, "the file was not uploaded yet", metadata=metadata))

    def wake_all(self) -> None:
        """Wake every watch, so that it checks whether it may continue."""
        for conversation in self._conversations.values():
            conversation.wake()

    def drain(self) -> None:
        """Refuse new messages, and end all watches so that clients resume them elsewhere."""
        self._messages.draining = True
        self.wake_all()

    async def drained(self) -> None:
        """Wait until all messages in progress have ended and their outcomes are stored."""
        await self._tasks.drained()

    async def aclose(self) -> None:
        """Stop polling and cancel the remaining tasks."""
        for conversation in self._conversations.values():
            conversation.stop()
        await self._tasks.cancel()

    async def _finish(self, tenant: str, send: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Create a session or send a message, even if the call is canceled. Raises GATEWAY_OVERLOADED."""

        async def counted() -> T:
            with self._in_progress.counted(tenant, MAX_IN_PROGRESS, "sessions and messages"):
                return await send()

        return await self._tasks.finish(counted())

    async def _create(self, tenant: str, key: str) -> Session | None:
        """Create and store a session; None if another call has used the key. The unused session costs nothing."""
        session = await self._api(tenant).create_session()
        if await self._store.agent_tenant(session.id) not in {None, tenant}:
            raise upstream_unavailable("Higgsfield returned a session that exists already")
        record = KeyRecord(tenant, key, SESSION, session.id, used_at=self._clock.moment().steady)
        return session if await self._store.add_agent_session(record) else None

    async def _check(self, tenant: str, session_id: str) -> None:
        """Raise NOT_FOUND if the tenant has no such session, and INVALID_INPUT without an id."""
        if not session_id:
            raise invalid_field("id", "is required")
        if not is_id(session_id):
            raise session_not_found(session_id)
        owner = await self._store.agent_tenant(session_id)
        if owner != tenant and not (owner is None and self._shared):
            raise session_not_found(session_id)

    def _message_accepted(self, session_id: str, message_id: str) -> None:
        now = self._clock.moment().steady
        self._accepted = {name: accepted for name, accepted in self._accepted.items() if accepted.until > now}
        self._accepted[session_id] = _Accepted(message_id, now + PROCESSING_DURATION)
        conversation = self._conversations.get(session_id)
        if conversation is not None:
            conversation.turn_started()
        self._poll_soon(session_id)

    def _poll_soon(self, session_id: str) -> None:
        conversation = self._conversations.get(session_id)
        if conversation is not None:
            conversation.poll_soon()

    def _corrected(self, after: str, transcript: Transcript) -> Session:
        """Return the session of a read; as PROCESSING if the read is older than a message that was accepted.

        A turn has ended when its message is answered or settled: Higgsfield's documentation says that both happen
        together. If a read shows an idle session and neither of these, it predates the message. A caller must not
        mistake it for the end of the turn.
        """
        session = transcript.session
        accepted = self._accepted.get(session.id)
        if accepted is None or not session.state.resting or session.state is SessionState.TERMINATED:
            return session
        if self._clock.moment().steady >= accepted.until or _shows_end(accepted.message_id, after, transcript.messages):
            return session
        return session.processing()

    def _corrected_for_watch(self, after: str, transcript: Transcript) -> Session:
        """Return the session of a read for watches. After the first that shows the end of the turn, none is corrected.

        A read for another call has no such effect, because the next read for watches may be older.
        """
        session = self._corrected(after, transcript)
        if session.state.resting:
            self._accepted.pop(session.id, None)
        return session

    def _join(self, tenant: str, session_id: str) -> Conversation:
        conversation = self._conversations.get(session_id)
        if conversation is None or conversation.failure is not None:
            conversation = Conversation(
                session_id, lambda: self._api(tenant), self._clock, self._pace, self._corrected_for_watch
            )
            self._conversations[session_id] = conversation
        conversation.watchers += 1
        return conversation

    def _leave(self, session_id: str, conversation: Conversation) -> None:
        conversation.watchers -= 1
        if conversation.watchers:
            return
        conversation.stop()
        if self._conversations.get(session_id) is conversation:
            del self._conversations[session_id]


def _shows_end(message_id: str, after: str, messages: Sequence[Message]) -> bool:
    """Return whether messages contain an answer after a message, or show the message as settled."""
    seen = message_id == after
    for message in messages:
        if seen and message.role is Role.ASSISTANT:
            return True
        if message.id == message_id:
            seen = True
            if message.settled:
                return True
    return False


def _check_message(message_id: str) -> None:
    if message_id and not is_id(message_id):
        raise invalid_field("after_message_id", "is not the id of a message")
