"""Rows of callbacks, deliveries, copies, characters, idempotency keys of agents, API keys, limits, usage, and catalogs.

As in `codec.py`, one function returns the columns of a value by name, and another the value in a row.
"""

import asyncio
import functools
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gateway.access.keys import ApiKey
from gateway.access.scopes import Scope
from gateway.agents.model import KeyRecord
from gateway.archive.model import Copy, Part
from gateway.callbacks.model import Callback, Delivery, DeliveryState, Problem
from gateway.catalog.model import (
    MODELS,
    MOTIONS,
    PRESETS,
    Change,
    Item,
    Listing,
    Model,
    Motion,
    Preset,
    SoulStyle,
    StoredCatalog,
)
from gateway.characters.model import Creation
from gateway.generations.clock import oldest_id
from gateway.generations.inputs import SoulVersion
from gateway.generations.limits.model import Limits, SubjectLimits, Use, decode_models, encode_models
from gateway.generations.limits.usage import DAY, KEY, MAX_GROUPS, MODEL, TENANT, UsageQuery, UsageRow
from gateway.generations.model import MediaKind, State
from gateway.generations.stores import Filter, StoredCredentials, StoreError
from gateway.store.codec import Row

log = logging.getLogger(__name__)

TO_BE_COPIED, TO_BE_REMOVED = 0, 3
"""The `state` of a file that is to be copied to the archive, or removed from it."""
# The columns that have the name and the value of a field.
_CALLBACK = (
    "id", "tenant", "url", "idempotency_key", "fingerprint", "create_time", "position", "problem_status",
    "problem_time", "failing_since", "failed_at", "streak", "held_until",
)  # fmt: skip
_DELIVERY = (
    "callback_id", "generation_id", "revision", "create_time", "next_at", "attempts", "refusals", "http_status",
    "last_attempt_time",
)  # fmt: skip
_CREATION = ("id", "tenant", "fingerprint", "account", "name", "sent_date", "sent_at")
_AGENT_KEY = ("tenant", "key", "fingerprint", "session_id", "used_at")
_LIMITS = ("credits_per_day", "credits_per_month", "submissions_per_minute", "in_flight", "concurrency_share")
_USE = (
    "minute", "submissions", "running", "day", "day_reserved", "day_spent", "month_reserved", "month_spent",
)  # fmt: skip


def _filter_text(wanted: Filter) -> str:
    content = {
        "labels": dict(wanted.labels),
        "models": sorted(wanted.model_ids),
        "states": sorted(state.value for state in wanted.states),
    }
    return json.dumps(content, ensure_ascii=False)


def _filter_of(text: str) -> Filter:
    content = json.loads(text)
    return Filter(
        states=frozenset(State(number) for number in content["states"]),
        model_ids=frozenset(content["models"]),
        labels=content["labels"],
    )


def api_key_row(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "hash": key.hash,
        "create_time": key.create_time,
        "scopes": " ".join(sorted(key.scopes)),
        "expire_time": key.expire_time,
    }


def api_key_of(row: Row) -> ApiKey:
    return ApiKey(
        row["id"],
        sys.intern(row["tenant"]),
        row["name"],
        row["hash"],
        row["create_time"],
        row["revoke_time"],
        _scopes_of(row["scopes"]),
        row["expire_time"],
    )


def credentials_of(row: Row) -> StoredCredentials:
    return StoredCredentials(row["id"], row["account"], row["tenant"], bytes(row["sealed"]), row["create_time"])


@functools.cache
def _scopes_of(text: str) -> frozenset[Scope]:
    """Return one set for all keys with these scopes, because there may be 100,000 keys."""
    return frozenset(map(Scope, text.split()))


def _fields(value: object, names: Sequence[str]) -> dict[str, object]:
    return {name: getattr(value, name) for name in names}


