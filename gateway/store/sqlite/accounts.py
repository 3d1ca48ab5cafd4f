"""The port `AccountStore` on SQLite."""

import json
import time
from dataclasses import asdict

from gateway.generations.accounts import Pool
from gateway.generations.stores import StoredCredentials
from gateway.store.reads import AccountReads
from gateway.store.sqlite.database import StorePart


class SqliteAccounts(StorePart, AccountReads):
    """The methods are described in `gateway/generations/stores.py`."""

    async def save_credentials(self, credentials: StoredCredentials) -> None:
        await self._write(
            "account", ("save_credentials", asdict(credentials)), entry=self._auditor.credentials(credentials)
        )

    async def seal_credentials(self, credentials: str, sealed: bytes) -> None:
        entry = None if sealed else self._auditor.entry("account.retire", time.time(), id=credentials)
        await self._write("account", ("seal_credentials", {"id": credentials, "sealed": sealed}), entry=entry)

    async def delete_account(self, name: str) -> None:
        entry = self._auditor.entry("account.remove", time.time(), id=name)
        await self._write("account", ("delete_account", {"account": name}), entry=entry)

    async def set_pool(self, tenant: str, pool: Pool) -> None:
        row = {"tenant": tenant, "accounts": json.dumps([*pool.items()])}
        entry = self._auditor.pool(tenant, pool)
        await self._write("account", ("set_pool" if pool else "delete_pool", row), entry=entry)
