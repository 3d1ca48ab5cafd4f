"""The port `ChangeLog` on SQLite, and how other parts append to the log."""

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence

from gateway.generations.model import Change, Generation, GenerationId
from gateway.generations.stores import Listener, StoreError
from gateway.store.codec import at_revision, generation_of
from gateway.store.reads import ChangeReads
from gateway.store.sqlite.database import StorePart
from gateway.store.statements import execute


class SqliteChangeLog(StorePart, ChangeReads):
    """The methods are described in `gateway/generations/stores.py`."""

    @property
    def epoch(self) -> str:
        return self._database.epoch

    def listen(self, listener: Listener) -> None:
        self._database.listen(listener)

    async def announced(self) -> None:
        # Writes end in their order, so all earlier ones have been announced when an empty write ends, even if refused.
        with contextlib.suppress(StoreError):
            await self._writer.write(None, lambda _: (None, None))

    async def history(self, generation_id: GenerationId, after_revision: int, limit: int) -> Sequence[Generation]:
        row = await self._one("read_any_generation", id=generation_id)
        if row is None:
            return []
        now = generation_of(row)
        rows = await self._rows("read_history", generation_id=generation_id, after_revision=after_revision, limit=limit)
        return [at_revision(now, row["revision"], row["shown"]) for row in rows]


def append(connection: sqlite3.Connection, sql: Mapping[str, str], generation: Generation, text: str) -> Change:
    """Append the present version of a generation. `text` is its encoded visible state."""
    row = _row(generation) | {"revision": generation.revision, "shown": text, "time": generation.update_time}
    position = execute(connection, sql["insert_change"], row).lastrowid or 0
    return Change(position, generation.tenant, generation.id, generation)


def append_removal(connection: sqlite3.Connection, sql: Mapping[str, str], generation: Generation) -> Change:
    """Append that a generation was removed."""
    time = generation.ended_at or generation.spec.created_at
    row = _row(generation) | {"revision": 0, "shown": "", "time": time}
    position = execute(connection, sql["insert_change"], row).lastrowid or 0
    return Change(position, generation.tenant, generation.id, None)


def raise_horizon(connection: sqlite3.Connection, sql: Mapping[str, str], tenant: str, generation_id: str) -> None:
    """Raise the horizon of a tenant to the last change of a generation that is being removed."""
    (last,) = connection.execute(sql["read_last_position"], {"generation_id": generation_id}).fetchone()
    connection.execute(sql["raise_horizon"], {"tenant": tenant, "horizon": last or 0})


def _row(generation: Generation) -> dict[str, object]:
    return {"tenant": generation.tenant, "generation_id": generation.id}
