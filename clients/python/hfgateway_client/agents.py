"""Types for conversations with Higgsfield's agents. The methods are those of ``client.agents``."""

from __future__ import annotations

import mimetypes
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, InvalidURL
from os import PathLike, fstat
from pathlib import Path
from typing import IO, Literal
from urllib.request import Request, urlopen

from hfgateway.agents.v1alpha1.agent_service_pb2 import (
    AgentMediaKind,
    CreateMediaRequest,
    Message,
    MessageState,
    Role,
    Session,
    SessionState,
    WatchSessionResponse,
)
from hfgateway.v1.error_pb2 import Failure
from hfgateway_client.errors import Unavailable
from hfgateway_client.inputs import enum_value

__all__ = ["Change", "KindName", "MediaSource", "Message", "SentMessage", "Session", "SessionState", "Turn"]

Change = Session | Message
"""A change that a watch yields: the session in its new state, or a new or changed message."""
KindName = Literal["image", "video", "audio", "file"]
"""The kind of a media file."""
MediaSource = bytes | str | PathLike[str]
"""Media as bytes, or the path of a file."""
_FINAL = (MessageState.MESSAGE_STATE_COMPLETED, MessageState.MESSAGE_STATE_FAILED)
_RUNNING = (SessionState.SESSION_STATE_UNSPECIFIED, SessionState.SESSION_STATE_PROCESSING)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """The result of ``send``."""

    message: Message
    """The message, as it was when the call returned."""
    idempotency_key: str
    """The key of the message. Another ``send`` with this key returns the same message."""
    replayed: bool
    """Whether the key had been used before. If so, the call sent nothing, and nothing is charged again."""

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.message.id


@dataclass(frozen=True, slots=True)
class Turn:
    """The result of ``ask``: a message and the agent's reaction to it."""

    session: Session
    """The session after the turn. Empty if more messages followed, because it is then that of a later turn."""
    sent: SentMessage
    """The message that started the turn."""
    messages: tuple[Message, ...]
    """The agent's messages of the turn, oldest first."""

    @property
    def text(self) -> str:
        """The text of the agent's last message: its answer, or its question. "" if there is none."""
        return self.messages[-1].text if self.messages else ""

    @property
    def is_question(self) -> bool:
        """Whether the agent has asked a question. Answer it with the next message."""
        return self.session.state == SessionState.SESSION_STATE_AWAITING_INPUT

    @property
    def failed(self) -> bool:
        """Whether the turn failed, or was interrupted."""
        return bool(self.messages) and self.messages[-1].state == MessageState.MESSAGE_STATE_FAILED

    def __str__(self) -> str:
        return self.text


@dataclass
class Cursor:
    """The position of a watch: the changes it has yielded, and the message after which to resume a broken stream."""

    after: str
    session: Session | None = None
    _messages: dict[str, Message] = field(default_factory=dict)

    def received(self, response: WatchSessionResponse) -> Change | None:
        """Return the change in a response; None for a heartbeat, and for a change from before the stream resumed."""
        if response.HasField("session"):
            before, self.session = self.session, response.session
            return None if self.session == before else self.session
        message = response.message
        if not response.HasField("message") or self._messages.get(message.id) == message:
            return None
        self._messages[message.id] = message
        self._advance()
        return message

    def ended(self, until_idle: bool) -> bool:
        """Return whether the gateway may have ended a stream here. If not, a proxy has cut it off."""
        state = self.session.state if self.session else SessionState.SESSION_STATE_UNSPECIFIED
        return state == SessionState.SESSION_STATE_TERMINATED or (until_idle and state not in _RUNNING)

    @property
    def passed_turn(self) -> bool:
        """Whether the user's next message was received, which followed the turn."""
        return any(message.role == Role.ROLE_USER for message in self._messages.values())

    def turn(self, sent: SentMessage) -> Turn:
        """Return the turn of a message, after the watch has ended or has passed the turn."""
        answers = tuple(message for message in self._messages.values() if message.role == Role.ROLE_ASSISTANT)
        return Turn(Session() if self.passed_turn else self.session or Session(), sent, answers)

    def _advance(self) -> None:
        """Resume after the last message that is final and has only final messages before it."""
        for message in self._messages.values():
            if message.state not in _FINAL:
                return
            self.after = message.id


def media_request(source: MediaSource, extension: str | None, kind: KindName | None) -> CreateMediaRequest:
    """Build the request for an upload URL.

    A missing extension is taken from the name of the file, and a missing kind from the extension.

    Raises:
        ValueError: The extension is missing, and the source has no name that shows it.
    """
    from_name = "" if isinstance(source, bytes) else Path(source).suffix.removeprefix(".")
    extension = from_name if extension is None else extension
    if not extension:
        raise ValueError('extension is required, such as "png"')
    if kind is None:
        guessed = (mimetypes.guess_type(f"x.{extension}")[0] or "").partition("/")[0]
        kind = guessed if guessed in ("image", "video", "audio") else "file"  # type: ignore[assignment]
    return CreateMediaRequest(extension=extension, kind=enum_value(AgentMediaKind, kind))


def put(source: MediaSource, url: str, content_type: str, timeout: float | None) -> None:
    """PUT media to Higgsfield's storage, without credentials.

    Raises:
        Unavailable: The storage cannot be reached, or did not accept the file.
        OSError: The file cannot be read.
    """
    with _opened(source) as (content, size):
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        try:  # the gateway has checked the URL
            with urlopen(Request(url, data=content, headers=headers, method="PUT"), timeout=timeout):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            message = f"Higgsfield's storage responded with HTTP status {error.code}"
            error.close()
        except (InvalidURL, UnicodeError):  # their texts contain the URL, whose query is a signature
            message = "the URL for the upload to Higgsfield's storage is invalid"
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            message = f"the upload to Higgsfield's storage failed: {getattr(error, 'reason', error)}"
    raise Unavailable(message, code=None, reason="", failure=Failure(message=message))


@contextmanager
def _opened(source: MediaSource) -> Iterator[tuple[bytes | IO[bytes], int]]:
    if isinstance(source, bytes):
        yield source, len(source)
        return
    with open(source, "rb") as file:
        yield file, fstat(file.fileno()).st_size
