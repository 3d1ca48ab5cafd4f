"""The port `TimeStore` on SQLite."""

import sqlite3
from collections.abc import Sequence

from gateway.generations.model import (
    Steady,
)
from gateway.generations.stores import (
    Correction,
)
from gateway.store.database import StorePart
from gateway.store.writer import Effect


class SqliteTimes(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def newest_steady(self) -> Steady:
        (row,) = self._rows("read_newest_steady_time")
        return Steady(float(row[0]))

    async def corrections(self) -> Sequence[Correction]:
        rows = self._rows("read_corrections")
        return [Correction(row["since"], row["ahead"], bool(row["placed"])) for row in rows]

    async def correct(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        row = {"since": correction.since, "ahead": correction.ahead, "placed": correction.placed}

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["delete_correction"], [{"since": since} for since in forget])
            connection.execute(self._sql["replace_correction"], row)
            return None, None

        await self._writer.write("correction", write)
