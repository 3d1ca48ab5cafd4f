"""The ports of agents: Higgsfield's Agent API, and the store."""

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.agents.model import KeyRecord, MediaKind, MediaSlot, MessageTaken, Session, Transcript
from gateway.generations.ports import MaybeTaken, NotTaken


class AgentApi(Protocol):
    """Higgsfield's Agent API. All methods but `send` raise GatewayError. Free requests may be repeated."""

    async def create_session(self) -> Session:
        """Create a session."""

    async def messages(self, session_id: str, after: str) -> Transcript:
        """Return the session and its messages after one, or all of them if `after` is "". Raises also NOT_FOUND."""

    async def send(
        self, session_id: str, text: str, may_send: Callable[[], bool]
    ) -> MessageTaken | NotTaken | MaybeTaken:
        """Send a message once, if `may_send` returns True right before its first byte. Failures are returned."""

    async def interrupt(self, session_id: str) -> None:
        """Stop the current turn, if there is one."""

    async def create_media(self, extension: str, kind: MediaKind) -> MediaSlot:
        """Create a slot for a file. Raises INPUT_REFUSED if Higgsfield does not accept such files."""

    async def confirm_media(self, media_id: str, kind: MediaKind) -> bool:
        """Return whether the file of a slot was uploaded."""


ApiOf = Callable[[str], AgentApi]
"""Returns the API with the credentials of a tenant's first account."""


class AgentStore(Protocol):
    """Stores the owners of sessions and media, and the records of keys. Its methods raise UnconfirmedError."""

    async def agent_tenant(self, session_id: str) -> str | None:
        """Return the tenant of a session; None if it was not created through this gateway."""

    async def agent_key(self, tenant: str, key: str) -> KeyRecord | None:
        """Return the record of a key."""

    async def add_agent_session(self, record: KeyRecord) -> bool:
        """Store a new session with its key; False, and nothing is stored, if the key is in use."""

    async def mark_agent_message(self, record: KeyRecord) -> bool:
        """Store that a message is about to be sent; False if the key is in use."""

    async def bind_agent_message(self, record: KeyRecord, message_id: str) -> bool:
        """Store the id of a message; False if it belongs to another key, or the record is gone."""

    async def release_agent_key(self, record: KeyRecord) -> None:
        """Delete the record of a message that was certainly not accepted; a later record of its key stays."""

    async def bound_agent_messages(self, session_id: str) -> frozenset[str]:
        """Return the ids of the session's messages that belong to keys."""

    async def unresolved_agent_messages(self) -> Sequence[KeyRecord]:
        """Return the messages without an outcome, oldest first."""

    async def newest_agent_message(self, session_id: str) -> str:
        """Return the newest of the session's messages that belong to keys; "" if there is none."""

    async def add_agent_media(self, tenant: str, media_id: str, steady: float) -> None:
        """Store the tenant of a media slot."""

    async def has_agent_media(self, tenant: str, media_id: str) -> bool:
        """Return whether a media slot belongs to the tenant."""

    async def prunable(self, used_before: float) -> bool:
        """Return whether `prune` would remove anything."""

    async def prune(self, used_before: float) -> None:
        """Remove the keys and media slots that were used before a steady time.

        Sessions stay, because Higgsfield's do not expire. Messages without an outcome stay, because a retry with a
        forgotten key would send the message again.
        """
