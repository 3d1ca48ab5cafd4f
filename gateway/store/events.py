"""The port `EventStore` on SQLite."""

import sqlite3
from collections.abc import Sequence

from gateway.generations.model import (
    Event,
    GenerationId,
)
from gateway.store.codec import (
    event_of,
    event_row,
)
from gateway.store.database import StorePart
from gateway.store.writer import Effect


class SqliteEvents(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        rows = [event_row(generation_id, event) for generation_id, event in events]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["insert_event"], rows)
            return None, None

        await self._writer.write("record", write, brief=True)

    async def events(self, generation_id: GenerationId) -> Sequence[Event]:
        return [event_of(row) for row in self._rows("read_events", generation_id=generation_id)]
