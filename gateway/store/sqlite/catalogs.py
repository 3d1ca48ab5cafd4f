"""The port `CatalogStore` on SQLite: one row for each catalog, its items as JSON."""

from gateway.catalog.model import StoredCatalog
from gateway.store.reads import CatalogReads
from gateway.store.rows import catalog_row
from gateway.store.sqlite.database import StorePart


class SqliteCatalogs(StorePart, CatalogReads):
    """The methods are described in `gateway/catalog/ports.py`."""

    async def save_catalog(self, account: str, origin: str, name: str, catalog: StoredCatalog) -> None:
        await self._write("catalog", ("replace_catalog", await catalog_row(account, origin, name, catalog)))
