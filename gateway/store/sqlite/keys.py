"""The port `KeyStore` on SQLite."""

from gateway.access.keys import ApiKey
from gateway.store.reads import KeyReads
from gateway.store.rows import api_key_row
from gateway.store.sqlite.database import StorePart


class SqliteKeys(StorePart, KeyReads):
    """The methods are described in `gateway/access/identity.py`."""

    async def add_api_key(self, key: ApiKey) -> None:
        await self._write("api key", ("insert_api_key", api_key_row(key)), entry=self._auditor.key(key))

    async def revoke_api_key(self, key: ApiKey, wall: float) -> None:
        entry = self._auditor.entry("key.revoke", wall, id=key.id, tenant=key.tenant)
        await self._write("revocation", ("revoke_api_key", {"id": key.id, "revoke_time": wall}), entry=entry)

    async def expire_api_key(self, key: ApiKey, wall: float) -> None:
        entry = self._auditor.expiry(key, wall)
        await self._write("revocation", ("expire_api_key", {"id": key.id, "expire_time": wall}), entry=entry)
