"""The port `CatalogStore` on SQLite: one row for each catalog, its items as JSON."""

import sqlite3

from gateway.catalog.model import StoredCatalog
from gateway.store.database import StorePart
from gateway.store.rows import catalog_of, catalog_row
from gateway.store.writer import Effect


class SqliteCatalogs(StorePart):
    """The methods are described in `gateway/catalog/ports.py`."""

    async def load_catalog(self, account: str, origin: str, name: str) -> StoredCatalog | None:
        return await catalog_of(name, self._one("read_catalog", account=account, origin=origin, name=name))

    async def save_catalog(self, account: str, origin: str, name: str, catalog: StoredCatalog) -> None:
        row = await catalog_row(account, origin, name, catalog)

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["replace_catalog"], row)
            return None, None

        await self._writer.write("catalog", write)
