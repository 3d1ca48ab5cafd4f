# Generated from _async by tools/unasync.py. DO NOT EDIT!
"""Conversations with Higgsfield's agents: the methods of ``client.agents``."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from hfgateway.agents.v1alpha1 import agent_service_pb2 as pb
from hfgateway_client import requests
from hfgateway_client._sync.calls import Calls
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
from hfgateway_client.errors import GatewayError, as_cause, attach_key, report


class Agents:
    """Conversations with Higgsfield's agents. Access it as ``client.agents``.

    Higgsfield must have enabled agents for the account. This API may change between versions.

    In addition to the errors of every call (see `Client`), each method can raise `FeatureNotEnabled` if the
    Higgsfield account does not have agents, and `InsufficientCredits`.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def create_session(self, *, idempotency_key: str | None = None) -> Session:
        """Create a session, which costs nothing.

        Retries use the same idempotency key, and return the same session. They may create another one if the response
        of Higgsfield was lost.

        Args:
            idempotency_key: 1 to 255 visible ASCII characters; one key for each session. Default: a new UUID.

        Raises:
            KeyReused: The key belongs to a message.
        """
        request = pb.CreateSessionRequest(idempotency_key=requests.key_or_new(idempotency_key))
        with attach_key(request.idempotency_key):
            return (self._calls.unary(request)).session

    def session(self, session_id: str) -> Session:
        """Return a session."""
        return (self._calls.unary(pb.GetSessionRequest(id=session_id))).session

    def send(
        self, session_id: str, text: str, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> SentMessage:
        """Send a message, or the answer to a question of the agent. It is charged.

        The message is sent at most once: retries use the same idempotency key. If the call fails, the error has the key
        in ``idempotency_key``; call ``send`` again with it. `SessionBusy`, `InputRefused`, `UpstreamSaturated`,
        `NotFound` and `KeyReused` mean that this call sent and charged nothing.

        Args:
            text: The text, 1 to 20,000 characters.
            idempotency_key: 1 to 255 visible ASCII characters; one key for each message. Default: a new UUID.
            timeout: The timeout in seconds. Default: that of the client.

        Raises:
            SessionBusy: A turn is running.
            SubmissionUnresolved: The message was sent, but the outcome is unknown. Retry with the same key.
            InputRefused: Higgsfield refused the text.
            UpstreamSaturated: Higgsfield accepts no more messages at present.
            KeyReused: The key belongs to another message or to a session.
        """
        request = pb.SendMessageRequest(
            session_id=session_id, text=text, idempotency_key=requests.key_or_new(idempotency_key)
        )
        with attach_key(request.idempotency_key):
            response = self._calls.unary(request, timeout=timeout)
        return SentMessage(response.message, request.idempotency_key, response.replayed)

    def ask(
        self,
        session_id: str,
        text: str,
        *,
        on_change: Callable[[Change], object] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Send a message, wait until its turn has ended, and return the turn.

        The message is sent at most once, as by `send`. If the call fails or is canceled, the turn continues. Another
        call with the same key returns the turn of its message, also if more messages followed.

        Args:
            text: The text, 1 to 20,000 characters.
            on_change: Called with every change of the session and of the agent's messages.
            timeout: The timeout in seconds. Default: no limit.

        Returns:
            The turn. If ``is_question`` is true, the agent waits for an answer; if ``failed`` is true, the turn failed.

        Raises:
            GatewayError: One of the errors of `send` or of `watch`, or ``on_change`` raised an exception, which is its
                ``__cause__``.
        """
        deadline = self._calls.deadline(timeout)
        first = deadline.within(self._calls.timeout)
        sent = self.send(session_id, text, idempotency_key=idempotency_key, timeout=first)
        cursor = Cursor(sent.id)
        changes = self._follow(session_id, cursor, True, deadline.left())
        with attach_key(sent.idempotency_key), as_cause(GatewayError), closing(changes):
            for change in changes:
                if cursor.passed_turn:
                    break
                report(on_change, change)
        return cursor.turn(sent)

    def watch(
        self, session_id: str, after_message_id: str = "", *, until_idle: bool = False, timeout: float | None = None
    ) -> Generator[Change, None, None]:
        """Iterate over a session and its messages, then over every change of both, until the session has ended.

        Args:
            after_message_id: Only messages after this one. Default: all.
            until_idle: Whether to end when no turn is running.
            timeout: The timeout of the whole watch in seconds. Default: no limit.

        Yields:
            The session, or a message that is new or has changed. It replaces an earlier message with the same id.

        Raises:
            NotFound: The tenant has no session with this id, or the session has no such message.
        """
        return self._follow(session_id, Cursor(after_message_id), until_idle, timeout)

    def messages(
        self, session_id: str, after_message_id: str = "", *, page_size: int = 0
    ) -> Generator[Message, None, None]:
        """Iterate over the messages of a session, oldest first.

        Args:
            after_message_id: Only messages after this one. Default: all.

        Raises:
            NotFound: The tenant has no session with this id, or the session has no such message.
        """
        return self._calls.pages(
            pb.ListMessagesRequest(session_id=session_id, after_message_id=after_message_id, page_size=page_size),
            "messages",
        )

    def interrupt(self, session_id: str) -> Session:
        """Ask the agent to stop its turn, and return the session. Does nothing if no turn is running."""
        return (self._calls.unary(pb.InterruptSessionRequest(id=session_id))).session

    def upload_media(
        self,
        source: MediaSource,
        *,
        extension: str | None = None,
        kind: KindName | None = None,
        timeout: float | None = None,
    ) -> str:
        """Upload media to Higgsfield's storage, and return the URL for messages.

        The media are sent directly to the storage, without passing through the gateway. This step is not retried.

        Args:
            source: Bytes, or the path of a file.
            extension: The extension of the file name without a dot, such as "png". Required for bytes. Default: that of
                the path.
            kind: The kind of the media: "image", "video", "audio" or "file". Default: determined from the extension.
            timeout: How long to wait for the storage to connect, accept data or respond, in seconds. Default: no limit.

        Raises:
            InputRefused: Higgsfield does not accept the extension or the kind.
            Unavailable: The storage cannot be reached, or did not accept the file.
            NotDone: The file has not arrived in the storage.
            ValueError: The extension is missing, or the kind is unknown.
            OSError: The file cannot be read.
        """
        media = media_request(source, extension, kind)
        slot: pb.CreateMediaResponse = self._calls.unary(media)
        put(source, slot.upload_url, slot.content_type, timeout)
        self._calls.unary(pb.ConfirmMediaRequest(id=slot.id, kind=media.kind))
        return slot.url

    def _follow(
        self, session_id: str, cursor: Cursor, until_idle: bool, timeout: float | None
    ) -> Generator[Change, None, None]:
        request = pb.WatchSessionRequest(id=session_id, after_message_id=cursor.after, until_idle=until_idle)
        with closing(self._calls.resumed(request, timeout, ended=lambda: cursor.ended(until_idle))) as messages:
            for message in messages:
                change = cursor.received(message)
                request.after_message_id = cursor.after
                if change is not None:
                    yield change
