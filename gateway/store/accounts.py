"""The port `AccountStore` on SQLite."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gateway.generations.accounts import Pool
from gateway.generations.model import RunTime
from gateway.generations.stores import StoredCredentials
from gateway.store.database import StorePart
from gateway.store.rows import credentials_of
from gateway.store.writer import Effect


class SqliteAccounts(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def credentials(self) -> Sequence[StoredCredentials]:
        return [credentials_of(row) for row in self._rows("read_credentials")]

    async def keep_credentials(self, one: StoredCredentials) -> None:
        await self._execute("replace_credentials", asdict(one))

    async def delete_account(self, name: str) -> None:
        await self._execute("delete_account", {"account": name})

    async def pools(self) -> Mapping[str, Pool]:
        return {row["tenant"]: dict(json.loads(row["accounts"])) for row in self._rows("read_pools")}

    async def keep_pool(self, tenant: str, pool: Pool) -> None:
        if pool:
            await self._execute("replace_pool", {"tenant": tenant, "accounts": json.dumps([*pool.items()])})
        else:
            await self._execute("delete_pool", {"tenant": tenant})

    async def latched_accounts(self) -> frozenset[str]:
        return frozenset(row["account"] for row in self._rows("read_accounts_without_repeats"))

    async def run_times(self) -> Sequence[RunTime]:
        return [RunTime(row["model_id"], row["traits"], row["seconds"]) for row in self._rows("read_durations")]

    async def _execute(self, name: str, values: Mapping[str, object]) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            connection.execute(self._sql[name], values)
            return None, None

        await self._writer.write("account", write)
