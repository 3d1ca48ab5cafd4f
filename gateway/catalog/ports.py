"""The ports of catalogs: the source of catalogs, and the store that keeps them across restarts."""

from typing import Protocol

from gateway.catalog.model import Reading, StoredCatalog


class CatalogSource(Protocol):
    """The catalogs of Higgsfield for one account."""

    @property
    def account(self) -> str:
        """An identifier of the account that contains no secret."""

    @property
    def origin(self) -> str:
        """The origin of Higgsfield's API."""

    async def read(self, name: str) -> Reading:
        """Fetch the catalog of that name. Raises GatewayError."""


class CatalogStore(Protocol):
    """Stores the newest version of each catalog. Its methods raise UnconfirmedError."""

    async def load_catalog(self, account: str, origin: str, name: str) -> StoredCatalog | None:
        """Return the stored catalog; None if there is none, or if it cannot be read."""

    async def save_catalog(self, account: str, origin: str, name: str, catalog: StoredCatalog) -> None:
        """Store a catalog in place of the previous one."""
