"""The port `EventStore` on SQLite."""

import sqlite3
from collections.abc import Sequence

from gateway.generations.model import Event
from gateway.store.codec import event_row
from gateway.store.reads import EventReads
from gateway.store.sqlite.database import StorePart
from gateway.store.sqlite.writer import Effect


class SqliteEvents(StorePart, EventReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        rows = [event_row(*event) for event in events]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["insert_event"], rows)
            return None, None

        await self._writer.write("record", write, brief=True)
