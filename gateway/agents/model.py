"""The values of agents: sessions, messages, transcripts, and the records of idempotency keys."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from enum import IntEnum
from typing import Any

from gateway.errors import Failure, GatewayError, Reason, not_found, printable
from gateway.frozen import frozen

SESSION = hashlib.sha256(b"\x01session").digest()
"""The fingerprint of all calls that create a session: they have no arguments to compare."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class SessionState(IntEnum):
    """The state of a session; the numbers of the proto. UNKNOWN is a status that this gateway does not know."""

    UNKNOWN = 0
    IDLE = 1
    PROCESSING = 2
    AWAITING_INPUT = 3
    TERMINATED = 4

    @property
    def resting(self) -> bool:
        """Whether no turn is running."""
        return self in {SessionState.IDLE, SessionState.AWAITING_INPUT, SessionState.TERMINATED}


class MessageState(IntEnum):
    """The state of a message; the numbers of the proto. UNKNOWN is a status that this gateway does not know."""

    UNKNOWN = 0
    PROCESSING = 1
    COMPLETED = 2
    FAILED = 3


class Role(IntEnum):
    """The author of a message."""

    UNKNOWN = 0
    USER = 1
    ASSISTANT = 2


class MediaKind(IntEnum):
    """The kind of an uploaded file."""

    IMAGE = 1
    VIDEO = 2
    AUDIO = 3
    FILE = 4


@frozen
class Session:
    """A session. `upstream_status` is the status text of Higgsfield.

    `extra` are the values of the response that no other field has exactly, as JSON.
    """

    id: str
    state: SessionState
    upstream_status: str
    extra: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)

    def processing(self) -> "Session":
        """Return this session as it is after it has accepted a message, which a read may not show yet."""
        return replace(self, state=SessionState.PROCESSING, upstream_status="processing")


@frozen
class Message:
    """A message of a session. `create_time` is wall time, None if it is not reported.

    `extra` are the values of the response that no other field has exactly, as JSON.
    """

    id: str
    role: Role
    state: MessageState
    text: str
    reasoning: str = ""
    llm_cost_usd: str = ""
    create_time: float | None = None
    extra: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)

    @property
    def settled(self) -> bool:
        """Whether the message is final."""
        return self.state in {MessageState.COMPLETED, MessageState.FAILED}


@frozen
class Transcript:
    """The result of a read: the session, and its messages after the requested one, oldest first."""

    session: Session
    messages: Sequence[Message]


@frozen
class MessageTaken:
    """Higgsfield accepted the message under this id. `extra` are the other values of its response, as JSON."""

    message_id: str
    extra: Mapping[str, Any] | None = field(hash=False, repr=False)


@frozen
class MediaSlot:
    """A slot for a file: PUT it to `upload_url`; messages refer to it by `url`."""

    id: str
    content_type: str
    upload_url: str = field(repr=False)
    url: str


@frozen
class KeyRecord:
    """The stored use of a tenant's idempotency key, for a session or for a message.

    For a message, `after` is the id of the newest message that was known before it was sent, "" if there was none.
    `message_id` is its id at Higgsfield, None while the outcome is unknown. `used_at` is the steady time of the use. It
    distinguishes a record from an earlier one of the same key that was deleted.
    """

    tenant: str
    key: str
    fingerprint: bytes
    session_id: str
    after: str = ""
    message_id: str | None = None
    used_at: float = 0.0


def message_fingerprint(session_id: str, text: str) -> bytes:
    """Hash a message, to compare calls with one idempotency key."""
    return hashlib.sha256(b"\x01message\0" + session_id.encode() + b"\0" + text.encode()).digest()


def is_id(text: str) -> bool:
    """Return whether a text can be the id of a session, a message or media. It becomes a part of a URL."""
    return _ID.fullmatch(text) is not None and ".." not in text


def same_text(one: str, other: str) -> bool:
    """Return whether two texts may be the same one at Higgsfield.

    It may change surrounding spaces, line ends and the Unicode normalization.
    """
    return _normalize(one) == _normalize(other)


def _normalize(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").strip())


def session_not_found(session_id: str, after: str = "") -> GatewayError:
    """Return NOT_FOUND. `after`: the message that the call referred to, which may be missing instead."""
    message = "no such session, or no such message in it" if after else "no such session"
    return not_found(message, session_id=session_id)


def media_not_found(media_id: str) -> GatewayError:
    return not_found("no such media", media_id=media_id)


def key_reused(session_id: str = "") -> GatewayError:
    """Return IDEMPOTENCY_KEY_REUSED. `session_id` is the session for which the key was used, empty if not known."""
    message = "the idempotency_key was used for another session, or for another message"
    metadata = {"session_id": printable(session_id)} if session_id else {}
    return GatewayError(Failure(Reason.IDEMPOTENCY_KEY_REUSED, message, metadata=metadata))
