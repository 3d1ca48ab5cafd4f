"""The port `CopyStore` on SQLite: which outputs are to be copied to an archive, and which have been."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from gateway.archive.model import ArchivedFile, Copy
from gateway.generations.model import Generation, State
from gateway.store.codec import generation_of
from gateway.store.reads import CopyReads
from gateway.store.rows import copy_row, copy_state
from gateway.store.sqlite.database import StorePart
from gateway.store.writes import CopyWrites

ROWS_PER_BATCH = 200
"""Rows that one statement reads before other work gets its turn."""


class SqliteCopies(StorePart, CopyReads, CopyWrites):
    """The methods are described in `gateway/archive/ports.py`."""

    async def plan_copies(self, copies: Sequence[Copy], now: float) -> None:
        await self._write(
            "archive planned", *(("insert_copy", copy_row(copy) | {"not_before": now}) for copy in copies)
        )

    async def without_copies(self, ended_after: float) -> AsyncIterator[Sequence[Generation]]:
        at, last = ended_after, ""
        while rows := await self._rows(
            "read_ended_generations", state=State.COMPLETED.value, ended_after=at, after_id=last, limit=ROWS_PER_BATCH
        ):
            wanted = [row["id"] for row in rows if row["wanted"]]
            found = [generation_of(row) for id_ in wanted for row in await self._rows("read_any_generation", id=id_)]
            if found:
                yield found
            at, last = rows[-1]["ended_at"], rows[-1]["id"]
            await asyncio.sleep(0)

    async def record_copy(self, copy: Copy, file: ArchivedFile) -> bool:
        key, archived = copy.fields, {"archived_url": file.url, "size": file.size, "sha256": file.sha256}
        return await self._write("archived", ("mark_copy_archived", key | archived), ("delete_orphaned_copy", key))

    async def postpone_copy(self, copy: Copy, not_before: float, *, give_up: bool) -> None:
        key, attempt = copy.fields, {"not_before": not_before, "give_up": give_up, "state": copy_state(copy)}
        await self._write("archive postponed", ("postpone_copy", key | attempt), ("delete_orphaned_copy", key))
