"""The one way of a message to Higgsfield: recorded, sent once, and looked up where its answer was lost.

A message is billable, and Higgsfield takes no key for it: whatever happens, it is not sent a second time. So before the
POST a row is durable that holds the caller's key, a hash of session and text, and the newest message that was known of
the session. What comes of the POST is one of three:

- *taken*: Higgsfield answered with the id of the message; the key is bound to it.
- *certainly not taken*: no connection, or a refusal in the documented form. The row goes, and the key is free. There
  was no earlier POST under this row, so there is none that the refusal could not speak for; unless something on the way
  had sent ours twice, which only "busy" could hide. So after that the messages are read once, as below.
- *not known*: anything else, and also every row without an outcome that a process finds which did not write it. The
  session's messages after the recorded one are read: a user's message with this text, to which no other key is bound,
  is it. If there is none the caller is told SUBMISSION_UNRESOLVED, and the same key looks again, and only looks.

Why looking is sound. One process has the store, and in it one message at a time goes to a session: from the reading of
the newest message over the record and the POST to its outcome, under one lock. So nothing of ours can come between the
newest message and the POST, and every message of ours before it was over by then. What the look-up finds is either our
message, or the same text said to the same session by others: by another program with the account's credentials, or by
another of our keys whose outcome is not known either. Of these nobody can tell which is which, and it makes no
difference to what was said or paid: each found message is bound to one key, no key is ever sent again, so as many keys
are bound as messages were taken. What can go wrong is that a key stays unresolved whose message never came to be. That
is the price of never paying twice, and its caller may decide to say it again under a new key.

A look-up that finds nothing proves nothing: a POST that we gave up may be processed later. So no row is ever given up,
unless an operator says what came of it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from gateway.agents.model import (
    SESSION,
    Kept,
    Message,
    MessageState,
    Role,
    Sent,
    key_reused,
    message_fingerprint,
    same_text,
)
from gateway.agents.ports import AgentApi, AgentStore
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable, invalid_field
from gateway.generations.ports import Clock, NoAnswer, NotTaken, StoreError
from gateway.generations.store_backoff import until_stored
from gateway.generations.tasks import OwnedTasks

log = logging.getLogger(__name__)

T = TypeVar("T")
LOOK_AGAIN = 2.0
"""Seconds after which a caller is asked to look again for a message."""


class Messages:
    """Sends messages. `taken` hears of each that Higgsfield took, with its session."""

    def __init__(
        self,
        api: AgentApi,
        store: AgentStore,
        clock: Clock,
        taken: Callable[[str, str], None],
        tasks: OwnedTasks,
    ) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._taken = taken
        self._tasks = tasks
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.draining = False

    async def send(self, tenant: str, session_id: str, text: str, key: str) -> tuple[Message, bool]:
        """The message, and whether the key was known. Has to run to its end: not in a task that a caller can cancel."""
        fingerprint = message_fingerprint(session_id, text)
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with lock:
            kept = await self._store.agent_key(tenant, key)
            if kept is None:
                if self.draining:
                    raise gateway_unavailable("the gateway is shutting down: nothing was sent")
                return await self._send(Kept(tenant, key, fingerprint, session_id), text), False
            if kept.fingerprint != fingerprint:
                raise key_reused(kept)
            if kept.message_id is None:
                return await self._look_up(kept, text), True
        return await self._known(kept, kept.message_id, text), True

    async def resolve(self, tenant: str, key: str, message_id: str | None) -> None:
        """Bind a message without an outcome to a message of its session, or free its key if None.

        Only an operator may call this. Must not be canceled, like `send`.
        """
        kept = await self._unresolved(tenant, key)
        async with self._locks.setdefault(kept.session_id, asyncio.Lock()):
            kept = await self._unresolved(tenant, key)  # a caller may have found it
            if message_id is None:
                await self._store.free_agent_key(kept)
                return
            later = (await self._api.messages(kept.session_id, kept.after)).messages
            if not any(message.id == message_id and message.role is Role.USER for message in later):
                raise invalid_field("message_id", "is no message of the user in that session after it was sent")
            if not await self._store.bind_agent_message(kept, message_id):
                raise invalid_field("message_id", "belongs to another key")

    async def _unresolved(self, tenant: str, key: str) -> Kept:
        kept = await self._store.agent_key(tenant, key)
        if kept is None or kept.fingerprint == SESSION:
            raise GatewayError(Failure(Reason.NOT_FOUND, "no such message"))
        if kept.message_id is not None:
            raise invalid_field("idempotency_key", "stands for a message whose outcome is known")
        return kept

    async def _send(self, kept: Kept, text: str) -> Message:
        kept = await self._marked(kept)
        outcome = await self._api.send(kept.session_id, text)
        match outcome:
            case Sent(message_id):
                self._taken(kept.session_id, message_id)
                if await self._stored(self._store.bind_agent_message, kept, message_id):
                    return Message(message_id, Role.USER, MessageState.PROCESSING, text)
                log.error("Higgsfield answered with a message that another key has", extra=_named(kept, message_id))
                raise _unresolved(kept)
            case NotTaken(failure):
                if failure.reason is Reason.SESSION_BUSY and (message := await self._taken_after_all(kept, text)):
                    return message
                await self._stored(self._store.free_agent_key, kept)
                raise GatewayError(failure)
            case NoAnswer():
                return await self._look_up(kept, text)

    async def _marked(self, kept: Kept) -> Kept:
        """The record, durable: with the newest message that there is."""
        known = await self._store.newest_agent_message(kept.session_id)
        newer = (await self._api.messages(kept.session_id, known)).messages
        kept = Kept(kept.tenant, kept.key, kept.fingerprint, kept.session_id, after=newer[-1].id if newer else known)
        try:
            marked = await self._store.mark_agent_message(kept, self._clock.moment().steady)
        except StoreError:
            # It may be stored all the same, and must not look as if the message had been sent.
            self._tasks.start(self._stored(self._store.free_agent_key, kept))
            raise
        if not marked:
            raise key_reused(kept)  # used for another session since we looked: those have locks of their own
        return kept

    async def _look_up(self, kept: Kept, text: str) -> Message:
        """The message, if it is there by now."""
        try:
            message = await self._found(kept, text)
        except GatewayError as error:
            raise _unresolved(kept) from error
        if message is None:
            raise _unresolved(kept)
        log.info("a message without an answer was found", extra=_named(kept, message.id))
        return message

    async def _taken_after_all(self, kept: Kept, text: str) -> Message | None:
        """The message that keeps the session busy, where that is ours: something on the way had sent it twice."""
        try:
            return await self._found(kept, text)
        except GatewayError:
            return None

    async def _found(self, kept: Kept, text: str) -> Message | None:
        """Our message among those of the session, bound; None where it is not there."""
        transcript = await self._api.messages(kept.session_id, kept.after)
        bound = await self._store.bound_agent_messages(kept.session_id)
        for message in transcript.messages:
            if message.role is Role.USER and same_text(message.text, text) and message.id not in bound:
                if not await self._stored(self._store.bind_agent_message, kept, message.id):
                    return None
                self._taken(kept.session_id, message.id)
                return message
        return None

    async def _known(self, kept: Kept, message_id: str, text: str) -> Message:
        """The message of an earlier call, as it is now."""
        for message in (await self._api.messages(kept.session_id, kept.after)).messages:
            if message.id == message_id:
                return message
        return Message(message_id, Role.USER, MessageState.PROCESSING, text)

    async def _stored(self, write: Callable[..., Awaitable[T]], *values: object) -> T:
        """Make an outcome durable, as often as it takes: without it the message stays in doubt."""
        return await until_stored(self._clock, "the outcome of a message", lambda: write(*values))


def _unresolved(kept: Kept) -> GatewayError:
    message = (
        "sent to Higgsfield, no answer came, and it is not among the messages yet: "
        "call again with the same idempotency_key to look again"
    )
    return GatewayError(
        Failure(
            Reason.SUBMISSION_UNRESOLVED,
            message,
            retryable=True,
            retry_after=LOOK_AGAIN,
            metadata={"session_id": kept.session_id},
        )
    )


def _named(kept: Kept, message_id: str) -> dict[str, str]:
    return {"session_id": kept.session_id, "message_id": message_id}
