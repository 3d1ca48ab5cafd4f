"""The use cases: sessions, messages, watches and media, for tenants."""

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.agents.conversation import Conversation, Pace
from gateway.agents.messages import Messages
from gateway.agents.model import (
    SESSION,
    Kept,
    MediaKind,
    Message,
    Role,
    Session,
    SessionState,
    Slot,
    Transcript,
    key_reused,
    media_not_found,
    session_not_found,
)
from gateway.agents.ports import AgentApi, AgentStore
from gateway.errors import Failure, GatewayError, Reason, invalid_field
from gateway.generations.ports import Clock
from gateway.generations.tasks import OwnedTasks
from gateway.generations.watch import HEARTBEAT, Stream

T = TypeVar("T")

BELIEVED_AFTER = 10.0
"""Seconds in which a session that took a message counts as at work, while nothing of that shows in what it tells."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message that Higgsfield took, and until when a read may be older than that (steady time)."""

    message_id: str
    until: float


class Agents:
    """Conversations for callers. `shared`: where no keys are asked for, also sessions that were not created here."""

    def __init__(self, api: AgentApi, store: AgentStore, clock: Clock, pace: Pace, *, shared: bool) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._pace = pace
        self._shared = shared
        self._tasks = OwnedTasks()
        self._messages = Messages(api, store, clock, self._was_taken, self._tasks)
        self._conversations: dict[str, Conversation] = {}
        self._taken: dict[str, _Taken] = {}

    @property
    def watched(self) -> int:
        """How many sessions are read again and again."""
        return len(self._conversations)

    async def create_session(self, tenant: str, key: str) -> tuple[Session, bool]:
        """A session, and whether the key was known."""
        kept = await self._store.agent_key(tenant, key)
        if kept is None:
            session = await self._tasks.finish(self._create(tenant, key))
            if session is not None:
                return session, False
            kept = await self._store.agent_key(tenant, key)
        if kept is None or kept.fingerprint != SESSION:
            raise key_reused(kept or Kept(tenant, key, b"", ""))
        return await self.session(tenant, kept.session_id), True

    async def session(self, tenant: str, session_id: str) -> Session:
        """The session as it is."""
        await self._check(tenant, session_id)
        after = await self._store.newest_agent_message(session_id)
        return self._believed(after, await self._api.messages(session_id, after))

    async def send(self, tenant: str, session_id: str, text: str, key: str) -> tuple[Message, bool]:
        """Send a message once, whatever becomes of this call; and whether the key was known."""
        await self._check(tenant, session_id)
        return await self._tasks.finish(self._messages.send(tenant, session_id, text, key))

    async def unresolved(self) -> Sequence[tuple[Kept, float]]:
        """The messages of all tenants without an outcome, and the wall time of each."""
        return await self._store.unresolved_agent_messages()

    async def resolve(self, tenant: str, key: str, message_id: str | None) -> None:
        """Say what came of one: this message, or nothing (None). For operators. Raises GatewayError."""
        await self._tasks.finish(self._messages.resolve(tenant, key, message_id))

    async def messages(self, tenant: str, session_id: str, after: str) -> Sequence[Message]:
        """All messages after that one, oldest first."""
        await self._check(tenant, session_id)
        _check_message(after)
        return (await self._api.messages(session_id, after)).messages

    async def interrupt(self, tenant: str, session_id: str) -> Session:
        """Ask the agent to stop; the session as it is then."""
        await self._check(tenant, session_id)
        await self._api.interrupt(session_id)
        self._taken.pop(session_id, None)
        self._poke(session_id)
        return await self.session(tenant, session_id)

    async def watch(
        self, tenant: str, session_id: str, after: str, *, until_idle: bool, check: Callable[[], None]
    ) -> AsyncGenerator[Session | Message | None, None]:
        """The session and the messages after that one, then every change; None after each `HEARTBEAT` of silence.

        `check` is called whenever the watch looks around, and may raise what ends it.
        """
        await self._check(tenant, session_id)
        _check_message(after)
        stream = Stream(self._clock, check)
        conversation = self._join(session_id)
        try:
            await conversation.open(after)
            seen, told = 0, self._clock.moment().steady
            while True:
                news, seen = conversation.news(seen, after), conversation.changes
                for one in news:
                    yield one
                    told = self._clock.moment().steady
                if conversation.changes > seen:
                    continue
                state = conversation.session.state
                if state is SessionState.TERMINATED or (until_idle and state.resting):
                    return
                if conversation.failure is not None:
                    raise conversation.failure
                stream.look_around(draining=self._messages.draining)
                await conversation.quiet(told + HEARTBEAT - self._clock.moment().steady)
                if conversation.changes == seen and self._clock.moment().steady - told >= HEARTBEAT:
                    stream.look_around(draining=self._messages.draining)
                    yield None
                    told = self._clock.moment().steady
        finally:
            self._leave(session_id, conversation)

    async def create_media(self, tenant: str, extension: str, kind: MediaKind) -> Slot:
        """A place for a file."""
        slot = await self._api.create_media(extension, kind)
        await self._store.keep_agent_media(tenant, slot.id, self._clock.moment().steady)
        return slot

    async def confirm_media(self, tenant: str, media_id: str, kind: MediaKind) -> None:
        """Have Higgsfield look whether the bytes are there. Raises NOT_DONE where they are not."""
        if not _ID.fullmatch(media_id) or ".." in media_id:
            raise media_not_found(media_id)
        if not self._shared and not await self._store.has_agent_media(tenant, media_id):
            raise media_not_found(media_id)
        if not await self._api.confirm_media(media_id, kind):
            metadata = {"media_id": media_id, "state": "PENDING"}
            raise GatewayError(Failure(Reason.NOT_DONE, "the bytes are not there", metadata=metadata))

    def wake_all(self) -> None:
        """Have every watch look around."""
        for conversation in self._conversations.values():
            conversation.wake()

    def drain(self) -> None:
        """No new messages; watches end."""
        self._messages.draining = True
        self.wake_all()

    async def drained(self) -> None:
        """Wait until no message is on its way any more, and every outcome is stored."""
        await self._tasks.drained()

    async def close(self) -> None:
        """End what is left."""
        for conversation in self._conversations.values():
            conversation.stop()
        await self._tasks.cancel()

    async def _create(self, tenant: str, key: str) -> Session | None:
        """A new session, kept; None where the key was used meanwhile (then one that is free is left over)."""
        session = await self._api.create_session()
        kept = Kept(tenant, key, SESSION, session.id)
        return session if await self._store.keep_agent_session(kept, self._clock.moment().steady) else None

    async def _check(self, tenant: str, session_id: str) -> None:
        """Raise NOT_FOUND where the tenant has no such session."""
        if not session_id:
            raise invalid_field("id", "is required")
        if not _ID.fullmatch(session_id) or ".." in session_id:
            raise session_not_found(session_id)
        owner = await self._store.agent_tenant(session_id)
        if owner != tenant and not (owner is None and self._shared):
            raise session_not_found(session_id)

    def _was_taken(self, session_id: str, message_id: str) -> None:
        now = self._clock.moment().steady
        self._taken = {name: taken for name, taken in self._taken.items() if taken.until > now}
        self._taken[session_id] = _Taken(message_id, now + BELIEVED_AFTER)
        conversation = self._conversations.get(session_id)
        if conversation is not None:
            conversation.heard(Session(session_id, SessionState.PROCESSING, "processing"))
        self._poke(session_id)

    def _poke(self, session_id: str) -> None:
        conversation = self._conversations.get(session_id)
        if conversation is not None:
            conversation.poke()

    def _believed(self, after: str, transcript: Transcript) -> Session:
        """The session of a read of the messages after one; at work where the read is older than a message it took.

        A turn is over when there is an answer to its message, or the message is settled (upstream.md 5). Where a read
        says that no turn runs and shows neither, it is from before the message, and whoever waits for the end of the
        turn must not take it for that.
        """
        session = transcript.session
        taken = self._taken.get(session.id)
        if taken is None or not session.state.resting or session.state is SessionState.TERMINATED:
            return session
        if self._clock.moment().steady >= taken.until or _shows_end(taken.message_id, after, transcript.messages):
            del self._taken[session.id]
            return session
        return Session(session.id, SessionState.PROCESSING, session.upstream_status)

    def _join(self, session_id: str) -> Conversation:
        conversation = self._conversations.get(session_id)
        if conversation is None or conversation.failure is not None:
            conversation = Conversation(session_id, self._api, self._clock, self._pace, self._believed)
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
    """Whether something after a message answers it, or it is settled itself."""
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
    if message_id and (not _ID.fullmatch(message_id) or ".." in message_id):
        raise invalid_field("after_message_id", "is no id of a message")
