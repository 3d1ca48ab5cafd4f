"""The port `AuditStore` on PostgreSQL. The statements of the other parts append entries."""

import time
from collections.abc import Mapping, Sequence

from gateway.audit import Entry, Head
from gateway.store.auditor import described
from gateway.store.postgres.database import StorePart


class PostgresAudit(StorePart):
    """The methods are described in `gateway/audit.py`."""

    async def audit_head(self) -> Head:
        row = await self._one("read_audit_head")
        return Head() if row is None else Head(row["sequence"], row["hash"])

    async def audit_entries(self, first: int, limit: int) -> Sequence[Entry]:
        return [Entry(**row) for row in await self._rows("read_audit", first=first, limit=limit)]

    async def record(self, act: str, details: Mapping[str, object]) -> None:
        row = {"audit": described(act, time.time(), "", "", details)}
        await self._database.write(None, "insert_audit", row, repeat=False)
