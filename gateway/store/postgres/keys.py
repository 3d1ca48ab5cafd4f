"""The port `KeyStore` on PostgreSQL."""

from collections.abc import Sequence

from gateway.access.keys import ApiKey
from gateway.store.postgres.database import StorePart


class PostgresKeys(StorePart):
    """The methods are described in `gateway/access/identity.py`."""

    async def add_api_key(self, key: ApiKey) -> None:
        row = {"id": key.id, "tenant": key.tenant, "name": key.name, "hash": key.hash, "create_time": key.create_time}
        await self._write("api key", "insert_api_key", row)

    async def revoke_api_key(self, key_id: str, wall: float) -> None:
        await self._write("revocation", "revoke_api_key", {"id": key_id, "revoke_time": wall})

    async def api_keys(self) -> Sequence[ApiKey]:
        return [ApiKey(**row) for row in await self._rows("read_api_keys")]

    async def token_secret(self) -> bytes:
        (row,) = await self._rows("read_meta", name="token_secret")
        return bytes.fromhex(row["value"])
