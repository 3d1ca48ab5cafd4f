"""The reads of the ports, which are the same on every engine: only the statements differ.

The methods are described where the ports are.
"""

import asyncio
import json
import math
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from gateway.access.keys import ApiKey
from gateway.agents.model import SESSION, KeyRecord
from gateway.archive.model import ArchivedFile, Copy, Part
from gateway.audit import Entry, Head
from gateway.callbacks.model import Callback, Delivery, Secret
from gateway.catalog.model import StoredCatalog
from gateway.characters import model as characters
from gateway.generations.accounts import Pool
from gateway.generations.clock import oldest_id
from gateway.generations.limits.model import Limits, SubjectLimits, first_of_month, split_subject, subjects
from gateway.generations.limits.usage import UsageQuery, UsageRow
from gateway.generations.model import (
    Change,
    Event,
    Generation,
    GenerationId,
    PreparedRequest,
    RequestId,
    RunTime,
    Steady,
)
from gateway.generations.stores import Correction, Filter, Removal, StoredCredentials, Webhook
from gateway.store.codec import Row, at_revision, event_of, generation_of, request_of
from gateway.store.rows import (
    agent_key_of,
    api_key_of,
    callback_of,
    catalog_of,
    copy_of,
    creation_of,
    credentials_of,
    delivery_of,
    subject_limits_of,
    usage_of,
    usage_values,
)

T = TypeVar("T")
ROWS_PER_BATCH = 200
"""Rows of a page that one statement reads. Others get their turn afterwards, and no reader pins the log for long."""
ROWS_PER_SEARCH = 2_000
"""Generations among which one statement searches those that match. A row takes SQLite 2 to 5 us."""
ROWS_FOR_A_PAGE = 50_000
"""Generations among which one call of `page` searches at most."""


class StoreReads(ABC):
    """What an engine supplies. All methods raise StoreError."""

    @abstractmethod
    async def _rows(self, name: str, /, **values: object) -> Sequence[Row]:
        """Return the rows that a statement reads; `values` are its parameters."""

    @abstractmethod
    async def _rows_aside(self, name: str, values: Mapping[str, object], convert: Callable[[Row], T]) -> list[T]:
        """Return converted rows of a statement that may read all generations, without delaying other reads."""

    @abstractmethod
    def _array(self, values: Sequence[str] | Sequence[int]) -> object:
        """Return a list as a parameter of a statement."""

    async def _one(self, name: str, /, **values: object) -> Row | None:
        """Return the first row that a statement reads; None if there is none."""
        rows = await self._rows(name, **values)
        return rows[0] if rows else None


class AccountReads(StoreReads):
    """The reads of `AccountStore`."""

    async def credentials(self) -> Sequence[StoredCredentials]:
        return [credentials_of(row) for row in await self._rows("read_credentials")]

    async def pools(self) -> Mapping[str, Pool]:
        return {row["tenant"]: dict(json.loads(row["accounts"])) for row in await self._rows("read_pools")}

    async def accounts_without_repeats(self) -> frozenset[str]:
        return frozenset([row["account"] for row in await self._rows("read_accounts_without_repeats")])

    async def run_times(self) -> Sequence[RunTime]:
        return [RunTime(**row) for row in await self._rows("read_durations")]


class AgentReads(StoreReads):
    """The reads of `AgentStore`."""

    async def agent_tenant(self, session_id: str) -> str | None:
        row = await self._one("read_agent_tenant", session_id=session_id)
        return None if row is None else str(row["tenant"])

    async def agent_key(self, tenant: str, key: str) -> KeyRecord | None:
        row = await self._one("read_agent_key", tenant=tenant, key=key)
        return None if row is None else agent_key_of(row)

    async def bound_agent_messages(self, session_id: str) -> frozenset[str]:
        rows = await self._rows("read_bound_agent_messages", session_id=session_id)
        return frozenset([row["message_id"] for row in rows])

    async def unresolved_agent_messages(self) -> Sequence[KeyRecord]:
        rows = await self._rows("read_unresolved_agent_messages", session_fingerprint=SESSION)
        return [agent_key_of(row) for row in rows]

    async def newest_agent_message(self, session_id: str) -> str:
        row = await self._one("read_newest_agent_message", session_id=session_id)
        return "" if row is None else str(row["message_id"])

    async def has_agent_media(self, tenant: str, media_id: str) -> bool:
        return bool(await self._rows("has_agent_media", tenant=tenant, id=media_id))

    async def prunable(self, used_before: float) -> bool:
        (row,) = await self._rows("has_prunable_agent_rows", used_before=used_before, session_fingerprint=SESSION)
        return bool(row["found"])


