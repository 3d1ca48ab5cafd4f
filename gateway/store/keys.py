"""The port `KeyStore` on SQLite."""

import sqlite3
from collections.abc import Sequence

from gateway.access.keys import ApiKey
from gateway.store.database import StorePart
from gateway.store.rows import api_key_of, api_key_row
from gateway.store.writer import Effect


class SqliteKeys(StorePart):
    """The methods are described in `gateway/access/identity.py`."""

    async def add_api_key(self, key: ApiKey) -> None:
        row = api_key_row(key)

        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["insert_api_key"], row)
            return None, None

        await self._writer.write("api key", write)

    async def revoke_api_key(self, key_id: str, wall: float) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["revoke_api_key"], {"id": key_id, "revoke_time": wall})
            return None, None

        await self._writer.write("revocation", write)

    async def expire_api_key(self, key_id: str, wall: float) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql["expire_api_key"], {"id": key_id, "expire_time": wall})
            return None, None

        await self._writer.write("revocation", write)

    async def api_keys(self) -> Sequence[ApiKey]:
        return [api_key_of(row) for row in self._rows("read_api_keys")]

    async def token_secret(self) -> bytes:
        (row,) = self._rows("read_token_secret")
        return bytes.fromhex(row[0])
