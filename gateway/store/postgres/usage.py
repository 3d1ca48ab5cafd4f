"""The port `UsageStore` on PostgreSQL."""

from collections.abc import Sequence

from gateway.generations.limits.usage import UsageQuery, UsageRow
from gateway.store.postgres.database import StorePart
from gateway.store.rows import usage_of, usage_values


class PostgresUsage(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def usage(self, query: UsageQuery) -> Sequence[UsageRow]:
        return [usage_of(row) for row in await self._rows("read_usage", **usage_values(query))]
