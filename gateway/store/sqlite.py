"""The store on SQLite: one process, one writing connection, durable at every commit (docs/decisions/0005)."""

from collections.abc import Callable
from pathlib import Path

from gateway.store.accounts import SqliteAccounts
from gateway.store.agents import SqliteAgents
from gateway.store.archive import SqliteCopies
from gateway.store.audit import SqliteAudit
from gateway.store.callbacks import SqliteCallbacks
from gateway.store.catalogs import SqliteCatalogs
from gateway.store.change_log import SqliteChangeLog
from gateway.store.characters import SqliteCharacters
from gateway.store.claims import SqliteClaims
from gateway.store.database import Database, WriterFrom
from gateway.store.deletions import SqliteDeletions
from gateway.store.events import SqliteEvents
from gateway.store.generations import SqliteGenerations
from gateway.store.health import SqliteHealth
from gateway.store.keys import SqliteKeys
from gateway.store.limits import SqliteLimits
from gateway.store.store import Store
from gateway.store.times import SqliteTimes
from gateway.store.usage import SqliteUsage
from gateway.store.webhooks import SqliteWebhooks
from gateway.store.writer import Writer


class SqliteStore(Store):
    """All ports to the store on one SQLite file, which is open until `close`. A file has one process.

    `broken` is called if the disk fails. `writer` makes the writer. `declared` opens a file whose state is being
    declared, whatever its mark says: see `gateway/store/restore.py`. Raises `files.StoreFileError` if the file cannot
    be used.
    """

    others_send_for = 0.0
    """The lock on the file ends with its process, which can send nothing any more."""

    def __init__(
        self,
        path: Path,
        broken: Callable[[Exception], None],
        writer: WriterFrom = Writer,
        *,
        declared: bool = False,
    ) -> None:
        self.database = database = Database(path, broken, writer, declared=declared)
        self.auditor = database.auditor
        self.health = SqliteHealth(database)
        self.claims = SqliteClaims(database)
        self.generations = SqliteGenerations(database)
        self.change_log = SqliteChangeLog(database)
        self.deletions = SqliteDeletions(database)
        self.webhooks = SqliteWebhooks(database)
        self.events = SqliteEvents(database)
        self.accounts = SqliteAccounts(database)
        self.times = SqliteTimes(database)
        self.audit = SqliteAudit(database)
        self.keys = SqliteKeys(database)
        self.limits = SqliteLimits(database)
        self.usage = SqliteUsage(database)
        self.callbacks = SqliteCallbacks(database)
        self.copies = SqliteCopies(database)
        self.agents = SqliteAgents(database)
        self.characters = SqliteCharacters(database)
        self.catalogs = SqliteCatalogs(database)

    async def close(self) -> None:
        await self.database.close()
