"""Plausible mistakes, each of which a test builds into a gateway process; see `tests.support.forked`."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gateway.errors import Failure, GatewayError, Reason
from gateway.generations import state
from gateway.generations.model import Generation, IdempotencyKey, Moment, RequestId, State, StatusReport
from gateway.generations.ports import MaybeTaken, Outcome
from gateway.generations.state import OwnerDied, Unsent
from gateway.generations.stores import Claim, Claimed
from gateway.generations.watching.feed import Entry
from gateway.generations.watching.watch import Watches
from gateway.higgsfield.client import HiggsfieldClient
from gateway.store.sqlite.claims import SqliteClaims


def retries_under_a_fresh_key() -> None:
    submit = HiggsfieldClient.submit

    async def impatient(self: HiggsfieldClient, request: Any, may_send: Callable[[], bool]) -> Outcome:
        outcome = await submit(self, request, may_send)
        if isinstance(outcome, MaybeTaken):
            fresh = {**request.headers, "idempotency-key": secrets.token_hex(16)}
            outcome = await submit(self, replace(request, headers=fresh), may_send)
        return outcome

    HiggsfieldClient.submit = impatient  # type: ignore[method-assign]


def accepts_a_key_twice() -> None:
    claim_once = SqliteClaims.claim

    async def claim_always(self: SqliteClaims, claim: Claim) -> Claimed:
        spec = claim.generation.spec
        fresh = replace(spec, idempotency_key=IdempotencyKey(f"{spec.idempotency_key}-{secrets.token_hex(4)}"))
        return await claim_once(self, replace(claim, generation=replace(claim.generation, spec=fresh)))

    SqliteClaims.claim = claim_always  # type: ignore[method-assign]


def treats_a_poll_error_as_a_failure() -> None:
    status = HiggsfieldClient.status

    async def hasty(
        self: HiggsfieldClient, generation: Generation, request_id: RequestId | None = None
    ) -> StatusReport | None:
        try:
            return await status(self, generation, request_id)
        except GatewayError:
            failure = Failure(Reason.GENERATION_FAILED, "no status")
            return StatusReport(generation.request_id, "failed", State.FAILED, failure=failure)

    HiggsfieldClient.status = hasty  # type: ignore[method-assign]


def trusts_unsigned_webhooks() -> None:
    from gateway.web import webhook

    checked = webhook._parse_v2_webhook

    def gullible(request: Any, body: bytes, generation: Generation, proofs: webhook.Proofs) -> Any:
        delivery = checked(request, body, generation, proofs)
        return delivery and replace(delivery, report=proofs.parse(body))

    webhook._parse_v2_webhook = gullible


def watches_from_memory_alone() -> None:
    async def newest(self: Watches, entry: Entry, after: int) -> Sequence[Generation]:
        return [entry.generation]

    Watches._history = newest  # type: ignore[method-assign]


def forgets_open_attempts_after_a_crash() -> None:
    def unsent(generation: Generation, observation: OwnerDied, moment: Moment) -> Generation | None:
        if generation.marker != observation.marker:
            return None
        return generation.evolve(moment, **state._changes_without_attempt(generation))

    state._APPLY[OwnerDied] = unsent
    state.TRANSITIONS[OwnerDied] = state.TRANSITIONS[Unsent]


MISTAKES: dict[str, Callable[[], None]] = {
    mistake.__name__: mistake
    for mistake in (
        retries_under_a_fresh_key,
        accepts_a_key_twice,
        treats_a_poll_error_as_a_failure,
        trusts_unsigned_webhooks,
        watches_from_memory_alone,
        forgets_open_attempts_after_a_crash,
    )
}
