"""The port `AuditStore` on PostgreSQL. The statements of the other parts append entries."""

import time
from collections.abc import Mapping

from gateway.store.auditor import entry_text
from gateway.store.postgres.database import StorePart
from gateway.store.reads import AuditReads


class PostgresAudit(StorePart, AuditReads):
    """The methods are described in `gateway/audit.py`."""

    async def record(self, act: str, details: Mapping[str, object]) -> None:
        row = {"audit": entry_text(act, time.time(), "", "", details)}
        await self._database.write(None, "insert_audit", row, repeat=False)
