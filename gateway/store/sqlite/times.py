"""The port `TimeStore` on SQLite."""

from collections.abc import Sequence
from dataclasses import asdict

from gateway.generations.model import Steady
from gateway.generations.stores import Correction
from gateway.store.reads import TimeReads
from gateway.store.sqlite.database import StorePart


class SqliteTimes(StorePart, TimeReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def correct(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        forgotten = (("delete_correction", {"since": since}) for since in forget)
        await self._write("correction", *forgotten, ("replace_correction", asdict(correction)))
