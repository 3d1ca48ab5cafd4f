"""The port `AccountStore` on PostgreSQL."""

from collections.abc import Sequence

from gateway.generations.model import RunTime
from gateway.store.postgres.database import StorePart


class PostgresAccounts(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def latched_accounts(self) -> frozenset[str]:
        return frozenset([row["account"] for row in await self._rows("read_accounts_without_repeats")])

    async def run_times(self) -> Sequence[RunTime]:
        rows = await self._rows("read_durations")
        return [RunTime(row["model_id"], row["traits"], row["seconds"]) for row in rows]
