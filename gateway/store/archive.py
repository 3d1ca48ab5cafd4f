"""The `CopyStore` port on SQLite, over the store's writer and its reader."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from gateway.archive.model import ArchivedFile, Copy
from gateway.generations.model import Generation, State
from gateway.store.codec import generation_of
from gateway.store.writer import Effect, Writer

TO_BE_REMOVED = 3
SCANNED_AT_ONCE = 200


class SqliteCopies:
    """A part of `SqliteStore`, open as long as it is."""

    def __init__(self, writer: Writer, read: Callable[..., list[sqlite3.Row]], sql: Mapping[str, str]) -> None:
        self._writer = writer
        self._read = read
        self._sql = sql

    async def plan_copies(self, copies: Sequence[Copy]) -> None:
        """Note them, unless they are noted, or their generation is gone."""
        rows = [
            (copy.generation_id, copy.output, copy.url, copy.key, copy.content_type, copy.archive, copy.expire_time)
            for copy in copies
        ]

        def write(connection: sqlite3.Connection) -> Effect:
            connection.executemany(self._sql["plan_copy"], rows)
            return None, None

        await self._writer.write("archive planned", write)

    async def adopt_copies(self, archive: str) -> None:
        """What waits for another archive goes to this one."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["adopt_copies"], (archive, archive))
            return None, None

        await self._writer.write("archive planned", write)

    async def without_copies(self, ended_after: float) -> AsyncIterator[Sequence[Generation]]:
        """Completed generations of which nothing is noted; looked through in pages, between which others work."""
        at, last = ended_after, ""
        while rows := self._read("read_ended", State.COMPLETED.value, at, last, SCANNED_AT_ONCE):
            wanted = [row["id"] for row in rows if row["wanted"]]
            found = [generation_of(row) for name in wanted for row in self._read("read_any_generation", name)]
            if found:
                yield found
            at, last = rows[-1]["ended_at"], rows[-1]["id"]
            await asyncio.sleep(0)

    async def due_copies(self, archive: str, now: float, longest: float, limit: int) -> Sequence[Copy]:
        """What is to be done now."""
        rows = self._read("read_due_copies", archive, now, now + longest, limit)
        return [Copy(*(*row[:-1], row["state"] == TO_BE_REMOVED)) for row in rows]

    async def next_copy(self, archive: str, now: float) -> float | None:
        """When more will be due."""
        (row,) = self._read("read_next_copy", archive, now)
        return None if row[0] is None else float(row[0])

    async def keep_copy(self, copy: Copy, file: ArchivedFile) -> bool:
        """It is copied."""

        def write(connection: sqlite3.Connection) -> Effect:
            row = (file.url, file.size, file.sha256, *copy.name)
            kept = connection.execute(self._sql["keep_copy"], row).rowcount == 1
            connection.execute(self._sql["forget_settled_copy"], copy.name)
            return kept, None

        return bool(await self._writer.write("archived", write))

    async def postpone_copy(self, copy: Copy, not_before: float, *, give_up: bool) -> None:
        """Later, or never."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["postpone_copy"], (not_before, give_up, *copy.name))
            connection.execute(self._sql["forget_settled_copy"], copy.name)
            return None, None

        await self._writer.write("archive postponed", write)

    async def forget_copy(self, copy: Copy) -> None:
        """It is removed."""

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["forget_copy"], copy.name)
            return None, None

        await self._writer.write("archive removed", write)

    async def archived(self, generation_ids: Sequence[str]) -> Mapping[str, Mapping[int, ArchivedFile]]:
        """The copies by generation and output."""
        found: dict[str, dict[int, ArchivedFile]] = {}
        for generation_id, output, url, size, sha256 in self._read("read_archived", json.dumps(list(generation_ids))):
            found.setdefault(generation_id, {})[output] = ArchivedFile(url, size, sha256)
        return found

    def copies_waiting(self) -> int:
        """How many wait."""
        (row,) = self._read("count_waiting_copies")
        return int(row[0])