class CopyReads(StoreReads):
    """The reads of `CopyStore`."""

    async def due_copies(self, archive: str, after: str, now: float, longest: float, limit: int) -> Sequence[Copy]:
        rows = await self._rows(
            "read_due_copies", archive=archive, after=after, now=now, latest=now + longest, limit=limit
        )
        return [copy_of(row) for row in rows]

    async def next_copy(self, archive: str, now: float) -> float | None:
        (row,) = await self._rows("read_next_copy_time", archive=archive, now=now)
        return None if row["next"] is None else float(row["next"])

    async def archived(self, generation_ids: Sequence[str]) -> Mapping[str, Mapping[Part, ArchivedFile]]:
        found: dict[str, dict[Part, ArchivedFile]] = {}
        for row in await self._rows("read_archived_files", generation_ids=self._array(generation_ids)):
            file = ArchivedFile(row["archived_url"], row["size"], row["sha256"])
            part = Part(row["output"], bool(row["preview"]))
            found.setdefault(row["generation_id"], {})[part] = file
        return found

    async def copies_waiting(self) -> int:
        (row,) = await self._rows("count_waiting_copies")
        return int(row["waiting"])

    async def copies_failing(self) -> int:
        (row,) = await self._rows("count_failing_copies")
        return int(row["failing"])


class AuditReads(StoreReads):
    """The reads of `AuditStore`."""

    async def audit_head(self) -> Head:
        row = await self._one("read_audit_head")
        return Head() if row is None else Head(**row)

    async def audit_entries(self, first: int, limit: int) -> Sequence[Entry]:
        return [Entry(**row) for row in await self._rows("read_audit", first=first, limit=limit)]


class CallbackReads(StoreReads):
    """The reads of `CallbackStore`."""

    async def callbacks(self) -> Sequence[Callback]:
        secrets: dict[str, list[Secret]] = {}
        for row in await self._rows("read_callback_secrets"):
            secrets.setdefault(row["callback_id"], []).append(Secret(row["secret"], row["until"]))
        found = [callback_of(row) for row in await self._rows("read_callbacks")]
        return [replace(callback, secrets=tuple(secrets.get(callback.id, ()))) for callback in found]

    async def pending_deliveries(self, callback_id: str) -> Sequence[Delivery]:
        rows = await self._rows("read_pending_callback_deliveries", callback_id=callback_id)
        return [delivery_of(row) for row in rows]

    async def delivery(self, callback_id: str, generation_id: str, revision: int) -> Delivery | None:
        row = await self._one(
            "read_callback_delivery", callback_id=callback_id, generation_id=generation_id, revision=revision
        )
        return None if row is None else delivery_of(row)

    async def deliveries(
        self, callback_id: str, generation_id: str, *, failed_only: bool, before: tuple[float, str, int], limit: int
    ) -> Sequence[Delivery]:
        name, given = "read_failed_callback_deliveries" if failed_only else "read_callback_deliveries", {}
        if generation_id:
            name = "read_callback_deliveries_of_generation"
            given = {"generation_id": generation_id, "failed_only": failed_only}
        time, generation, revision = before
        rows = await self._rows(
            name,
            callback_id=callback_id,
            before_time=time,
            before_generation=generation,
            before_revision=revision,
            limit=limit,
            **given,
        )
        return [delivery_of(row) for row in rows]


class CatalogReads(StoreReads):
    """The reads of `CatalogStore`."""

    async def load_catalog(self, account: str, origin: str, name: str) -> StoredCatalog | None:
        return await catalog_of(name, await self._one("read_catalog", account=account, origin=origin, name=name))


class ChangeReads(StoreReads):
    """The reads of `ChangeLog`, but the history of a generation."""

    async def position(self) -> int:
        row = await self._one("read_position")
        return 0 if row is None else int(row["position"])

    async def horizon(self, tenant: str) -> int:
        row = await self._one("read_horizon", tenant=tenant)
        return 0 if row is None else int(row["horizon"])

    async def changes(self, tenant: str, after_position: int, limit: int) -> Sequence[Change]:
        changes = []
        for row in await self._rows("read_changes", tenant=tenant, after_position=after_position, limit=limit):
            generation: Generation | None = None
            if row["id"] is not None and row["change_shown"]:
                generation = at_revision(generation_of(row), row["change_revision"], row["change_shown"])
            changes.append(Change(row["position"], tenant, row["generation_id"], generation))
        return changes


