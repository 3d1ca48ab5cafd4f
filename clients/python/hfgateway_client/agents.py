"""What conversations with agents are made of, for both clients: `client.agents` has the methods."""

from __future__ import annotations

import mimetypes
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import IO, Literal

from hfgateway.agents.v1alpha1.agent_service_pb2 import (
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

__all__ = ["Change", "KindName", "MediaSource", "Message", "SentMessage", "Session", "SessionState", "Turn"]

Change = Session | Message
"""What a watch tells: the session as it is now, or a message that was added or has changed."""
KindName = Literal["image", "video", "audio", "file"]
MediaSource = bytes | str | PathLike[str]
"""Media as bytes, or the path of a file."""
_SETTLED = (MessageState.MESSAGE_STATE_COMPLETED, MessageState.MESSAGE_STATE_FAILED)


@dataclass(frozen=True, slots=True)
class SentMessage:
    """The message that now exists for a key."""

    message: Message
    idempotency_key: str
    """Send with it again, and this message comes back."""
    replayed: bool
    """The key was known: nothing was sent, nothing is charged twice."""

    @property
    def id(self) -> str:
        """The message's."""
        return self.message.id


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a message."""

    session: Session
    sent: SentMessage
    messages: tuple[Message, ...]
    """The agent's, oldest first."""

    @property
    def text(self) -> str:
        """The answer; the question, where there is one."""
        return self.messages[-1].text if self.messages else ""

    @property
    def is_question(self) -> bool:
        """The agent waits for an answer: send it as the next message."""
        return self.session.state == SessionState.SESSION_STATE_AWAITING_INPUT

    @property
    def failed(self) -> bool:
        """The agent gave up, or was stopped."""
        return bool(self.messages) and self.messages[-1].state == MessageState.MESSAGE_STATE_FAILED

    def __str__(self) -> str:
        return self.text


@dataclass
class Cursor:
    """Where a watch stands: what it has told, and after which message it goes on when its stream breaks."""

    after: str
    session: Session | None = None
    _told: dict[str, Message] = field(default_factory=dict)

    def received(self, response: WatchSessionResponse) -> Change | None:
        """What is new in it; None for a heartbeat, and for what was told before its stream was opened again."""
        if response.HasField("session"):
            if response.session == self.session:
                return None
            self.session = response.session
            return response.session
        if not response.HasField("message"):
            return None
        message = response.message
        if self._told.get(message.id) == message:
            return None
        self._told[message.id] = message
        self._go_on()
        return message

    def turn(self, sent: SentMessage) -> Turn:
        """What it has come to."""
        answers = tuple(one for one in self._told.values() if one.role == Role.ROLE_ASSISTANT)
        return Turn(self.session or Session(), sent, answers)

    def _go_on(self) -> None:
        """After the last message before which nothing changes any more."""
        for message in self._told.values():
            if message.state not in _SETTLED:
                return
            self.after = message.id


def media_request(source: MediaSource, extension: str | None, kind: KindName | None) -> CreateMediaRequest:
    """The wish for a place: of a file, both are told by its name unless they are given."""
    named = "" if isinstance(source, bytes) else Path(source).suffix.removeprefix(".")
    extension = named if extension is None else extension
    if not extension:
        raise ValueError("an extension is needed, such as png")
    if kind is None:
        guessed = (mimetypes.guess_type(f"x.{extension}")[0] or "").partition("/")[0]
        kind = guessed if guessed in ("image", "video", "audio") else "file"  # type: ignore[assignment]
    return CreateMediaRequest(extension=extension, kind=f"AGENT_MEDIA_KIND_{kind}".upper())


def put(source: MediaSource, url: str, content_type: str, timeout: float | None) -> None:
    """PUT the bytes to Higgsfield's storage, with no credentials. Raises Unavailable, and what the file raises."""
    with _opened(source) as (content, size):
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        request = urllib.request.Request(url, data=content, headers=headers, method="PUT")  # noqa: S310 - the gateway's
        try:
            with urllib.request.urlopen(request, timeout=timeout):  # noqa: S310 - checked by the gateway
                return
        except urllib.error.HTTPError as error:
            why = f"the storage answered with HTTP status {error.code}"
            error.close()
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            why = f"the storage did not take the file: {getattr(error, 'reason', error)}"
    raise Unavailable(why, code=None, reason="", failure=Failure(message=why))


@contextmanager
def _opened(source: MediaSource) -> Iterator[tuple[bytes | IO[bytes], int]]:
    if isinstance(source, bytes):
        yield source, len(source)
        return
    path = Path(source)
    with path.open("rb") as file:
        yield file, path.stat().st_size
