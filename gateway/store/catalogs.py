"""The port `CatalogStore` on SQLite: one row for each catalog, its items as JSON."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gateway.catalog.model import (
    MODELS,
    MOTIONS,
    Change,
    Item,
    Listing,
    Model,
    Motion,
    Preset,
    SoulStyle,
    StoredCatalog,
)
from gateway.generations.model import MediaKind
from gateway.store.database import StorePart
from gateway.store.writer import Effect

log = logging.getLogger(__name__)


class SqliteCatalogs(StorePart):
    """The methods are described in `gateway/catalog/ports.py`."""

    async def load_catalog(self, account: str, origin: str, name: str) -> StoredCatalog | None:
        for row in self._rows("read_catalog", account=account, origin=origin, name=name):
            try:
                items = await asyncio.to_thread(_unpacked, name, row["items"], row["fetch_time"])
            except (ValueError, LookupError, TypeError, AttributeError):
                log.warning("a stored catalog cannot be read; fetching it again", extra={"catalog": name})
                return None
            return StoredCatalog(items, row["fetched_at"], row["fetch_time"])
        return None

    async def save_catalog(self, account: str, origin: str, name: str, catalog: StoredCatalog) -> None:
        items = await asyncio.to_thread(_packed, catalog.items)  # they may be megabytes
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


def _packed(items: Sequence[Item]) -> str:
    return json.dumps([asdict(one) for one in items], ensure_ascii=False)


def _unpacked(name: str, text: str, fetch_time: float) -> tuple[Item, ...]:
    return tuple(_item(name, one, fetch_time) for one in json.loads(text))


def _item(name: str, stored: dict[str, Any], fetch_time: float) -> Item:
    if name == MODELS:
        listing = _listing(stored.get("listing"), fetch_time)
        return Model(stored["id"], MediaKind(stored["kind"]), tuple(stored["tasks"]), stored["schema"], listing)
    kind = Motion if name == MOTIONS else Preset if name.startswith("presets/") else SoulStyle
    return kind(**stored)


def _listing(stored: dict[str, Any] | None, fetch_time: float) -> Listing:
    """Return the listing of a stored model. Older versions of the gateway stored none."""
    if stored is None:
        return Listing(fetch_time)
    change = None if stored["change"] is None else Change(stored["change"])
    return Listing(**(stored | {"change": change, "details": tuple(stored["details"])}))
