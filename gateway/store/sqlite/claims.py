"""The port `ClaimStore` on SQLite."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from gateway.generations.limits.model import LimitExceededError, UnpricedError, first_exceeded
from gateway.generations.model import IdempotencyKey
from gateway.generations.stores import Claim, Claimed, RequestIdTakenError, Saved, StoreError
from gateway.store.codec import generation_of, progress_row, request_row, shown, spec_row
from gateway.store.sqlite import change_log, limits
from gateway.store.sqlite.database import StorePart, append_entry
from gateway.store.sqlite.writer import Effect
from gateway.store.statements import execute


def has_request(connection: sqlite3.Connection, sql: Mapping[str, str], request_id: str, generation_id: str) -> bool:
    """Return whether a request belongs to another generation, also under other credentials, or is being removed."""
    named = {"request_id": request_id, "id": generation_id}
    return connection.execute(sql["has_request"], named).fetchone() is not None


class SqliteClaims(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    async def claim(self, claim: Claim) -> Claimed:
        spec = claim.generation.spec
        text = shown(claim.generation)
        entry = self._auditor.claim(claim)

        def write(connection: sqlite3.Connection) -> Effect:
            """Return the change as the result, None if the key is used, or the error that refuses the claim."""
            sql = self._sql
            request_id = claim.generation.request_id
            if request_id and has_request(connection, sql, request_id, spec.id):
                return RequestIdTakenError(request_id), None
            key = {
                "tenant": spec.tenant,
                "key": spec.idempotency_key,
                "generation_id": spec.id,
                "fingerprint": claim.fingerprint,
                "used_at": spec.created_at,
            }
            limited = limits.applying(connection, sql, spec)
            if limited:
                named = {"tenant": spec.tenant, "key": spec.idempotency_key}
                if execute(connection, sql["read_key"], named).fetchone():
                    return None, None  # a repeat is never refused
                try:
                    over = first_exceeded(limited, spec.price, claim.submission_time) if claim.submission_time else None
                except UnpricedError as unpriced:
                    return unpriced, None
                if over is not None:
                    return LimitExceededError(over), None
            if execute(connection, sql["insert_key"], key).rowcount == 0:
                return None, None
            day = limits.reserve(connection, sql, claim, limited)
            row = spec_row(spec) | progress_row(claim.generation, text) | {"budget_day": day}
            execute(connection, sql["insert_generation"], row)
            if claim.request is not None:
                execute(connection, sql["insert_request"], request_row(spec.id, claim.request))
            append_entry(connection, sql, entry)
            change = change_log.append(connection, sql, claim.generation, text)
            return change, Saved(spec.id, claim.generation, change)

        result = await self._writer.write("claim", write, brief=True)
        if isinstance(result, Exception):
            raise result
        if result is not None:
            return Claimed(claim.generation, new=True, generation_id=spec.id)
        known = await self.known(spec.tenant, spec.idempotency_key, claim.fingerprint)
        if known is None:
            raise StoreError("the key was freed at the same time")  # the caller has to retry
        return replace(known, new=known.generation_id == spec.id)

    async def known(self, tenant: str, key: IdempotencyKey, fingerprint: bytes) -> Claimed | None:
        row = await self._one("read_key", tenant=tenant, key=key)
        if row is None:
            return None
        stored = await self._one("read_generation", id=row["generation_id"], tenant=tenant)
        generation = None if stored is None else generation_of(stored)
        used = bytes(row["fingerprint"])
        return Claimed(
            generation,
            new=False,
            generation_id=row["generation_id"],
            conflict=used != fingerprint,
            deleted=bool(row["deleted"]) or generation is None,
            fingerprint=used,
        )
