"""The store on SQLite: one process, one writing connection, durable at every commit (docs/decisions/0005)."""

from collections.abc import Callable
from pathlib import Path

from gateway.store.reads import AccountReads, CatalogReads, KeyReads, UsageReads
from gateway.store.sqlite.agents import SqliteAgents
from gateway.store.sqlite.archive import SqliteCopies
from gateway.store.sqlite.audit import SqliteAudit
from gateway.store.sqlite.callbacks import SqliteCallbacks
from gateway.store.sqlite.change_log import SqliteChangeLog
from gateway.store.sqlite.characters import SqliteCharacters
from gateway.store.sqlite.claims import SqliteClaims
from gateway.store.sqlite.database import Database, StorePart, WriterFrom
from gateway.store.sqlite.deletions import SqliteDeletions
from gateway.store.sqlite.events import SqliteEvents
from gateway.store.sqlite.generations import SqliteGenerations
from gateway.store.sqlite.health import SqliteHealth
from gateway.store.sqlite.limits import SqliteLimits
from gateway.store.sqlite.times import SqliteTimes
from gateway.store.sqlite.webhooks import SqliteWebhooks
from gateway.store.sqlite.writer import Writer
from gateway.store.store import Store
from gateway.store.writes import AccountWrites, CatalogWrites, KeyWrites


class SqliteAccounts(StorePart, AccountReads, AccountWrites):
    """The methods are described in `gateway/generations/stores.py`."""


class SqliteCatalogs(StorePart, CatalogReads, CatalogWrites):
    """The methods are described in `gateway/catalog/ports.py`."""


class SqliteKeys(StorePart, KeyReads, KeyWrites):
    """The methods are described in `gateway/access/identity.py`."""


class SqliteUsage(StorePart, UsageReads):
    """The methods are described in `gateway/generations/stores.py`."""


class SqliteStore(Store):
    """All ports to the store on one SQLite file, which is open until `close`. A file has one process.

    `broken` is called if the disk fails. `writer` makes the writer. `declared` opens a file whose state is being
    declared, whatever its mark says: see `restore.py`. Raises `files.StoreFileError` if the file cannot be used.
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
