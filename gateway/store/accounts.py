"""The port `AccountStore` on SQLite."""

from collections.abc import Sequence

from gateway.generations.model import (
    RunTime,
)
from gateway.store.database import StorePart


class SqliteAccounts(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def latched_accounts(self) -> frozenset[str]:
        return frozenset(row["account"] for row in self._rows("read_accounts_without_repeats"))

    async def run_times(self) -> Sequence[RunTime]:
        return [RunTime(row["model_id"], row["traits"], row["seconds"]) for row in self._rows("read_durations")]
