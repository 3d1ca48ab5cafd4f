"""The ports that an engine supplies: one for each need, all on the same durable state."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from gateway.access.identity import KeyStore
from gateway.access.keys import ApiKey
from gateway.agents.ports import AgentStore
from gateway.archive.ports import CopyStore
from gateway.audit import AuditStore
from gateway.callbacks.ports import CallbackStore
from gateway.catalog.ports import CatalogStore
from gateway.characters.ports import CharacterStore
from gateway.frozen import frozen
from gateway.generations.stores import (
    AccountStore,
    ChangeLog,
    ClaimStore,
    DeletionStore,
    EventStore,
    GenerationStore,
    LimitStore,
    SpecOf,
    StoreHealth,
    TimeStore,
    UsageStore,
    WebhookStore,
)
from gateway.store.auditor import Auditor

STORE_UNUSABLE = "this replica cannot use the store"


class StoreOpenError(Exception):
    """The store cannot be opened. The message is one line for the operator, and contains no secret."""


class Store(Protocol):
    """An open store. Only the composition root and the core see all of it; each part of the gateway gets its ports."""

    others_send_for: float
    """Seconds after the opening in which a process that had the store before may still send what it has marked."""
    health: StoreHealth
    claims: ClaimStore
    generations: GenerationStore
    change_log: ChangeLog
    deletions: DeletionStore
    webhooks: WebhookStore
    events: EventStore
    """The calls and webhooks in timelines."""
    accounts: AccountStore
    times: TimeStore
    auditor: Auditor
    """Makes the entries of the audit log."""
    audit: AuditStore
    keys: KeyStore
    limits: LimitStore
    usage: UsageStore
    callbacks: CallbackStore
    copies: CopyStore
    """The plan of the archive."""
    agents: AgentStore
    characters: CharacterStore
    catalogs: CatalogStore

    async def close(self) -> None:
        """Finish the queued writes and release the store."""


@frozen
class Leader:
    """The gateway that writes a store: its name for messages, and the address of its gRPC port; empty if unknown."""

    name: str = "no gateway"
    peer: str = ""


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that several gateways have open. One of them, the leader, writes it; the others follow its log."""

    @property
    def leads(self) -> bool:
        """Whether this gateway is the leader. It may be prepared for that only in a moment: see `follow`."""

    @property
    def leader(self) -> Leader:
        """The leader, if it is another gateway."""

    @property
    def current(self) -> bool:
        """Whether what was read and announced is new enough to be shown.

        If this gateway leads, that means that no other one can have replaced it.
        """

    @property
    def age(self) -> float:
        """Seconds since this gateway knew the present state: since it read the log, or as leader sent a heartbeat."""

    async def begin(self, position: int, spec_of: SpecOf) -> None:
        """Announce the changes of other gateways after a position, which are stored already.

        Versions of one generation that are announced share what `spec_of` returns for it. Raises UnconfirmedError.
        """

    def on_stale(self, act: Callable[[], None]) -> None:
        """Call `act` whenever `current` has become False."""

    async def follow(self) -> None:
        """Announce the changes of other gateways until this one leads. Call `begin` before.

        When this returns, all changes of others have been announced, and no listener is called any more. Raises
        StoreOpenError if this gateway cannot lead.
        """

    async def reachable_at(self, peer: str) -> None:
        """Publish the address of this gateway's gRPC port for others. As the leader only. Raises UnconfirmedError."""

    async def report_serving(self) -> Sequence[ApiKey]:
        """Show the leader that this gateway serves. Returns the API keys that may have changed since the last call.

        The first call returns all.
        """

    @property
    def others(self) -> int:
        """The number of other gateways that serve, if this one leads."""
