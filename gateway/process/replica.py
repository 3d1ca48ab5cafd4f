"""A gateway that serves reads and watches from the log that another one writes, until it leads itself."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.access.identity import Access, Issuer
from gateway.accounts.manager import Encryption
from gateway.archive.ports import ObjectStorage
from gateway.concurrency import OwnedTasks, keep_running
from gateway.generations.clock import since_boot
from gateway.generations.model import RunTime, run_time
from gateway.generations.reads import Reads
from gateway.generations.run_times import RunTimes
from gateway.generations.store_backoff import until_taken_over
from gateway.generations.stores import Saved, UnconfirmedError
from gateway.generations.watching.feed import Feed
from gateway.generations.watching.forecast import Forecaster
from gateway.generations.watching.watch import Watches
from gateway.higgsfield.accounts import CREDENTIALS_REFUSED
from gateway.settings.config import SettingError, Settings
from gateway.store.store import STORE_UNUSABLE, SharedStore

REPORT_SERVING_INTERVAL = 1.0
"""Seconds between looks for new and revoked API keys, which also show the leader that this replica serves."""
CHECK_CREDENTIALS_INTERVAL = 60.0
"""Seconds between calls that show whether Higgsfield still refuses the credentials."""
MAX_KEYS_AGE = 2.0
"""Seconds after which the known API keys are too old to accept a caller by them."""


class Freshness:
    """Whether a gateway knows the present state of a shared store: of its changes, and of its API keys."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        self._keys_read = since_boot()
        self.writes_keys = store.leads
        """Whether this gateway itself makes all changes of the keys."""

    def keys_read(self, at: float) -> None:
        """Record that the keys are those of this time."""
        self._keys_read = at

    def current(self) -> bool:
        """Return whether callers may be served."""
        return self._store.current and (self.writes_keys or since_boot() < self._keys_read + MAX_KEYS_AGE)


@dataclass
class Replica:
    """The parts of a gateway that serves while another one leads. Call `follow` once, then `drain` and `close`."""

    settings: Settings
    store: SharedStore
    feed: Feed
    access: Access
    issuer: Issuer | None
    freshness: Freshness
    reads: Reads
    watches: Watches
    forecasts: Forecaster
    run_times: RunTimes
    archive: ObjectStorage | None
    """The archive as it was opened at the start: it need not be usable when this gateway begins to lead."""
    encryption: Encryption | None
    """The encryption of the accounts as it was opened at the start: the file with the key may be gone later."""
    all_refused: Callable[[], Awaitable[bool]]
    """Asks Higgsfield whether it refuses the credentials of all accounts that are stored now.

    Raises UnconfirmedError, or SettingError if they cannot be decrypted.
    """
    _refused: bool = False

    async def begin(self) -> None:
        """Read what is new since the parts were made. Raises UnconfirmedError."""
        self.store.change_log.listen(self.feed.publish)
        self.store.change_log.listen(self._learn)
        await self.store.begin(self.feed.position, self.feed.spec)

    async def follow(self) -> None:
        """Follow the leader until this gateway leads. Raises StoreOpenError if it cannot."""
        keys = OwnedTasks()
        keys.start(keep_running(self._follow_keys))
        if self.issuer is not None:
            keys.start(keep_running(self.issuer.run))
        try:
            await self.store.follow()
            await until_taken_over(self._read_keys)
        finally:
            await keys.cancel()
        self.freshness.writes_keys = True

    async def check_credentials(self) -> None:
        """Ask Higgsfield whether it accepts the credentials, again and again until it does or this gateway leads.

        A replica makes no other call, and would only find out as the leader that its credentials are wrong.
        """
        while not self.store.leads:
            with contextlib.suppress(UnconfirmedError, SettingError):
                self._refused = await self.all_refused()
                if not self._refused:
                    return
            await asyncio.sleep(CHECK_CREDENTIALS_INTERVAL)

    def drain(self) -> None:
        """End the calls that wait, so that clients resume elsewhere."""
        self.reads.draining = True
        self.feed.wake_all()

    async def close(self) -> None:
        """Close the store."""
        await self.store.close()

    @property
    def not_ready(self) -> str:
        """Why the gateway is not ready for calls; empty if it is."""
        if self.reads.draining:
            return "draining"
        if not self.freshness.current():
            return STORE_UNUSABLE
        return CREDENTIALS_REFUSED if self._refused else ""

    @property
    def trouble(self) -> str:
        """What is wrong with a gateway that is ready; empty if nothing is known."""
        return "" if self.store.leader.peer else "no replica leads at the moment"

    def behind(self) -> float:
        """Return the delay of its polls: it makes none."""
        return 0.0

    async def _follow_keys(self) -> None:
        while True:
            with contextlib.suppress(UnconfirmedError):
                await self._read_keys()
            await asyncio.sleep(REPORT_SERVING_INTERVAL)

    async def _read_keys(self) -> None:
        """Learn the keys that have changed. Raises UnconfirmedError."""
        before = since_boot()
        if changed := await self.store.report_serving():
            self.access.update(changed)
        self.freshness.keys_read(before)

    def _learn(self, saved: Sequence[Saved]) -> None:
        for save in saved:
            ended = save.generation
            if ended is not None and ended.done and (seconds := run_time(ended)) is not None:
                self.run_times.learn(RunTime(ended.spec.model_id, ended.spec.traits, seconds))
