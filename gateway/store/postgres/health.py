"""The port `StoreHealth` on PostgreSQL."""

from gateway.store.postgres.database import StorePart


class PostgresHealth(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    @property
    def trouble(self) -> str:
        return self._database.trouble

    @property
    def writes_refused(self) -> int:
        return self._database.refused

    async def probe(self) -> None:
        await self._database.probe()
