"""The port `TimeStore` on PostgreSQL."""

from collections.abc import Sequence

from gateway.generations.model import Steady
from gateway.generations.stores import Correction
from gateway.store.postgres.database import StorePart


class PostgresTimes(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def newest_steady(self) -> Steady:
        (row,) = await self._rows("read_newest_steady_time")
        return Steady(row["newest"])

    async def corrections(self) -> Sequence[Correction]:
        return [Correction(**row) for row in await self._rows("read_corrections")]

    async def correct(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        row = {"since": correction.since, "ahead": correction.ahead, "placed": correction.placed}
        await self._write("correction", "replace_correction", row | {"forget": list(forget)})
