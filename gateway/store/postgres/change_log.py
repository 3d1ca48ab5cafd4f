"""The port `ChangeLog` on PostgreSQL, and what is announced of a stored generation."""

from collections.abc import Sequence

from gateway.generations.model import Change, Generation, GenerationId
from gateway.generations.stores import Listener, Saved
from gateway.store.codec import at_revision, generation_of
from gateway.store.postgres.database import Database, StorePart
from gateway.store.postgres.log_writer import LogWriter
from gateway.store.postgres.tail import Tail
from gateway.store.reads import ChangeReads


class PostgresChangeLog(StorePart, ChangeReads):
    """The methods are described in `gateway/generations/stores.py`."""

    def __init__(self, database: Database, writer: LogWriter, tail: Tail) -> None:
        super().__init__(database)
        self._writer = writer
        self._tail = tail

    @property
    def epoch(self) -> str:
        return self._database.epoch

    def listen(self, listener: Listener) -> None:
        self._database.listen(listener)

    async def announced(self) -> None:
        if self._tail.following:
            await self._tail.caught_up()
        else:
            await self._writer.announced()

    async def history(self, generation_id: GenerationId, after_revision: int, limit: int) -> Sequence[Generation]:
        rows = await self._rows("read_history", generation_id=generation_id, after_revision=after_revision, limit=limit)
        return [at_revision(generation_of(row), row["change_revision"], row["change_shown"]) for row in rows]


def saved(generation: Generation, position: int | None) -> Saved:
    """Return what is announced of a stored version. `position` is that of its change; None if callers see none."""
    change = None if position is None else Change(position, generation.tenant, generation.id, generation)
    return Saved(generation.id, generation, change)
