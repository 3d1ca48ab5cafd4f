"""The port `ClaimStore` on PostgreSQL."""

import json
from dataclasses import replace

import psycopg

from gateway.generations.limits.model import LimitExceededError, UnpricedError, first_exceeded, subjects_of
from gateway.generations.model import IdempotencyKey
from gateway.generations.stores import Claim, Claimed, RequestIdTakenError, StoreError, UnknownCommitError
from gateway.store.codec import generation_of, progress_row, request_row, shown, spec_row
from gateway.store.postgres import change_log
from gateway.store.postgres.database import Database, StorePart
from gateway.store.postgres.log_writer import CLAIM, MAY_BE_STORED, RESPONSE_LOST, UNPRICED, Job, LogWriter, Stored
from gateway.store.rows import subject_limits_of

NO_REQUEST = dict.fromkeys(
    ("account", "origin", "path", "query", "headers", "body", "key", "kind"),
)


class PostgresClaims(StorePart):
    """The methods are described in `gateway/generations/stores.py`."""

    def __init__(self, database: Database, writer: LogWriter) -> None:
        super().__init__(database)
        self._writer = writer

    async def claim(self, claim: Claim) -> Claimed:
        generation, spec = claim.generation, claim.generation.spec
        request = NO_REQUEST if claim.request is None else request_row(spec.id, claim.request)
        row = spec_row(spec) | progress_row(generation, shown(generation))
        submission_time = claim.submission_time
        row |= {
            "subjects": json.dumps(subjects_of(spec)),
            "limited": submission_time is not None,
            "day": "" if submission_time is None else submission_time.day,
            "minute": 0 if submission_time is None else submission_time.minute,
        }
        row |= {"audit": self._auditor.claim(claim)}
        row |= {"fingerprint": claim.fingerprint, "update_time": generation.update_time}
        row |= {f"request_{name}": request[name] for name in NO_REQUEST}
        job = Job(
            CLAIM, "claim", row, spec.id, lambda position: change_log.saved(generation, position),
            alone=bool(generation.request_id),  # its request id is compared with those of stored generations
        )  # fmt: skip
        try:
            result: Stored = await self._writer.write(job)
        except psycopg.IntegrityError as error:
            raise StoreError("the claim contradicts what is stored") from error
        if result.stored:
            return Claimed(generation, new=True, generation_id=spec.id)
        known = await self.known(spec.tenant, spec.idempotency_key, claim.fingerprint)
        if result.taken and (known is None or known.generation_id != spec.id):  # not by this claim, when it was lost
            raise RequestIdTakenError(generation.request_id)
        if known is None:
            await self._refuse(claim, result)
            raise StoreError("the key or the limit was freed at the same time")  # the caller has to retry
        return replace(known, new=known.generation_id == spec.id)

    async def _refuse(self, claim: Claim, result: Stored) -> None:
        """Raise the error of a claim that limits refused, if they still do."""
        spec, submission_time = claim.generation.spec, claim.submission_time
        if result.over == MAY_BE_STORED:
            raise UnknownCommitError(RESPONSE_LOST)
        if result.over == UNPRICED:
            raise UnpricedError
        if result.over and submission_time is not None:
            rows = await self._rows("read_limits_of", tenant=spec.tenant, subjects=list(subjects_of(spec)))
            over = first_exceeded([*map(subject_limits_of, rows)], spec.price, submission_time)
            if over is not None:
                raise LimitExceededError(over)

    async def known(self, tenant: str, key: IdempotencyKey, fingerprint: bytes) -> Claimed | None:
        row = await self._one("read_key", tenant=tenant, key=key)
        if row is None:
            return None
        generation = None if row["id"] is None else generation_of(row)
        return Claimed(
            generation,
            new=False,
            generation_id=row["used_by"],
            conflict=row["fingerprint"] != fingerprint,
            deleted=bool(row["deleted"]) or generation is None,
            fingerprint=row["fingerprint"],
        )
