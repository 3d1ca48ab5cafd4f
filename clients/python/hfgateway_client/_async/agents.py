"""Conversations with agents: `client.agents`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from hfgateway_client import requests
from hfgateway_client._async.calls import Calls
from hfgateway_client.agents import (
    Change,
    Cursor,
    KindName,
    MediaSource,
    Message,
    SentMessage,
    Session,
    Turn,
    media_request,
    put,
)
from hfgateway_client.errors import keeping_key


class Agents:
    """Sessions with Higgsfield's agents. A message is sent, and charged, once, however often an answer gets lost."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def create_session(self, *, idempotency_key: str | None = None) -> Session:
        """A new session; with a key that was used for one, that one. An error holds the key, also one that was made."""
        request = pb.CreateSessionRequest(idempotency_key=requests.key(idempotency_key))
        with keeping_key(request.idempotency_key):
            response = await self._calls.unary(self._calls.agents.CreateSession, request)
        session: Session = response.session
        return session

    async def session(self, session_id: str) -> Session:
        """The session as it is now."""
        response = await self._calls.unary(self._calls.agents.GetSession, pb.GetSessionRequest(id=session_id))
        session: Session = response.session
        return session

    async def send(
        self, session_id: str, text: str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> SentMessage:
        """Send a message, or the answer to a question, once: repeats carry the same key.

        Without an ``idempotency_key`` a UUID is made; an error holds it too, so that the same send can be made again.
        `SessionBusy` means that nothing was sent; `SubmissionUnresolved` that it cannot be told yet.
        """
        request = pb.SendMessageRequest(session_id=session_id, text=text, idempotency_key=requests.key(idempotency_key))
        with keeping_key(request.idempotency_key):
            response = await self._calls.unary(self._calls.agents.SendMessage, request, timeout=timeout)
        return SentMessage(response.message, request.idempotency_key, response.replayed)

    async def ask(
        self,
        session_id: str,
        text: str,
        *,
        on_change: Callable[[Change], object] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Send a message and wait for the end of its turn: an answer, or a question (see ``is_question``).

        ``on_change`` is called with every change. After ``timeout`` seconds (none: however long it takes) comes
        `DeadlineExceeded`, and the turn goes on.
        """
        clock = self._calls.timers.clock
        deadline = None if timeout is None else clock() + timeout
        first = None if timeout is None else min(timeout, self._calls.timeout)
        sent = await self.send(session_id, text, idempotency_key=idempotency_key, timeout=first)
        remaining = None if deadline is None else max(deadline - clock(), 0.0)
        cursor = Cursor(sent.id)
        changes = self._follow(session_id, cursor, until_idle=True, timeout=remaining)
        with keeping_key(sent.idempotency_key):
            async with aclosing(changes):
                async for change in changes:
                    if on_change:
                        on_change(change)
        return cursor.turn(sent)

    async def watch(
        self, session_id: str, after_message_id: str = "", *, until_idle: bool = False, timeout: float | None = None
    ) -> AsyncGenerator[Change, None]:
        """The session and its messages after that one, then every change of both, over lost connections and drains.

        Goes on until the session has ended, or, with ``until_idle``, until no turn is running.
        """
        cursor = Cursor(after_message_id)
        async with aclosing(self._follow(session_id, cursor, until_idle=until_idle, timeout=timeout)) as changes:
            async for change in changes:
                yield change

    def messages(
        self, session_id: str, after_message_id: str = "", *, page_size: int = 0
    ) -> AsyncGenerator[Message, None]:
        """All messages after that one, oldest first; pages are fetched as they are needed."""
        request = pb.ListMessagesRequest(session_id=session_id, after_message_id=after_message_id, page_size=page_size)
        return self._calls.pages(self._calls.agents.ListMessages, request, "messages")

    async def interrupt(self, session_id: str) -> Session:
        """Stop the turn that is running; the session as it is then."""
        request = pb.InterruptSessionRequest(id=session_id)
        response = await self._calls.unary(self._calls.agents.InterruptSession, request)
        session: Session = response.session
        return session

    async def upload_media(
        self,
        source: MediaSource,
        *,
        extension: str | None = None,
        kind: KindName | None = None,
        timeout: float | None = None,
    ) -> str:
        """Bring bytes or a file to Higgsfield's storage; returns the URL that messages refer to.

        Bytes need an ``extension``. ``timeout`` bounds each silence of the storage.
        """
        wanted = media_request(source, extension, kind)
        slot: pb.CreateMediaResponse = await self._calls.unary(self._calls.agents.CreateMedia, wanted)
        await asyncio.to_thread(put, source, slot.upload_url, slot.content_type, timeout)
        request = pb.ConfirmMediaRequest(id=slot.id, kind=wanted.kind)
        await self._calls.unary(self._calls.agents.ConfirmMedia, request)
        return slot.url

    async def _follow(
        self, session_id: str, cursor: Cursor, *, until_idle: bool, timeout: float | None
    ) -> AsyncGenerator[Change, None]:
        def request() -> pb.WatchSessionRequest:
            return pb.WatchSessionRequest(id=session_id, after_message_id=cursor.after, until_idle=until_idle)

        stream = self._calls.resumed(self._calls.agents.WatchSession, request, timeout=timeout)
        async with aclosing(stream) as messages:
            async for message in messages:
                change = cursor.received(message)
                if change is not None:
                    yield change
