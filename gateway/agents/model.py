"""The values: sessions, messages, what a read of a session tells, and what an idempotency key stands for."""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from gateway.errors import Failure, GatewayError, Reason, printable

SESSION = hashlib.sha256(b"\x01session").digest()
"""The fingerprint of a session's creation: there is nothing in it to be compared."""


class SessionState(IntEnum):
    """The numbers are those of the API; UNKNOWN is what Higgsfield said and we do not know."""

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
    """The same for messages."""

    UNKNOWN = 0
    PROCESSING = 1
    COMPLETED = 2
    FAILED = 3


class Role(IntEnum):
    """Who says something."""

    UNKNOWN = 0
    USER = 1
    ASSISTANT = 2


class MediaKind(IntEnum):
    """What a file is."""

    IMAGE = 1
    VIDEO = 2
    AUDIO = 3
    FILE = 4


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation as it is. `upstream_status` is Higgsfield's word."""

    id: str
    state: SessionState
    upstream_status: str


@dataclass(frozen=True, slots=True)
class Message:
    """One row of a transcript. `create_time` is wall time."""

    id: str
    role: Role
    state: MessageState
    text: str
    reasoning: str = ""
    llm_cost_usd: str = ""
    create_time: float | None = None

    @property
    def settled(self) -> bool:
        """Whether it will not change any more."""
        return self.state in {MessageState.COMPLETED, MessageState.FAILED}


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one read told: the session, and its messages after the one that was asked from, oldest first."""

    session: Session
    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Sent:
    """Higgsfield took the message under this id."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a file: `url` is what messages refer to."""

    id: str
    content_type: str
    upload_url: str = field(repr=False)
    url: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a tenant's idempotency key stands for: a session, or a message to one.

    Of a message `after` is the newest that was known before it was sent, empty where there was none, and `message_id`
    what Higgsfield calls it, None while that is not known.
    """

    tenant: str
    key: str
    fingerprint: bytes
    session_id: str
    after: str = ""
    message_id: str | None = None


def message_fingerprint(session_id: str, text: str) -> bytes:
    """What has to be equal for a key to be used again."""
    return hashlib.sha256(b"\x01message\0" + session_id.encode() + b"\0" + text.encode()).digest()


def same_text(one: str, other: str) -> bool:
    """Whether Higgsfield may show two texts alike: it is not known how it keeps spaces at the ends, line ends and é."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").strip())


def session_not_found(session_id: str, after: str = "") -> GatewayError:
    """No such session, or another tenant's: the two cannot be told apart. Nor, `after` a message, can it."""
    message = "no such session, or no such message in it" if after else "no such session"
    return GatewayError(Failure(Reason.NOT_FOUND, message, metadata={"session_id": printable(session_id)}))


def media_not_found(media_id: str) -> GatewayError:
    """The same for media."""
    return GatewayError(Failure(Reason.NOT_FOUND, "no such media", metadata={"media_id": printable(media_id)}))


def key_reused(kept: Kept) -> GatewayError:
    """The idempotency key stands for something else."""
    message = "the idempotency_key was used for another session, or for another message"
    return GatewayError(
        Failure(Reason.IDEMPOTENCY_KEY_REUSED, message, metadata={"session_id": printable(kept.session_id)})
    )
