"""What catalogs need from outside: Higgsfield, and a place that outlasts the process."""

from typing import Protocol

from gateway.catalog.model import Kept, Reading


class Source(Protocol):
    """Higgsfield, as one account sees it."""

    @property
    def account(self) -> str:
        """Whose catalogs these are, named without a secret."""

    @property
    def origin(self) -> str:
        """Where they come from."""

    async def read(self, name: str) -> Reading:
        """The catalog of that name, asked for once. Raises GatewayError."""


class Shelf(Protocol):
    """Where catalogs are kept. Raises StoreError."""

    async def catalog(self, account: str, origin: str, name: str) -> Kept | None:
        """What was kept last; None for what never was, or cannot be read any more."""

    async def keep_catalog(self, account: str, origin: str, name: str, kept: Kept) -> None:
        """Keep it in place of what was kept before."""
