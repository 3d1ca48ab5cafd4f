"""The port `UsageStore` on SQLite."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from gateway.generations.clock import oldest_id
from gateway.generations.limits.usage import DAY, KEY, MAX_GROUPS, MODEL, TENANT, UsageQuery, UsageRow
from gateway.generations.model import State
from gateway.generations.stores import StoreError
from gateway.store import files
from gateway.store.codec import Row
from gateway.store.database import StorePart


class SqliteUsage(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def usage(self, query: UsageQuery) -> Sequence[UsageRow]:
        # In a thread and on a connection that no other reader uses, because it may read all generations.
        return await asyncio.to_thread(self._read, query)

    def _read(self, query: UsageQuery) -> list[UsageRow]:
        try:
            with closing(files.connect_reader(self._database.path)) as reader:
                return [usage_of(row) for row in reader.execute(self._sql["read_usage"], usage_values(query))]
        except sqlite3.Error as error:
            raise StoreError("the store cannot be read") from error


def usage_values(query: UsageQuery) -> dict[str, object]:
    """Return the parameters of the statement."""
    by = set(query.by)
    return {
        "oldest": oldest_id(query.since),
        "since": query.since,
        "until": query.until,
        "of_tenant": query.tenant,
        "by_day": DAY in by,
        "by_tenant": TENANT in by,
        "by_key": KEY in by,
        "by_model": MODEL in by,
        "label": query.label,
        # Each group has a row for each of its states.
        "most": (MAX_GROUPS + 1) * len(State),
    }


def usage_of(row: Row) -> UsageRow:
    """Return the usage in a row."""
    names = [name for name in UsageRow._fields if name != "state"]
    return UsageRow(state=State(row["state"]), **{name: row[name] for name in names})
