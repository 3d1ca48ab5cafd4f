"""The port `StoreHealth` on SQLite."""

import sqlite3

from gateway.store.database import StorePart
from gateway.store.writer import Effect

PROBE_SIZE = 32 * 1024
"""Half the bytes that `probe` writes, because they are stored in hexadecimal."""


class SqliteHealth(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    @property
    def trouble(self) -> str:
        return self._writer.trouble

    @property
    def writes_refused(self) -> int:
        return self._writer.refused

    async def probe(self) -> None:
        """Commit as many bytes as a submission may need, then remove them. Raises StoreError if either fails."""
        for size in (PROBE_SIZE, 0):

            def write(connection: sqlite3.Connection, size: int = size) -> Effect:
                connection.execute(self._sql["write_probe"], {"bytes": size})
                return None, None

            await self._writer.write(None, write)
        self._writer.mended()
