"""The port `CatalogStore` on PostgreSQL: one row for each catalog, its items as JSON."""

from gateway.catalog.model import StoredCatalog
from gateway.store.postgres.database import StorePart
from gateway.store.rows import catalog_of, catalog_row


class PostgresCatalogs(StorePart):
    """The methods are described in `gateway/catalog/ports.py`."""

    async def load_catalog(self, account: str, origin: str, name: str) -> StoredCatalog | None:
        return await catalog_of(name, await self._one("read_catalog", account=account, origin=origin, name=name))

    async def save_catalog(self, account: str, origin: str, name: str, catalog: StoredCatalog) -> None:
        await self._write("catalog", "replace_catalog", await catalog_row(account, origin, name, catalog))
