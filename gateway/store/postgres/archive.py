"""The port `CopyStore` on PostgreSQL: which outputs are to be copied to an archive, and which have been."""

from collections.abc import AsyncIterator, Sequence

from gateway.archive.model import ArchivedFile, Copy
from gateway.generations.model import Generation, State
from gateway.store.codec import generation_of
from gateway.store.postgres.database import StorePart, arrays
from gateway.store.reads import CopyReads
from gateway.store.rows import copy_row, copy_state
from gateway.store.writes import CopyWrites

ROWS_PER_BATCH = 200


class PostgresCopies(StorePart, CopyReads, CopyWrites):
    """The methods are described in `gateway/archive/ports.py`."""

    async def plan_copies(self, copies: Sequence[Copy], now: float) -> None:
        if copies:
            rows = arrays([copy_row(copy) for copy in copies])
            await self._write("archive planned", "insert_copies", rows | {"not_before": now})

    async def without_copies(self, ended_after: float) -> AsyncIterator[Sequence[Generation]]:
        at, last = ended_after, ""
        while rows := await self._rows(
            "read_ended_generations", state=State.COMPLETED.value, ended_after=at, after_id=last, limit=ROWS_PER_BATCH
        ):
            if found := [generation_of(row) for row in rows if row["wanted"]]:
                yield found
            at, last = rows[-1]["ended_at"], rows[-1]["id"]

    async def record_copy(self, copy: Copy, file: ArchivedFile) -> bool:
        archived = {"archived_url": file.url, "size": file.size, "sha256": file.sha256}
        return bool((await self._write("archived", "record_copy", copy.fields | archived))["written"])

    async def postpone_copy(self, copy: Copy, not_before: float, *, give_up: bool) -> None:
        attempt = {"not_before": not_before, "give_up": give_up, "state": copy_state(copy)}
        await self._write("archive postponed", "postpone_copy", copy.fields | attempt)