class CharacterReads(StoreReads):
    """The reads of `CharacterStore`."""

    async def creations(self) -> Sequence[characters.Creation]:
        return [creation_of(row) for row in await self._rows("read_characters")]

    async def removals(self) -> Sequence[characters.Removal]:
        rows = await self._rows("read_removed_characters")
        return [
            characters.Removal(row["account"], row["character_id"], row["tenant"], bool(row["gone"])) for row in rows
        ]


class DeletionReads(StoreReads):
    """The reads of `DeletionStore`."""

    async def deleted(self, tenant: str, generation_id: GenerationId) -> bool | None:
        row = await self._one("read_deletion", generation_id=generation_id, tenant=tenant)
        return None if row is None or row["deleted"] is None else row["deleted"] > 1

    async def removals(self) -> Sequence[Removal]:
        return [Removal(**row) for row in await self._rows("read_removals")]

    async def removal(self, generation_id: GenerationId) -> Removal | None:
        row = await self._one("read_removal", generation_id=generation_id)
        return None if row is None else Removal(**row)

    async def prunable(self, ended_before: Steady, keys_before: Steady) -> bool:
        (row,) = await self._rows("has_prunable", ended_before=ended_before, keys_before=keys_before)
        return bool(row["found"])


class EventReads(StoreReads):
    """The reads of `EventStore`."""

    async def events(self, generation_id: GenerationId) -> Sequence[Event]:
        return [event_of(row) for row in await self._rows("read_events", generation_id=generation_id)]


