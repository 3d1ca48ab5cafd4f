"""The port `AccountStore` on SQLite."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gateway.generations.accounts import Pool
from gateway.generations.model import RunTime
from gateway.generations.stores import StoredCredentials
from gateway.store import audit
from gateway.store.database import StorePart
from gateway.store.rows import credentials_of
from gateway.store.writer import Effect


class SqliteAccounts(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def credentials(self) -> Sequence[StoredCredentials]:
        return [credentials_of(row) for row in self._rows("read_credentials")]

    async def keep_credentials(self, one: StoredCredentials) -> None:
        await self._execute("keep_credentials", asdict(one), self._auditor.credentials(one))

    async def seal_credentials(self, credentials: str, sealed: bytes) -> None:
        entry = None if sealed else self._auditor.entry("account.retire", time.time(), id=credentials)
        await self._execute("seal_credentials", {"id": credentials, "sealed": sealed}, entry)

    async def delete_account(self, name: str) -> None:
        entry = self._auditor.entry("account.remove", time.time(), id=name)
        await self._execute("delete_account", {"account": name}, entry)

    async def pools(self) -> Mapping[str, Pool]:
        return {row["tenant"]: dict(json.loads(row["accounts"])) for row in self._rows("read_pools")}

    async def keep_pool(self, tenant: str, pool: Pool) -> None:
        row = {"tenant": tenant, "accounts": json.dumps([*pool.items()])}
        await self._execute("keep_pool" if pool else "delete_pool", row, self._auditor.pool(tenant, pool))

    async def accounts_without_repeats(self) -> frozenset[str]:
        return frozenset(row["account"] for row in self._rows("read_accounts_without_repeats"))

    async def run_times(self) -> Sequence[RunTime]:
        return [RunTime(row["model_id"], row["traits"], row["seconds"]) for row in self._rows("read_durations")]

    async def _execute(self, name: str, values: Mapping[str, object], entry: str | None) -> None:
        def write(connection: sqlite3.Connection) -> Effect:
            if connection.execute(self._sql[name], values).rowcount:
                audit.append(connection, self._sql, entry)
            return None, None

        await self._writer.write("account", write)
