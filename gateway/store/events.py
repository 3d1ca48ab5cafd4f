"""The port `EventStore` on SQLite."""

from collections.abc import Sequence

from gateway.generations.model import Event
from gateway.store.codec import event_row
from gateway.store.database import StorePart
from gateway.store.reads import EventReads


class SqliteEvents(StorePart, EventReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        await self._write("record", *(("insert_event", event_row(*event)) for event in events), brief=True)
