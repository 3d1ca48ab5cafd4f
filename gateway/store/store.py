"""The ports that an engine supplies: one for each need, all on the same durable state."""

from typing import Protocol

from gateway.access.identity import KeyStore
from gateway.agents.ports import AgentStore
from gateway.archive.ports import CopyStore
from gateway.callbacks.ports import CallbackStore
from gateway.catalog.ports import CatalogStore
from gateway.characters.ports import CharacterStore
from gateway.generations.stores import (
    AccountStore,
    ChangeLog,
    ClaimStore,
    DeletionStore,
    EventStore,
    GenerationStore,
    LimitStore,
    StoreHealth,
    TimeStore,
    UsageStore,
    WebhookStore,
)


class StoreOpenError(Exception):
    """The store cannot be opened. The message is one line for the operator, and contains no secret."""


class Store(Protocol):
    """An open store. Only the composition root and the core see all of it; each part of the gateway gets its ports."""

    @property
    def others_send_for(self) -> float:
        """Seconds after the opening in which a process that had the store before may still send what it has marked."""

    @property
    def health(self) -> StoreHealth:
        """Whether it can be written."""

    @property
    def claims(self) -> ClaimStore:
        """The idempotency keys."""

    @property
    def generations(self) -> GenerationStore:
        """The generations."""

    @property
    def change_log(self) -> ChangeLog:
        """The log of all changes."""

    @property
    def deletions(self) -> DeletionStore:
        """Deleted and expired generations."""

    @property
    def webhooks(self) -> WebhookStore:
        """The received webhooks."""

    @property
    def events(self) -> EventStore:
        """The calls and webhooks in timelines."""

    @property
    def accounts(self) -> AccountStore:
        """What is known of accounts."""

    @property
    def times(self) -> TimeStore:
        """The steady time."""

    @property
    def keys(self) -> KeyStore:
        """The API keys."""

    @property
    def limits(self) -> LimitStore:
        """The limits of tenants, keys and labels."""

    @property
    def usage(self) -> UsageStore:
        """What tenants have used."""

    @property
    def callbacks(self) -> CallbackStore:
        """Callbacks and their deliveries."""

    @property
    def copies(self) -> CopyStore:
        """The plan of the archive."""

    @property
    def agents(self) -> AgentStore:
        """Conversations with agents."""

    @property
    def characters(self) -> CharacterStore:
        """Orders of characters."""

    @property
    def catalogs(self) -> CatalogStore:
        """The cached catalogs."""

    async def close(self) -> None:
        """Finish the queued writes and release the store."""
