"""The writes of the ports that are one statement of the same name on every engine.

The methods are described where the ports are.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict

from gateway.access.keys import ApiKey
from gateway.agents.model import SESSION, KeyRecord
from gateway.archive.model import Copy
from gateway.callbacks.model import Delivery
from gateway.catalog.model import StoredCatalog
from gateway.characters.model import Creation, Removal
from gateway.generations.accounts import Pool
from gateway.generations.limits.model import Limits
from gateway.generations.stores import StoredCredentials, StoreError
from gateway.store.auditor import Auditor
from gateway.store.reads import LimitReads, matching
from gateway.store.rows import api_key_row, catalog_row, creation_row, delivery_row, limits_row


class StoreWrites(ABC):
    """What an engine supplies. All methods raise UnconfirmedError."""

    _auditor: Auditor

    @abstractmethod
    async def _change(self, step: str, name: str, values: Mapping[str, object], entry: str | None = None) -> bool:
        """Execute a statement, and return whether it changed a row. If so, `entry` is appended to the audit log."""

    @abstractmethod
    async def _prune_all(self, name: str, values: Mapping[str, object]) -> None:
        """Delete rows by a statement with a limit, as often as it deletes that many."""


class AccountWrites(StoreWrites):
    """The writes of `AccountStore`."""

    async def save_credentials(self, credentials: StoredCredentials) -> None:
        entry = self._auditor.credentials(credentials)
        await self._change("account", "save_credentials", asdict(credentials), entry)

    async def seal_credentials(self, credentials: str, sealed: bytes) -> None:
        entry = None if sealed else self._auditor.entry("account.retire", time.time(), id=credentials)
        await self._change("account", "seal_credentials", {"id": credentials, "sealed": sealed}, entry)

    async def delete_account(self, name: str) -> None:
        entry = self._auditor.entry("account.remove", time.time(), id=name)
        await self._change("account", "delete_account", {"account": name}, entry)

    async def set_pool(self, tenant: str, pool: Pool) -> None:
        row = {"tenant": tenant, "accounts": json.dumps([*pool.items()])}
        await self._change("account", "set_pool" if pool else "delete_pool", row, self._auditor.pool(tenant, pool))


class AgentWrites(StoreWrites):
    """The writes of `AgentStore`, but those of sessions and messages."""

    async def release_agent_key(self, record: KeyRecord) -> None:
        row = {"tenant": record.tenant, "key": record.key, "used_at": record.used_at}
        await self._change("agent message refused", "delete_unbound_agent_key", row)

    async def add_agent_media(self, tenant: str, media_id: str, steady: float) -> None:
        row = {"tenant": tenant, "id": media_id, "created_at": steady}
        await self._change("agent media", "insert_agent_media", row)

    async def prune(self, used_before: float) -> None:
        before = {"used_before": used_before}
        await self._prune_all("prune_agent_keys", before | {"session_fingerprint": SESSION})
        await self._prune_all("prune_agent_media", before)


class CallbackWrites(StoreWrites):
    """The writes of `CallbackStore` that concern deliveries alone, but those of attempts."""

    async def prune_deliveries(self, settled_before: float) -> None:
        await self._prune_all("prune_callback_deliveries", {"before": settled_before})

    async def redeliver(self, delivery: Delivery) -> None:
        await self._change("redelivery", "update_callback_delivery", delivery_row(delivery))

    async def drop_delivery(self, delivery: Delivery) -> None:
        await self._change("delivery dropped", "delete_callback_delivery", delivery_row(delivery))


class CatalogWrites(StoreWrites):
    """The write of `CatalogStore`."""

    async def save_catalog(self, account: str, origin: str, name: str, catalog: StoredCatalog) -> None:
        await self._change("catalog", "replace_catalog", await catalog_row(account, origin, name, catalog))


class CharacterWrites(StoreWrites):
    """The writes of `CharacterStore`, but `bind`."""

    async def claim(self, creation: Creation) -> None:
        if not await self._change("character claim", "insert_character", creation_row(creation)):
            raise StoreError("the key was freed at the same time")

    async def free(self, creation_id: str) -> None:
        await self._change("character freed", "delete_unbound_character", {"id": creation_id})

    async def remove(self, removal: Removal) -> None:
        step = "character gone" if removal.gone else "character removal"
        await self._change(step, "insert_removed_character", asdict(removal))


class CopyWrites(StoreWrites):
    """The writes of `CopyStore` that no other write precedes."""

    async def reassign_copies(self, archive: str) -> None:
        await self._change("archive planned", "assign_copies", {"archive": archive})

    async def forget_copy(self, copy: Copy) -> None:
        await self._change("archive removed", "delete_copy", copy.fields)


class LimitWrites(LimitReads, StoreWrites):
    """The writes of `LimitStore`. docs/decisions/0048-sums-of-budgets-beside-their-limits.md describes new limits."""

    async def set_limits(self, tenant: str, subject: str, limits: Limits, day: str) -> None:
        named = {"tenant": tenant, "subject": subject}
        entry = self._auditor.limits(tenant, subject, limits)
        if limits == Limits():
            await self._change("limits", "delete_limits", named, entry)
            return
        row = named | limits_row(limits)
        while not await self._rows("has_limits", **named):
            await self._begin_use(tenant, subject, day)
            found = matching(tenant, subject) | named
            earlier = await self._rows_aside("read_earlier_use", found, dict[str, object])  # none if the row is gone
            if earlier and await self._change("limits", "set_new_limits", row | earlier[0], entry):
                return
        await self._change("limits", "set_limits", row, entry)

    @abstractmethod
    async def _begin_use(self, tenant: str, subject: str, day: str) -> None:
        """Store a row without limits for the subject, if it has none."""


class KeyWrites(StoreWrites):
    """The writes of `KeyStore`."""

    async def add_api_key(self, key: ApiKey) -> None:
        await self._change("api key", "insert_api_key", api_key_row(key), self._auditor.key(key))

    async def revoke_api_key(self, key: ApiKey, wall: float) -> None:
        entry = self._auditor.entry("key.revoke", wall, id=key.id, tenant=key.tenant)
        await self._change("revocation", "revoke_api_key", {"id": key.id, "revoke_time": wall}, entry)

    async def expire_api_key(self, key: ApiKey, wall: float) -> None:
        entry = self._auditor.expiry(key, wall)
        await self._change("revocation", "expire_api_key", {"id": key.id, "expire_time": wall}, entry)