def _columns(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def callback_row(callback: Callback) -> dict[str, object]:
    return _fields(callback, _CALLBACK) | {
        "wanted": _filter_text(callback.wanted),
        "every_change": callback.every_change,
        "paused": callback.paused,
        "problem": None if callback.problem is None else callback.problem.value,
    }


def callback_of(row: Row) -> Callback:
    return Callback(
        **(_columns(row, _CALLBACK) | {"fingerprint": bytes(row["fingerprint"])}),
        wanted=_filter_of(row["wanted"]),
        every_change=bool(row["every_change"]),
        paused=bool(row["paused"]),
        problem=_problem_of(row),
    )


def delivery_row(delivery: Delivery) -> dict[str, object]:
    problem = None if delivery.problem is None else delivery.problem.value
    return _fields(delivery, _DELIVERY) | {"state": delivery.state.value, "problem": problem}


def delivery_of(row: Row) -> Delivery:
    return Delivery(**_columns(row, _DELIVERY), state=DeliveryState(row["state"]), problem=_problem_of(row))


def _problem_of(row: Row) -> Problem | None:
    return None if row["problem"] is None else Problem(row["problem"])


def copy_row(copy: Copy) -> dict[str, object]:
    return copy.fields | {
        "url": copy.url,
        "key": copy.key,
        "content_type": copy.content_type,
        "archive": copy.archive,
        "expire_time": copy.expire_time,
    }


def copy_state(copy: Copy) -> int:
    return TO_BE_REMOVED if copy.remove else TO_BE_COPIED


def copy_of(row: Row) -> Copy:
    return Copy(
        generation_id=row["generation_id"],
        part=Part(row["output"], bool(row["preview"])),
        url=row["url"],
        key=row["key"],
        content_type=row["content_type"],
        archive=row["archive"],
        expire_time=row["expire_time"],
        attempts=row["attempts"],
        remove=row["state"] == TO_BE_REMOVED,
    )


def creation_row(creation: Creation) -> dict[str, object]:
    return _fields(creation, _CREATION) | {
        "idempotency_key": creation.key,
        "version": creation.version.value,
        "known": json.dumps(sorted(creation.known)),
    }


def creation_of(row: Row) -> Creation:
    try:
        return Creation(
            **(_columns(row, _CREATION) | {"fingerprint": bytes(row["fingerprint"])}),
            key=row["idempotency_key"],
            version=SoulVersion(row["version"]),
            known=frozenset(json.loads(row["known"])),
            character_id=row["character_id"] or "",
        )
    except (ValueError, TypeError) as error:
        raise StoreError("a character in it cannot be read: the store is corrupt") from error


def agent_key_row(record: KeyRecord) -> dict[str, object]:
    return _fields(record, _AGENT_KEY) | {"after_message_id": record.after}


def agent_key_of(row: Row) -> KeyRecord:
    return KeyRecord(**_columns(row, (*_AGENT_KEY, "message_id")), after=row["after_message_id"])


def limits_row(limits: Limits) -> dict[str, object]:
    return _fields(limits, _LIMITS) | {"models": encode_models(limits.models)}


def use_row(use: Use) -> dict[str, object]:
    return _fields(use, _USE)


def subject_limits_of(row: Row) -> SubjectLimits:
    limits = Limits(**_columns(row, _LIMITS), models=decode_models(row["models"]))
    return SubjectLimits(row["tenant"], row["subject"], limits, Use(**_columns(row, _USE)))


async def catalog_row(account: str, origin: str, name: str, catalog: StoredCatalog) -> dict[str, object]:
    """Encode the items in a thread, because they may be megabytes."""
    return {
        "account": account,
        "origin": origin,
        "name": name,
        "items": await asyncio.to_thread(pack_items, catalog.items),
        "fetched_at": catalog.fetched_at,
        "fetch_time": catalog.fetch_time,
    }


async def catalog_of(name: str, row: Row | None) -> StoredCatalog | None:
    """Return None also for a catalog that cannot be read, so that it is fetched again."""
    if row is None:
        return None
    try:
        items = await asyncio.to_thread(unpack_items, name, row["items"])
    except (ValueError, LookupError, TypeError, AttributeError):
        log.warning("a stored catalog cannot be read; fetching it again", extra={"catalog": name})
        return None
    return StoredCatalog(items, row["fetched_at"], row["fetch_time"])


def usage_values(query: UsageQuery) -> dict[str, object]:
    """Return the parameters of the statement."""
    by = set(query.by)
    return {
        "oldest": oldest_id(query.since),
        "since": query.since,
        "until": query.until,
        "of_tenant": query.tenant,
        "by_day": DAY in by,
        "by_tenant": TENANT in by,
        "by_key": KEY in by,
        "by_model": MODEL in by,
        "label": query.label,
        # Each group has a row for each of its states.
        "most": (MAX_GROUPS + 1) * len(State),
    }


def usage_of(row: Row) -> UsageRow:
    """Return the usage in a row."""
    return UsageRow(**(_columns(row, UsageRow._fields) | {"state": State(row["state"])}))


def pack_items(items: Sequence[Item]) -> str:
    return json.dumps([asdict(item) for item in items], ensure_ascii=False)


def unpack_items(name: str, text: str) -> tuple[Item, ...]:
    return tuple(_item(name, item) for item in json.loads(text))


def _item(name: str, stored: dict[str, Any]) -> Item:
    if name == MODELS:
        listing = _listing(stored["listing"])
        return Model(stored["id"], MediaKind(stored["kind"]), tuple(stored["tasks"]), stored["schema"], listing)
    kind = Motion if name == MOTIONS else Preset if name.startswith(PRESETS) else SoulStyle
    return kind(**stored)


def _listing(stored: dict[str, Any]) -> Listing:
    change = None if stored["change"] is None else Change(stored["change"])
    return Listing(**(stored | {"change": change, "details": tuple(stored["details"])}))
