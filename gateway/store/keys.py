"""The port `KeyStore` on SQLite."""

import sqlite3
from collections.abc import Mapping, Sequence

from gateway.access.keys import ApiKey
from gateway.store import audit
from gateway.store.database import StorePart
from gateway.store.rows import api_key_of, api_key_row
from gateway.store.writer import Effect


class SqliteKeys(StorePart):
    """The methods are described in `gateway/access/identity.py`."""

    async def add_api_key(self, key: ApiKey) -> None:
        await self._change("api key", "insert_api_key", api_key_row(key), self._auditor.key(key))

    async def revoke_api_key(self, key_id: str, wall: float) -> None:
        entry = self._auditor.entry("key.revoke", wall, id=key_id)
        await self._change("revocation", "revoke_api_key", {"id": key_id, "revoke_time": wall}, entry)

    async def expire_api_key(self, key_id: str, wall: float) -> None:
        entry = self._auditor.expiry(key_id, wall)
        await self._change("revocation", "expire_api_key", {"id": key_id, "expire_time": wall}, entry)

    async def _change(self, step: str, name: str, row: Mapping[str, object], entry: str | None) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            if connection.execute(self._sql[name], row).rowcount:
                audit.append(connection, self._sql, entry)
            return None, None

        await self._writer.write(step, write)

    async def api_keys(self) -> Sequence[ApiKey]:
        return [api_key_of(row) for row in self._rows("read_api_keys")]

    async def token_secret(self) -> bytes:
        (row,) = self._rows("read_token_secret")
        return bytes.fromhex(row[0])
