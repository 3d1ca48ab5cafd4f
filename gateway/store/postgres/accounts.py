"""The port `AccountStore` on PostgreSQL."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gateway.generations.accounts import Pool
from gateway.generations.model import RunTime
from gateway.generations.stores import StoredCredentials
from gateway.store.postgres.database import StorePart
from gateway.store.rows import credentials_of


class PostgresAccounts(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def credentials(self) -> Sequence[StoredCredentials]:
        return [credentials_of(row) for row in await self._rows("read_credentials")]

    async def keep_credentials(self, one: StoredCredentials) -> None:
        await self._write("account", "keep_credentials", asdict(one) | {"audit": self._auditor.credentials(one)})

    async def seal_credentials(self, credentials: str, sealed: bytes) -> None:
        entry = None if sealed else self._auditor.entry("account.retire", time.time(), id=credentials)
        await self._write("account", "seal_credentials", {"id": credentials, "sealed": sealed, "audit": entry})

    async def delete_account(self, name: str) -> None:
        entry = self._auditor.entry("account.remove", time.time(), id=name)
        await self._write("account", "delete_account", {"account": name, "audit": entry})

    async def pools(self) -> Mapping[str, Pool]:
        return {row["tenant"]: dict(json.loads(row["accounts"])) for row in await self._rows("read_pools")}

    async def keep_pool(self, tenant: str, pool: Pool) -> None:
        row = {"tenant": tenant, "accounts": json.dumps([*pool.items()]), "audit": self._auditor.pool(tenant, pool)}
        await self._write("account", "keep_pool" if pool else "delete_pool", row)

    async def accounts_without_repeats(self) -> frozenset[str]:
        return frozenset([row["account"] for row in await self._rows("read_accounts_without_repeats")])

    async def run_times(self) -> Sequence[RunTime]:
        rows = await self._rows("read_durations")
        return [RunTime(row["model_id"], row["traits"], row["seconds"]) for row in rows]
