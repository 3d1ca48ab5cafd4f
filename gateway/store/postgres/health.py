"""The port `StoreHealth` on PostgreSQL."""

from gateway.generations.stores import UnknownCommitError
from gateway.store.postgres.database import StorePart

PROBE_SIZE = 64 * 1024
"""Bytes that `probe` writes: as many as a submission may need."""


class PostgresHealth(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    @property
    def trouble(self) -> str:
        return self._database.trouble

    @property
    def writes_refused(self) -> int:
        return self._database.refused

    async def probe(self) -> None:
        database = self._database
        for size in (PROBE_SIZE, 0):
            about = {"bytes": size, **database.condition}
            try:
                rows = await database.run(database.reserved, "write_probe", about)
            except UnknownCommitError:  # the connection may have ended long ago
                rows = await database.run(database.reserved, "write_probe", about)
            await database.check_fence(rows)
        database.mended()
