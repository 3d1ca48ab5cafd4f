"""The port `EventStore` on PostgreSQL."""

from collections.abc import Sequence

from gateway.generations.model import Event
from gateway.store.codec import event_row
from gateway.store.postgres.database import StorePart, arrays
from gateway.store.reads import EventReads


class PostgresEvents(StorePart, EventReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        if not events:
            return
        # A statement cannot replace a row that it has inserted itself, so only the last one with a time counts.
        rows = {(generation_id, event.time): event_row(generation_id, event) for generation_id, event in events}
        await self._write("record", "insert_events", arrays(list(rows.values())))
