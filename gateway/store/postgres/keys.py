"""The port `KeyStore` on PostgreSQL."""

from collections.abc import Sequence

from gateway.access.keys import ApiKey
from gateway.store.postgres.database import Database, StorePart
from gateway.store.reads import KeyReads
from gateway.store.rows import api_key_of
from gateway.store.writes import KeyWrites


class PostgresKeys(StorePart, KeyReads, KeyWrites):
    """The methods are described in `gateway/access/identity.py`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._version = ""
        self._versions: dict[str, str] = {}

    async def changed(self, version: str) -> Sequence[ApiKey]:
        """Return the keys that may have changed since the last call, from the version of all.

        Reading 100,000 keys after each change of one would take seconds, in which a replica refuses all calls.
        """
        if version == self._version:
            return ()
        versions = {row["beginning"]: row["version"] for row in await self._rows("read_api_key_versions")}
        beginnings = [beginning for beginning, _ in versions.items() - self._versions.items()]
        rows = await self._rows("read_api_keys_of", beginnings=beginnings)
        self._version, self._versions = version, versions
        return [api_key_of(row) for row in rows]
