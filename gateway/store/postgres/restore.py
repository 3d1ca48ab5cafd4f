"""Declare that a database was restored from a backup. A command uses this, a gateway does not."""

import secrets

from gateway.store import auditor
from gateway.store.postgres.database import NO_EPOCH
from gateway.store.postgres.store import PostgresStore
from gateway.store.restore import Declared, hold_submissions


async def declare_restored(store: PostgresStore) -> Declared:
    """Give a store a new epoch, and hold the submissions that may have been sent since the backup.

    Raises UnconfirmedError. If it is interrupted, the store has no epoch, and every start refuses it until the
    declaration is repeated.
    """
    database = store.database
    newest = next((row["time"] for row in await database.rows("read_newest_change_time")), None)
    await database.write(None, "write_epoch", {"epoch": NO_EPOCH, "audit": None})
    held = await hold_submissions(store)
    epoch = secrets.token_hex(4)
    await database.write(None, "write_epoch", {"epoch": epoch, "audit": auditor.restored(epoch)})
    return Declared(held, newest)
