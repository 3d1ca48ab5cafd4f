"""The port `UsageStore` on SQLite."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from gateway.generations.limits.usage import UsageQuery, UsageRow
from gateway.generations.stores import StoreError
from gateway.store.rows import usage_of, usage_values
from gateway.store.sqlite import files
from gateway.store.sqlite.database import StorePart


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
