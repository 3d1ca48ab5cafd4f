"""The port `KeyStore` on SQLite."""

import sqlite3
from collections.abc import Mapping, Sequence

from gateway.access.keys import ApiKey
from gateway.store import audit
from gateway.store.database import StorePart
from gateway.store.rows import api_key_of, api_key_row
from gateway.store.writer import Effect, Write


class SqliteKeys(StorePart):
    """The methods are described in `gateway/access/identity.py`."""

    async def add_api_key(self, key: ApiKey) -> None:
        await self._writer.write("api key", self._change("insert_api_key", api_key_row(key), self._auditor.key(key)))

    async def revoke_api_key(self, key_id: str, wall: float) -> None:
        entry = self._auditor.entry("key.revoke", wall, id=key_id)
        change = self._change("revoke_api_key", {"id": key_id, "revoke_time": wall}, entry)
        await self._writer.write("revocation", change)

    async def expire_api_key(self, key_id: str, wall: float) -> None:
        entry = self._auditor.expiry(key_id, wall)
        change = self._change("expire_api_key", {"id": key_id, "expire_time": wall}, entry)
        await self._writer.write("revocation", change)

    def _change(self, name: str, row: Mapping[str, object], entry: str | None) -> Write:
        def write(connection: sqlite3.Connection) -> Effect:
            if connection.execute(self._sql[name], row).rowcount:
                audit.append(connection, self._sql, entry)
            return None, None

        return write

    async def api_keys(self) -> Sequence[ApiKey]:
        return [api_key_of(row) for row in self._rows("read_api_keys")]

    async def token_secret(self) -> bytes:
        (row,) = self._rows("read_token_secret")
        return bytes.fromhex(row[0])
