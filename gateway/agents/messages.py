"""Sends messages to Higgsfield: each is recorded, sent once, and looked up if its response is lost.

A message is charged, and Higgsfield accepts no idempotency key for it, so the gateway never sends one twice. Before the
POST it stores a record with the caller's key, a hash of session and text, and the id of the newest known message of the
session. The POST has one of three outcomes:

- *Accepted*: Higgsfield returned the id of the message. The key is bound to it.
- *Not accepted*: the connection failed, Higgsfield refused in its documented form, or SEND_TIMEOUT passed before the
  first byte could be sent, because the process was paused. The record is deleted and the key is free. This is safe
  because a record has only one POST. The exception is a proxy that repeats it: the second request would be refused as
  "busy" because of the first one. After "busy", the message is therefore looked up. The key is free only if the session
  can be read and does not contain it.
- *Unknown*: everything else, including records without an outcome that an earlier process left. The gateway reads the
  session's messages after the recorded one. A user's message with this text that belongs to no other key is the one. If
  there is none, the call fails with SUBMISSION_UNRESOLVED; the same key looks it up again and never sends it.

Why the lookup is sound: one process at a time writes a store, and a lock per session covers the reading of the newest
message, the record, the POST and its outcome. So no other message of this gateway can come between the newest message
and the POST. A message that the lookup finds is either the right one, or the same text in the same session from
elsewhere: from another program with the account, or from another key whose outcome is also unknown. These cannot be
distinguished, but it makes no difference to what was said and charged: each message is bound to one key, and no key is
sent again, so as many keys are bound as messages were accepted. A key may stay unresolved although its message never
arrived; its caller can send the message again with a new key.

A lookup that finds nothing proves nothing, because a POST that timed out may be processed later. A record therefore
stays open until its message is found or an operator resolves it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from gateway.agents.model import (
    SESSION,
    KeyRecord,
    Message,
    MessageState,
    MessageTaken,
    Role,
    key_reused,
    message_fingerprint,
    same_text,
)
from gateway.agents.ports import AgentStore, ApiOf
from gateway.concurrency import OwnedTasks
from gateway.errors import Failure, GatewayError, Reason, gateway_unavailable, invalid_field, not_found
from gateway.generations.clock import jittered, sleep
from gateway.generations.ports import Clock, MaybeTaken, NotTaken
from gateway.generations.read_back import confirmed
from gateway.generations.state import SEND_TIMEOUT
from gateway.generations.store_backoff import until_stored
from gateway.generations.stores import UnconfirmedError, UnknownCommitError

log = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_LOOKUP_DELAY = 2.0
"""Seconds after which a caller should look up a message again."""

BUSY_PAUSES = (0.0, 0.5, 1.5)
"""Seconds before each attempt to read a busy session."""


class Messages:
    """Sends messages. `accepted` is called with the session id and message id of each that Higgsfield accepted."""

    def __init__(
        self,
        api: ApiOf,
        store: AgentStore,
        clock: Clock,
        accepted: Callable[[str, str], None],
        tasks: OwnedTasks,
    ) -> None:
        self._api = api
        self._store = store
        self._clock = clock
        self._accepted = accepted
        self._tasks = tasks
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.draining = False

    async def send(self, tenant: str, session_id: str, text: str, key: str) -> tuple[Message, bool]:
        """Send a message, or find the one of a known key; return it and whether the key was known.

        It must not be canceled, so run it in an owned task. Raises GatewayError or UnconfirmedError.
        """
        fingerprint = message_fingerprint(session_id, text)
        lock = self._locks.setdefault(session_id, asyncio.Lock())
        async with lock:
            record = await self._store.agent_key(tenant, key)
            if record is None:
                self._raise_if_draining()
                return await self._send(KeyRecord(tenant, key, fingerprint, session_id), text), False
            if record.fingerprint != fingerprint:
                raise key_reused(record.session_id)
            if record.message_id is None:
                return await self._look_up(record, text), True
        return await self._known(record, record.message_id, text), True

    async def resolve(self, tenant: str, key: str, message_id: str | None) -> None:
        """Resolve a message without an outcome for an operator: bind it to a message of its session, or free its key.

        `message_id` None frees the key. It must not be canceled, like `send`. Raises NOT_FOUND or INVALID_INPUT.
        """
        record = await self._unresolved(tenant, key)
        async with self._locks.setdefault(record.session_id, asyncio.Lock()):
            record = await self._unresolved(tenant, key)  # a caller may have found it
            if message_id is None:
                await self._store.release_agent_key(record)
                return
            later = (await self._api(record.tenant).messages(record.session_id, record.after)).messages
            if not any(message.id == message_id and message.role is Role.USER for message in later):
                raise invalid_field("message_id", "is not a later message of the user in that session")
            if not await self._store.bind_agent_message(record, message_id):
                raise invalid_field("message_id", "belongs to another key")

    async def _unresolved(self, tenant: str, key: str) -> KeyRecord:
        record = await self._store.agent_key(tenant, key)
        if record is None or record.fingerprint == SESSION:
            raise not_found("no such message")
        if record.message_id is not None:
            raise invalid_field("idempotency_key", "belongs to a message whose outcome is known")
        return record

    async def _send(self, record: KeyRecord, text: str) -> Message:
        record = await self._mark(record)
        # After a pause of this process, another gateway may serve, and an operator may have freed the key.
        send_by = record.used_at + SEND_TIMEOUT
        outcome = await self._api(record.tenant).send(
            record.session_id, text, lambda: self._clock.moment().steady < send_by
        )
        match outcome:
            case MessageTaken(message_id, extra):
                self._accepted(record.session_id, message_id)
                if await self._until_stored(self._store.bind_agent_message, record, message_id):
                    return Message(message_id, Role.USER, MessageState.PROCESSING, text, extra=extra)
                fields = _log_fields(record, message_id)
                log.error("Higgsfield returned a message that belongs to another key", extra=fields)
                raise _unresolved(record)
            case NotTaken(failure):
                # The message may keep the session busy itself, because a proxy sent it twice.
                busy = failure.reason is Reason.SESSION_BUSY
                if busy and (message := await self._find_in_busy(record, text)):
                    return message
                await self._until_stored(self._store.release_agent_key, record)
                raise GatewayError(failure)
            case MaybeTaken(failure):
                return await self._look_up(record, text, failure.response)

    async def _mark(self, record: KeyRecord) -> KeyRecord:
        """Store the record with the newest message of the session, and the time."""
        known = await self._store.newest_agent_message(record.session_id)
        newer = (await self._api(record.tenant).messages(record.session_id, known)).messages
        self._raise_if_draining()  # a drain may be over before two calls have ended, one after the other
        record = replace(record, after=newer[-1].id if newer else known, used_at=self._clock.moment().steady)
        try:
            marked = await self._store_mark(record)
        except UnknownCommitError:
            # The record may be stored. Delete it, because its message is not sent.
            self._tasks.start(self._until_stored(self._store.release_agent_key, record))
            raise
        if not marked:
            raise key_reused()  # it was just used in another session, which has another lock
        return record

    def _raise_if_draining(self) -> None:
        if self.draining:
            raise gateway_unavailable("the gateway is shutting down; nothing was sent")

    async def _store_mark(self, record: KeyRecord) -> bool:
        async def once() -> bool:
            return await self._store.mark_agent_message(record)

        async def again() -> bool:
            return await once() or await self._store.agent_key(record.tenant, record.key) == record

        return await confirmed(once(), again)

    async def _look_up(self, record: KeyRecord, text: str, response: Any = None) -> Message:
        """Return the message if it is in the session now. Raises SUBMISSION_UNRESOLVED.

        `response` is the JSON of Higgsfield's response to the message, if there was one.
        """
        try:
            message = await self._find(record, text)
        except (GatewayError, UnconfirmedError) as error:
            raise _unresolved(record, response) from error
        if message is None:
            raise _unresolved(record, response)
        log.info("a message whose response was lost was found", extra=_log_fields(record, message.id))
        return message

    async def _find_in_busy(self, record: KeyRecord, text: str) -> Message | None:
        """Find the message after Higgsfield refused it as "busy". Raises SUBMISSION_UNRESOLVED if it cannot be read."""
        for pause in BUSY_PAUSES:
            if pause:
                await sleep(self._clock, jittered(pause))
            try:
                return await self._until_stored(self._find, record, text)
            except GatewayError:
                continue
        raise _unresolved(record)

    async def _find(self, record: KeyRecord, text: str) -> Message | None:
        """Find the message in the session and bind the key to it; None if it is not there."""
        transcript = await self._api(record.tenant).messages(record.session_id, record.after)
        bound = await self._store.bound_agent_messages(record.session_id)
        for message in transcript.messages:
            if message.role is Role.USER and same_text(message.text, text) and message.id not in bound:
                # Repeat only this write: after a lost answer of the store, `bound` may contain this message.
                if not await self._until_stored(self._store.bind_agent_message, record, message.id):
                    return None
                self._accepted(record.session_id, message.id)
                return message
        return None

    async def _known(self, record: KeyRecord, message_id: str, text: str) -> Message:
        """Return the current state of the message of an earlier call."""
        for message in (await self._api(record.tenant).messages(record.session_id, record.after)).messages:
            if message.id == message_id:
                return message
        return Message(message_id, Role.USER, MessageState.PROCESSING, text)

    async def _until_stored(self, write: Callable[..., Awaitable[T]], *values: object) -> T:
        return await until_stored(self._clock, "the outcome of a message", lambda: write(*values))


def _unresolved(record: KeyRecord, response: Any = None) -> GatewayError:
    message = (
        "Higgsfield did not answer, and the message is not in the session yet. "
        "Repeat the call with the same idempotency_key to look it up again; it is never sent again"
    )
    return GatewayError(
        Failure(
            Reason.SUBMISSION_UNRESOLVED,
            message,
            retryable=True,
            retry_after=RETRY_LOOKUP_DELAY,
            metadata={"session_id": record.session_id},
            response=response,
        )
    )


def _log_fields(record: KeyRecord, message_id: str) -> dict[str, str]:
    return {"session_id": record.session_id, "message_id": message_id}
