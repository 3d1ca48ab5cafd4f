"""The port `CatalogStore` on PostgreSQL: one row for each catalog, its items as JSON."""

import asyncio
import logging

from gateway.catalog.model import StoredCatalog
from gateway.store.postgres.database import StorePart
from gateway.store.rows import packed, unpacked

log = logging.getLogger(__name__)


class PostgresCatalogs(StorePart):
    """The methods are described in `gateway/catalog/ports.py`."""

    async def load_catalog(self, account: str, origin: str, name: str) -> StoredCatalog | None:
        row = await self._one("read_catalog", account=account, origin=origin, name=name)
        if row is None:
            return None
        try:
            items = await asyncio.to_thread(unpacked, name, row["items"], row["fetch_time"])
        except (ValueError, LookupError, TypeError, AttributeError):
            log.warning("a stored catalog cannot be read; fetching it again", extra={"catalog": name})
            return None
        return StoredCatalog(items, row["fetched_at"], row["fetch_time"])

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
        await self._write("catalog", "replace_catalog", row)
