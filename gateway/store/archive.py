"""The port `CopyStore` on SQLite: which outputs are to be copied to an archive, and which have been."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence

from gateway.archive.model import ArchivedFile, Copy, Part
from gateway.generations.model import Generation, State
from gateway.store.codec import generation_of
from gateway.store.database import StorePart
from gateway.store.rows import copy_key, copy_of, copy_row
from gateway.store.writer import Effect

ROWS_AT_ONCE = 200
"""Rows that one statement reads before other work gets its turn."""


class SqliteCopies(StorePart):
    """The methods are described in `gateway/archive/ports.py`."""

    async def plan_copies(self, copies: Sequence[Copy]) -> None:
        rows = [copy_row(copy) for copy in copies]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["insert_copy"], rows)
            return None, None

        await self._writer.write("archive planned", write)

    async def adopt_copies(self, archive: str) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["assign_copies"], {"archive": archive})
            return None, None

        await self._writer.write("archive planned", write)

    async def without_copies(self, ended_after: float) -> AsyncIterator[Sequence[Generation]]:
        at, last = ended_after, ""
        while rows := self._rows(
            "read_ended_generations", state=State.COMPLETED.value, ended_after=at, after_id=last, limit=ROWS_AT_ONCE
        ):
            wanted = [row["id"] for row in rows if row["wanted"]]
            found = [generation_of(row) for id_ in wanted for row in self._rows("read_any_generation", id=id_)]
            if found:
                yield found
            at, last = rows[-1]["ended_at"], rows[-1]["id"]
            await asyncio.sleep(0)

    async def due_copies(self, archive: str, now: float, longest: float, limit: int) -> Sequence[Copy]:
        rows = self._rows("read_due_copies", archive=archive, now=now, latest=now + longest, limit=limit)
        return [copy_of(row) for row in rows]

    async def next_copy(self, archive: str, now: float) -> float | None:
        (row,) = self._rows("read_next_copy_time", archive=archive, now=now)
        return None if row[0] is None else float(row[0])

    async def keep_copy(self, copy: Copy, file: ArchivedFile) -> bool:
        archived = {"archived_url": file.url, "size": file.size, "sha256": file.sha256}

        def write(connection: sqlite3.Connection) -> Effect:
            kept = connection.execute(self._sql["mark_copy_archived"], copy_key(copy) | archived).rowcount == 1
            connection.execute(self._sql["delete_orphaned_copy"], copy_key(copy))
            return kept, None

        return bool(await self._writer.write("archived", write))

    async def postpone_copy(self, copy: Copy, not_before: float, *, give_up: bool) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            attempt = {"not_before": not_before, "give_up": give_up}
            connection.execute(self._sql["postpone_copy"], copy_key(copy) | attempt)
            connection.execute(self._sql["delete_orphaned_copy"], copy_key(copy))
            return None, None

        await self._writer.write("archive postponed", write)

    async def forget_copy(self, copy: Copy) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["delete_copy"], copy_key(copy))
            return None, None

        await self._writer.write("archive removed", write)

    async def archived(self, generation_ids: Sequence[str]) -> Mapping[str, Mapping[Part, ArchivedFile]]:
        found: dict[str, dict[Part, ArchivedFile]] = {}
        for row in self._rows("read_archived_files", generation_ids=json.dumps(list(generation_ids))):
            file = ArchivedFile(row["archived_url"], row["size"], row["sha256"])
            part = Part(row["output"], bool(row["preview"]))
            found.setdefault(row["generation_id"], {})[part] = file
        return found

    async def copies_waiting(self) -> int:
        (row,) = self._rows("count_waiting_copies")
        return int(row[0])
