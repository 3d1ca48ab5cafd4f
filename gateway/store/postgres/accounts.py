"""The port `AccountStore` on PostgreSQL."""

import json
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
        await self._write("account", "replace_credentials", asdict(one))

    async def delete_account(self, name: str) -> None:
        await self._write("account", "delete_account", {"account": name})

    async def pools(self) -> Mapping[str, Pool]:
        return {row["tenant"]: dict(json.loads(row["accounts"])) for row in await self._rows("read_pools")}

    async def keep_pool(self, tenant: str, pool: Pool) -> None:
        if pool:
            await self._write("account", "replace_pool", {"tenant": tenant, "accounts": json.dumps([*pool.items()])})
        else:
            await self._write("account", "delete_pool", {"tenant": tenant})

    async def latched_accounts(self) -> frozenset[str]:
        return frozenset([row["account"] for row in await self._rows("read_accounts_without_repeats")])

    async def run_times(self) -> Sequence[RunTime]:
        rows = await self._rows("read_durations")
        return [RunTime(row["model_id"], row["traits"], row["seconds"]) for row in rows]
