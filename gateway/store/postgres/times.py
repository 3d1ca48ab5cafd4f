"""The port `TimeStore` on PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict

from gateway.generations.model import Steady
from gateway.generations.stores import Correction
from gateway.store.postgres.database import StorePart
from gateway.store.reads import TimeReads


class PostgresTimes(StorePart, TimeReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def correct(self, correction: Correction, forget: Sequence[Steady] = ()) -> None:
        await self._write("correction", "replace_correction", asdict(correction) | {"forget": list(forget)})