class GenerationReads(StoreReads):
    """The reads of `GenerationStore`, but those that have not ended."""

    async def get(self, tenant: str, generation_id: GenerationId) -> Generation | None:
        return await self._generation("read_generation", id=generation_id, tenant=tenant)

    async def any(self, generation_id: GenerationId) -> Generation | None:
        return await self._generation("read_any_generation", id=generation_id)

    async def by_token(self, token_hash: bytes) -> Generation | None:
        return await self._generation("read_generation_by_token", token_hash=token_hash)

    async def by_request(self, request_id: RequestId) -> Generation | None:
        return await self._generation("read_generation_by_request", request_id=request_id)

    async def request(self, generation_id: GenerationId) -> PreparedRequest | None:
        row = await self._one("read_request", generation_id=generation_id)
        return None if row is None else request_of(row)

    async def ended_with_stray(self) -> Sequence[Generation]:
        return [generation_of(row) for row in await self._rows("read_ended_with_stray")]

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        search = _without_within(wanted)
        if search.ids is None and not search.idempotency_key and not search.request_ids:
            return await self._search(tenant, wanted, search, before, limit)
        older = [row for row in await self._look_up(tenant, search) if before is None or row["id"] < before]
        matching = [generation for generation in map(generation_of, older) if wanted.matches(generation)]
        page = matching[:limit]
        return page, page[-1].id if len(matching) > limit else None

    async def _search(
        self, tenant: str, wanted: Filter, search: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Return the page of a filter that no index serves. The engine searches with `search`, in short statements."""
        conditions = {
            "states": self._array([state.value for state in search.states]),
            "model_ids": self._array([*search.model_ids]),
            "labels": json.dumps({**search.labels}),
            "created_after": -math.inf if search.created_after is None else search.created_after,
            "created_before": math.inf if search.created_before is None else search.created_before,
        }
        oldest = "" if search.created_after is None else oldest_id(search.created_after)
        found: list[Generation] = []
        last = before or "~"  # sorts behind every id
        searched, rows = 0, min(limit, ROWS_PER_BATCH)  # enough if all match
        while searched < ROWS_FOR_A_PAGE:
            (end,) = await self._rows("read_page_end", tenant=tenant, before=last, oldest=oldest, rows=rows)
            if not end["found"]:
                return found, None
            most = min(limit - len(found), ROWS_PER_BATCH)  # inputs may be large
            selected = await self._rows(
                "read_generations_page", tenant=tenant, before=last, oldest=end["id"], limit=most, **conditions
            )
            found += [generation for generation in map(generation_of, selected) if wanted.matches(generation)]
            if len(found) == limit:
                return found, found[-1].id
            if len(selected) == most:
                last = selected[-1]["id"]
            elif end["found"] < rows:
                return found, None
            else:
                last = end["id"]
            searched, rows = searched + rows, ROWS_PER_SEARCH
            await asyncio.sleep(0)
        return found, last

    async def _look_up(self, tenant: str, wanted: Filter) -> Sequence[Row]:
        """Return the rows of a filter by key, by request ids or by ids, which an index finds, newest first."""
        if wanted.idempotency_key:
            return await self._rows("read_generations_by_key", tenant=tenant, key=wanted.idempotency_key)
        if wanted.request_ids:
            ids = self._array([*wanted.request_ids])
            return await self._rows("read_generations_by_requests", tenant=tenant, request_ids=ids)
        return await self._rows("read_generations_by_ids", tenant=tenant, ids=self._array([*(wanted.ids or ())]))

    async def _generation(self, name: str, /, **values: object) -> Generation | None:
        row = await self._one(name, **values)
        return None if row is None else generation_of(row)


class KeyReads(StoreReads):
    """The reads of `KeyStore`."""

    async def api_keys(self) -> Sequence[ApiKey]:
        return [api_key_of(row) for row in await self._rows("read_api_keys")]

    async def token_secret(self) -> bytes:
        (row,) = await self._rows("read_meta", name="token_secret")
        return bytes.fromhex(row["value"])


class LimitReads(StoreReads):
    """The reads of `LimitStore`."""

    async def limits(
        self, tenant: str = "", after: tuple[str, str] = ("", ""), limit: int | None = None
    ) -> Sequence[SubjectLimits]:
        found: list[SubjectLimits] = []
        place, last = max(after, (tenant, "")), tenant or "~"  # sorts behind every tenant
        while limit is None or len(found) < limit:
            rows = await self._rows(
                "read_limits", after_tenant=place[0], after_subject=place[1], last_tenant=last, limit=ROWS_PER_BATCH
            )
            # Those of a row without limits are not set yet.
            found += (one for one in map(subject_limits_of, rows) if one.limits != Limits())
            if len(rows) < ROWS_PER_BATCH:
                break
            place = rows[-1]["tenant"], rows[-1]["subject"]
            await asyncio.sleep(0)
        return found[:limit]

    async def uncertain_credits(self, limited: Sequence[SubjectLimits]) -> Sequence[int]:
        tenants = {entry.tenant for entry in limited}
        by_day: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for row in await self._rows("read_uncertain_prices", tenant=tenants.pop() if len(tenants) == 1 else ""):
            for subject in subjects(row["key_id"], json.loads(row["labels"])):
                by_day[row["tenant"], subject][row["budget_day"]] += row["price"]
        months = [(by_day[entry.tenant, entry.subject], first_of_month(entry.use.day)) for entry in limited]
        return [sum(price for day, price in prices.items() if day >= first) for prices, first in months]


class TimeReads(StoreReads):
    """The reads of `TimeStore`."""

    async def newest_steady(self) -> Steady:
        (row,) = await self._rows("read_newest_steady_time")
        return Steady(float(row["newest"]))

    async def corrections(self) -> Sequence[Correction]:
        rows = await self._rows("read_corrections")
        return [Correction(row["since"], row["ahead"], bool(row["placed"])) for row in rows]


class UsageReads(StoreReads):
    """The read of `UsageStore`."""

    async def usage(self, query: UsageQuery) -> Sequence[UsageRow]:
        return await self._rows_aside("read_usage", usage_values(query), usage_of)


class WebhookReads(StoreReads):
    """The reads of `WebhookStore`."""

    async def unprocessed_webhooks(self) -> Sequence[Webhook]:
        # Without the reports, which are not stored: the status is read from Higgsfield instead.
        return [Webhook(**row) for row in await self._rows("read_unprocessed_webhooks")]


def _without_within(wanted: Filter) -> Filter:
    """Return a filter without `within` that matches all that this one matches, and perhaps more."""
    within = wanted.within
    if within is None:
        return wanted
    return Filter(
        ids=within.ids if wanted.ids is None else wanted.ids,
        request_ids=wanted.request_ids or within.request_ids,
        states=wanted.states or within.states,
        model_ids=wanted.model_ids or within.model_ids,
        labels={**within.labels, **wanted.labels},
        idempotency_key=wanted.idempotency_key or within.idempotency_key,
        created_after=within.created_after if wanted.created_after is None else wanted.created_after,
        created_before=within.created_before if wanted.created_before is None else wanted.created_before,
    )


def matching(tenant: str, subject: str) -> dict[str, Any]:
    """Return the parameters of a statement that finds the generations of a subject."""
    kind, name, value = split_subject(subject)
    return {"tenant": tenant, "kind": kind, "name": name, "value": value}
