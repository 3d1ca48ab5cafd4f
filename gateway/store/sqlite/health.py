"""The port `StoreHealth` on SQLite."""

from gateway.store.sqlite.database import StorePart

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
            await self._write(None, ("write_probe", {"bytes": size}))
        self._writer.recovered()
