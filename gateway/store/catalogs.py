"""The port `CatalogStore` on SQLite: one row for each catalog, its items as JSON."""

import asyncio
import logging
import sqlite3

from gateway.catalog.model import (
    StoredCatalog,
)
from gateway.store.database import StorePart
from gateway.store.rows import packed, unpacked
from gateway.store.writer import Effect

log = logging.getLogger(__name__)


class SqliteCatalogs(StorePart):
    """The methods are described in `gateway/catalog/ports.py`."""

    async def load_catalog(self, account: str, origin: str, name: str) -> StoredCatalog | None:
        for row in self._rows("read_catalog", account=account, origin=origin, name=name):
            try:
                items = await asyncio.to_thread(unpacked, name, row["items"], row["fetch_time"])
            except (ValueError, LookupError, TypeError, AttributeError):
                log.warning("a stored catalog cannot be read; fetching it again", extra={"catalog": name})
                return None
            return StoredCatalog(items, row["fetched_at"], row["fetch_time"])
        return None

    async def save_catalog(self, account: str, origin: str, name: str, catalog: StoredCatalog) -> None:
        items = await asyncio.to_thread(packed, catalog.items)  # they may be megabytes
        row = {
            "account": account,
            "origin": origin,
            "name": name,
            "items": items,
            "fetched_at": catalog.fetched_at,
            "fetch_time": catalog.fetch_time,
        }

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["replace_catalog"], row)
            return None, None

        await self._writer.write("catalog", write)
