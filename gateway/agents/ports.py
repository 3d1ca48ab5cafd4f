"""What conversations need from outside: Higgsfield's Agent API, and a store."""

from collections.abc import Sequence
from typing import Protocol

from gateway.agents.model import Kept, MediaKind, Sent, Session, Slot, Transcript
from gateway.generations.ports import NoAnswer, NotTaken


class AgentApi(Protocol):
    """Higgsfield. All but `send` raise GatewayError; what costs nothing may be asked again."""

    async def create_session(self) -> Session:
        """A new session."""

    async def messages(self, session_id: str, after: str) -> Transcript:
        """The session, and its messages after that one; all for an empty text. NOT_FOUND where there is none."""

    async def send(self, session_id: str, text: str) -> Sent | NotTaken | NoAnswer:
        """Send a message, once."""

    async def interrupt(self, session_id: str) -> None:
        """Stop the turn; nothing happens where none is running."""

    async def create_media(self, extension: str, kind: MediaKind) -> Slot:
        """A place for a file. INPUT_REFUSED where Higgsfield takes none of that kind."""

    async def confirm_media(self, media_id: str, kind: MediaKind) -> bool:
        """Whether the bytes are there."""


class AgentStore(Protocol):
    """What has to outlive the process. Raises StoreError."""

    async def agent_tenant(self, session_id: str) -> str | None:
        """Whose session it is; None for one that was not created here."""

    async def agent_key(self, tenant: str, key: str) -> Kept | None:
        """What the key stands for."""

    async def keep_agent_session(self, kept: Kept, steady: float) -> bool:
        """Keep a new session and its key; False, and nothing is kept, where the key is used."""

    async def mark_agent_message(self, kept: Kept, steady: float) -> bool:
        """Keep that a message is about to be sent; False where the key is used."""

    async def bind_agent_message(self, kept: Kept, message_id: str) -> bool:
        """Keep what Higgsfield calls it; False where another key has that message."""

    async def free_agent_key(self, kept: Kept) -> None:
        """Forget a message that was certainly not taken."""

    async def bound_agent_messages(self, session_id: str) -> frozenset[str]:
        """Which of the session's messages keys stand for."""

    async def unresolved_agent_messages(self) -> Sequence[tuple[Kept, float]]:
        """Messages without an outcome, oldest first, and the wall time at which each was marked."""

    async def newest_agent_message(self, session_id: str) -> str:
        """The last of those; empty where there is none."""

    async def keep_agent_media(self, tenant: str, media_id: str, steady: float) -> None:
        """Keep to whom a place was given."""

    async def has_agent_media(self, tenant: str, media_id: str) -> bool:
        """Whether that place was given to the tenant."""
