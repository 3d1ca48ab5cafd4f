"""The use cases of generations, and `observe`, which makes every change but the marker before a POST."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from weakref import WeakValueDictionary

from gateway import tracing
from gateway.errors import (
    Failure,
    GatewayError,
    Reason,
    Violation,
    gateway_unavailable,
    invalid_field,
    invalid_input,
    key_reused,
    not_cancelable,
    not_done,
    or_unavailable,
    raise_if_invalid,
    upstream_unavailable,
)
from gateway.frozen import frozen
from gateway.generations import read_back
from gateway.generations.accounts import Accounts
from gateway.generations.admission.admissions import Admissions
from gateway.generations.clock import Ids
from gateway.generations.inputs import Input, fingerprint, is_same, only_v1, traits, violations
from gateway.generations.journal import Caller, caller, log_state_change
from gateway.generations.limits.budgets import Budgets
from gateway.generations.limits.model import LimitExceededError, UnpricedError
from gateway.generations.limits.prices import Price
from gateway.generations.model import (
    Generation,
    GenerationId,
    IdempotencyKey,
    Source,
    Spec,
    State,
    StatusReport,
    UpstreamKey,
    Wall,
)
from gateway.generations.polling.rate_limit import PollLimits, no_status_calls, recorded
from gateway.generations.ports import Clock, Estimate, InputCheck, Prepared, Upstream
from gateway.generations.reads import Reads
from gateway.generations.removals import Removals
from gateway.generations.sender import Sender
from gateway.generations.state import CancelAsked, Marked, Observation, Reported, advance, contradicts, step
from gateway.generations.stores import (
    ChangeLog,
    Claim,
    Claimed,
    ClaimStore,
    DeletionStore,
    Filter,
    GenerationStore,
    UnconfirmedError,
    or_store_unavailable,
)
from gateway.generations.watching.feed import Feed
from gateway.generations.webhooks.addresses import WebhookAddresses

log = logging.getLogger(__name__)

Warn = Callable[[Sequence[Violation]], None]

Refuses = Callable[[str, Input, str], Sequence[Violation]]
BoundTo = Callable[[str, Input], str | None]

MAX_WAITING = 10_000
"""Generations of a tenant that may wait unsent; beyond that its submissions are refused as overload."""
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""The size of their inputs in bytes, likewise: they are held in memory."""
COMMIT_WAIT_TIMEOUT = 5.0
"""Seconds for which a call waits for the outcomes of earlier commits."""

ESTIMATE_REFUSALS = (
    Reason.INPUT_REFUSED, Reason.MODEL_UNKNOWN, Reason.MODEL_UNAVAILABLE, Reason.UPSTREAM_CREDENTIALS_REFUSED,
    Reason.INSUFFICIENT_CREDITS,
)  # fmt: skip
"""The reasons with which Higgsfield may refuse an estimate; EstimateGeneration documents them."""


def _ignore(_: Sequence[Violation]) -> None:
    """Discard warnings."""


@frozen
class Submission:
    """A submission of a caller. `message` is the encoded input as it was sent; times are in seconds."""

    given: Input
    message: bytes
    key: IdempotencyKey
    labels: dict[str, str]
    start_timeout: float | None = None
    fail_when_saturated: bool = False
    outputs_ttl: float | None = None
    key_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Headers that are sent to Higgsfield with it."""
    callback_url: str = field(default="", repr=False)
    warn: Warn = _ignore
    """Called with possible problems of an input that is submitted nevertheless."""


class Generations(Reads):
    """The use cases. They raise GatewayError.

    While it is `draining`, no submission is sent. New ones are still stored for the next leader until `refusing`.

    `contradictions` counts reports of another final state than the stored one.
    """

    def __init__(
        self,
        *,
        claims: ClaimStore,
        generations: GenerationStore,
        change_log: ChangeLog,
        deletions: DeletionStore,
        upstream: Upstream,
        accounts: Accounts,
        clock: Clock,
        feed: Feed,
        admissions: Admissions,
        sender: Sender,
        webhook_addresses: WebhookAddresses,
        removals: Removals,
        budgets: Budgets,
        poll_limits: PollLimits,
        check: InputCheck,
        refuses: Refuses,
        bound_to: BoundTo,
    ) -> None:
        """`refuses` returns further problems of a tenant's input and `callback_url`, without making a call.

        `bound_to` returns the credentials of the only account that can serve a tenant's input; None if any can.
        """
        super().__init__(generations, change_log, feed, clock)
        self._claims = claims
        self._deletions = deletions
        self._upstream = upstream
        self._accounts = accounts
        self._admissions = admissions
        self._sender = sender
        self._webhook_addresses = webhook_addresses
        self._removals = removals
        self._budgets = budgets
        self._poll_limits = poll_limits
        self._check = check
        self._refuses = refuses
        self._bound_to = bound_to
        self._ids = Ids()
        self._submitting: WeakValueDictionary[tuple[str, IdempotencyKey], asyncio.Lock] = WeakValueDictionary()
        self._canceled_by: dict[GenerationId, Caller | None] = {}
        """Who asked Higgsfield to cancel a generation that has not ended yet."""
        self.contradictions = 0
        self.refusing = False

    async def submit(self, tenant: str, submission: Submission) -> tuple[Generation, bool]:
        """Store a submission and start to send it. Also return whether its idempotency key was used before.

        Returns as soon as it is stored; use `wait` for the outcome.
        """
        wrong = violations(submission.given)
        if submission.outputs_ttl is not None and (field := only_v1(submission.given)) is not None:
            wrong.append(
                Violation("outputs_ttl", f"Higgsfield's v1 API, which {field} needs, cannot keep them shorter")
            )
        if wrong:
            raise invalid_input(wrong)
        if self.refusing:
            raise gateway_unavailable("the gateway is shutting down")
        # From here on a drain waits for it, even if the caller leaves.
        return await self._sender.tasks.finish(self._submit_in_turn(tenant, submission))

    async def _submit_in_turn(self, tenant: str, submission: Submission) -> tuple[Generation, bool]:
        """Submit after the earlier calls with this key.

        Otherwise an earlier call whose claim is repeated could come after a later one whose refusal has freed the key.
        """
        async with self._submitting.setdefault((tenant, submission.key), asyncio.Lock()):
            return await self._submit(tenant, submission)

    async def page(
        self, tenant: str, wanted: Filter, before: str | None, limit: int
    ) -> tuple[Sequence[Generation], str | None]:
        """Return a page as `Reads.page` does. A lookup by key first waits for the submissions with that key.

        Their callers may have left. If none were found, the caller would submit again with another key.
        """
        submitting = self._submitting.get((tenant, IdempotencyKey(wanted.idempotency_key)))
        if submitting is not None:
            async with submitting:
                pass
        found, last = await super().page(tenant, wanted, before, limit)
        if wanted.idempotency_key and not found:
            await self._await_commits()
            found, last = await super().page(tenant, wanted, before, limit)
        return found, last

    async def _submit(self, tenant: str, submission: Submission, attempts: int = 1) -> tuple[Generation, bool]:
        """Validate, price and claim a submission; see `submit`.

        `attempts` is 2 in the second attempt, which follows if the store has a budget that this process did not know.
        """
        given = submission.given
        refused = [*await self._refused(given, submission.warn), *self._refuses(tenant, given, submission.callback_url)]
        if refused:
            return await self._taken_before(tenant, submission, invalid_input(refused))
        await self._budgets.learn_time()  # before the account is chosen, which might be removed meanwhile
        create_time = self._clock.moment().wall
        key = UpstreamKey(self._ids.next(create_time))
        webhook, token_hash = self._webhook_addresses.new() or (None, None)
        prepared = self._upstream.prepare(
            submission.given, key, submission.outputs_ttl, webhook, self._account(tenant, submission.given, key)
        )
        whose = (tenant, submission.key_id, submission.labels)
        price: Price | None = None
        if self._budgets.is_limited(tenant):
            try:
                self._budgets.check_model(*whose, prepared.model_id)
                if self._budgets.needs_price(*whose):
                    wanted = fingerprint(submission.given, submission.outputs_ttl)
                    claimed = await or_store_unavailable(self._claims.known(tenant, submission.key, wanted))
                    if claimed is not None:  # Higgsfield may not respond, and the generation has its price
                        return self._claimed(claimed, submission)
                    price = await self._price(submission, prepared)
                    self._budgets.check_model(*whose, prepared.model_id)  # the limits may have been changed meanwhile
            except GatewayError as error:
                return await self._taken_before(tenant, submission, error)
            if price is not None and not self._upstream.reaches(prepared.request.account, prepared.request.origin):
                # The account was removed while the price was asked for.
                return await self._submit(tenant, submission, attempts)
        claim = self._claim(tenant, submission, prepared, create_time, token_hash=token_hash, price=price)
        if claim.generation.marker is None:
            await self._check_may_wait(claim, submission)
        try:
            return self._claimed(await self._sender.claim(claim), submission)
        except UnconfirmedError as error:
            raise gateway_unavailable(
                "the store did not confirm the submission: call again with the same idempotency_key"
            ) from error
        except LimitExceededError as error:
            raise self._budgets.refusal(error.exceeded) from error
        except UnpricedError:
            if price is not None or attempts > 1:
                raise
            # A budget is stored whose commit had an unknown outcome.
            await self._budgets.refresh(tenant)
            return await self._submit(tenant, submission, attempts + 1)

    async def _price(self, submission: Submission, prepared: Prepared) -> Price:
        """Return the price of a submission. Raises GatewayError."""
        try:
            return await or_unavailable(
                self._budgets.prices.of(submission.given, prepared), Reason.PRICE_UNKNOWN, *ESTIMATE_REFUSALS
            )
        except GatewayError as error:
            now = self._clock.moment().steady
            self._admissions.note_refusal(prepared.request.account, error.failure.reason, now)
            raise

    async def _taken_before(
        self, tenant: str, submission: Submission, refusal: GatewayError
    ) -> tuple[Generation, bool]:
        """Return the generation of a known key, even if it would be refused today; else raise the refusal.

        It only reads: an input that is refused must not claim a key.
        """
        wanted = fingerprint(submission.given, submission.outputs_ttl)
        claimed = await self._known(tenant, submission.key, wanted)
        if claimed is None:
            raise refusal
        return self._claimed(claimed, submission)

    async def _known(self, tenant: str, key: IdempotencyKey, fingerprint: bytes) -> Claimed | None:
        """Return what a key was used for; None if nothing was submitted with it, and no earlier call will be stored."""
        claimed = await or_store_unavailable(self._claims.known(tenant, key, fingerprint))
        if claimed is None:
            await self._await_commits()
            claimed = await or_store_unavailable(self._claims.known(tenant, key, fingerprint))
        return claimed

    async def _await_commits(self) -> None:
        """Return when no earlier commit has an unknown outcome any more. Raises GATEWAY_UNAVAILABLE.

        An earlier call with a key may have failed because its outcome is unknown, and be stored and charged later.
        """
        try:
            async with asyncio.timeout(COMMIT_WAIT_TIMEOUT):
                await or_store_unavailable(self._change_log.announced())
        except TimeoutError:
            raise gateway_unavailable("it is not known yet whether earlier submissions are stored") from None

    async def cancel(self, tenant: str, generation_id: GenerationId) -> Generation:
        """Cancel a generation, or raise NOT_CANCELABLE. If a POST is under way, wait for its outcome first."""
        generation = await self.get(tenant, generation_id)
        if generation.state is State.PENDING:
            generation = await self._cancel_pending(generation)
        if generation.state is State.QUEUED:
            generation = await self._cancel_queued(generation)
        if generation.state is State.CANCELED:
            return generation
        raise not_cancelable(generation_id, generation.state.name, _why_not(generation))

    async def estimate(self, tenant: str, given: Input, warn: Warn = _ignore) -> Estimate:
        """Return the price of an input for the account of its character, or else for the tenant's first one."""
        raise_if_invalid(violations(given) or [*await self._refused(given, warn), *self._refuses(tenant, given, "")])
        if (field := only_v1(given)) is not None:
            raise invalid_field(field, "needs Higgsfield's v1 API, which has no estimates")
        account = self._bound_to(tenant, given) or self._accounts.first(tenant)
        return await or_unavailable(self._upstream.estimate(given, account), *ESTIMATE_REFUSALS)

    async def delete(self, tenant: str, generation_id: GenerationId) -> bool:
        """Delete an ended generation, and its data at Higgsfield if possible. Return whether that was possible."""
        try:
            generation = await self.get(tenant, generation_id)
        except GatewayError:
            if await or_store_unavailable(self._deletions.deleted(tenant, generation_id)) is None:
                raise
        else:
            if not generation.done:
                raise not_done(generation_id, generation.state.name)
            await self._sender.tasks.finish(self._delete(generation))
        # If the caller leaves now, `Removals.run` continues: a caller must not cause any number of requests at once.
        return await self._remove_upstream(tenant, generation_id)

    async def _delete(self, generation: Generation) -> None:
        """Delete a generation in the gateway first: data that may be gone at Higgsfield must not be shown."""
        spec = generation.spec
        at_upstream = spec.api == "v2" and self._upstream.can_delete(spec.account, spec.origin)
        steady = self._clock.moment().steady
        try:
            await or_store_unavailable(self._deletions.delete(generation, at_upstream=at_upstream, steady=steady))
        finally:
            self._removals.wake()  # it may be stored even if the write failed

    async def _remove_upstream(self, tenant: str, generation_id: GenerationId) -> bool:
        """Remove the data of a deleted generation at Higgsfield, unless Higgsfield has confirmed that or cannot."""
        removal = await or_store_unavailable(self._deletions.removal(generation_id))
        # Without its credentials nothing can be removed, and a caller that retries would never get another answer.
        if removal is not None and self._upstream.can_delete(removal.account, removal.origin):
            await or_store_unavailable(or_unavailable(self._removals.remove(removal)))
        return bool(await or_store_unavailable(self._deletions.deleted(tenant, generation_id)))

    async def observe(self, generation: Generation, observation: Observation) -> Generation:
        """Apply an observation to a generation, and return the result.

        Only the sender changes generations without it: it stores the marker before a POST.

        If another write comes first, the observation is applied to what it left. Raises UnconfirmedError and
        RequestIdTakenError.
        """
        while True:
            after = advance(generation, observation, self._clock.moment())
            if after is None:
                if contradicts(generation, observation):
                    self.contradictions += 1
                    log.error(
                        "Higgsfield reports another final state than before; the first one is kept",
                        extra={"generation_id": generation.id, "state": generation.state.name},
                    )
                return generation
            if generation.request_id and (polls := self._feed.entries.polls(after.id)) > after.polls:
                after = replace(after, polls=polls)  # the number that watchers are shown
            with tracing.step("store change"):
                if after.done and after.id in self._canceled_by:
                    saved = await self._save_end(generation, after, observation)
                else:
                    saved = await read_back.save(self._generations, generation, after, step(observation))
            if saved:
                if after.done:
                    self._canceled_by.pop(after.id, None)
                log_state_change(generation, after)
                return after
            again = await self._generations.get(generation.tenant, generation.id)
            if again is None:
                return generation
            generation = again

    async def _save_end(self, before: Generation, after: Generation, observation: Observation) -> bool:
        """Store an end that a caller has asked for. A cancellation is the caller's act, whatever reports it first.

        At the start_timeout it is the gateway's, because Higgsfield had not canceled it for the caller. What an
        operator declares LOST is the operator's act.
        """
        source = Source.CANCEL if after.state is State.CANCELED else None
        late = after.failure is not None and after.failure.reason is Reason.START_TIMEOUT_EXCEEDED
        asked = None if late else self._canceled_by[after.id]
        served = caller.set(caller.get() if after.source is Source.OPERATOR else asked)
        try:
            return await read_back.save(self._generations, before, after, step(observation, source))
        finally:
            caller.reset(served)

    def _claim(
        self,
        tenant: str,
        submission: Submission,
        prepared: Prepared,
        create_time: Wall,
        *,
        token_hash: bytes | None,
        price: Price | None,
    ) -> Claim:
        """Return what is stored for a submission. Its generation is marked if it can be sent at once.

        `create_time` is the time of the id, also after a slow estimate: lists are sorted by id, and filtered by time.
        """
        moment = self._clock.moment()
        generation_id = GenerationId(prepared.request.key)
        start = submission.start_timeout
        spec = Spec(
            id=generation_id,
            tenant=tenant,
            model_id=prepared.model_id,
            api=prepared.api,
            account=prepared.request.account,
            origin=prepared.request.origin,
            input=submission.message,
            labels=submission.labels,
            idempotency_key=submission.key,
            create_time=Wall(round(create_time, 6)),  # the precision that callers see and filter by
            created_at=moment.steady,
            weight=prepared.weight,
            token_hash=token_hash,
            start_by=None if start is None else moment.after(start),
            fail_when_saturated=submission.fail_when_saturated,
            traceparent=tracing.traceparent(),
            traits=traits(submission.given, self._check.kind(prepared.model_id)),
            key_id=submission.key_id,
            callback_url=submission.callback_url,
        )
        if price is not None:
            spec = replace(spec, price=price.millionths, estimated_credits=price.credits, estimated_usd=price.usd)
        admission = self._admissions.of(spec.account)
        delay = admission.delay_for(tenant, prepared.weight, moment.steady)
        generation = Generation(spec, delay=delay, update_time=moment.wall)
        if delay is None and not self.draining:
            admission.reserve(generation_id, tenant, prepared.weight, moment.steady)
            marked = advance(generation, Marked(self._sender.owner), moment)
            assert marked is not None
            generation = marked
        asked_for = fingerprint(submission.given, submission.outputs_ttl)
        request = prepared.request
        if submission.headers:
            request = replace(request, headers={**submission.headers, **request.headers})
        return Claim(generation, request, asked_for, self._budgets.submission_time(moment))

    async def _check_may_wait(self, claim: Claim, submission: Submission) -> None:
        """Raise if a submission would have to wait and may not, because of its caller or of the tenant's limits.

        A known key is exempt, because it is no new work.
        """
        delay = claim.generation.delay
        saturated = delay is not None and delay.reason is Reason.UPSTREAM_SATURATED
        refused_by = delay if submission.fail_when_saturated and saturated else None
        spec = claim.generation.spec
        waiting, size = self._admissions.waiting_of(spec.tenant), self._admissions.bytes_of(spec.tenant)
        if refused_by is None and waiting < MAX_WAITING and size + len(spec.input) <= MAX_WAITING_BYTES:
            return
        if await self._known(spec.tenant, spec.idempotency_key, claim.fingerprint) is not None:
            return
        if refused_by is not None:
            why = refused_by.message.removeprefix("waiting: ")
            message = f"{why}, and the call set fail_when_saturated: nothing was submitted"
            raise GatewayError(Failure(Reason.UPSTREAM_SATURATED, message, retryable=True, retry_after=5.0))
        raise GatewayError(
            Failure(Reason.GATEWAY_OVERLOADED, "the gateway's queue is full", retryable=True, retry_after=30.0)
        )

    def _account(self, tenant: str, given: Input, generation_id: str) -> str:
        """Return the credentials that a new generation is sent with."""
        candidates = self._accounts.candidates(tenant, generation_id)
        if len(candidates) == 1:
            return candidates[0]
        bound = self._bound_to(tenant, given)
        if bound is not None:
            return bound
        now = self._clock.moment().steady
        usable = (account for account in candidates if not self._admissions.of(account).is_refused(now))
        return next(usable, candidates[0])

    async def _refused(self, given: Input, warn: Warn) -> Sequence[Violation]:
        """Return what the model's schema refuses; warn of what it only doubts."""
        checked = await self._check.check(given)
        if checked.warnings:
            warn(checked.warnings)
        return checked.violations

    def _claimed(self, claimed: Claimed, submission: Submission) -> tuple[Generation, bool]:
        conflict = claimed.conflict and not is_same(claimed.fingerprint, submission.given, submission.outputs_ttl)
        if conflict or claimed.generation is None:
            raise key_reused(claimed.generation_id, deleted=claimed.deleted)
        if claimed.new:
            log_state_change(None, claimed.generation)
            return claimed.generation, False
        live = self.live(claimed.generation.tenant, claimed.generation_id)
        return (claimed.generation if live is None else live.generation), True

    async def _cancel_pending(self, generation: Generation) -> Generation:
        """Cancel an unsent generation. If its POST is under way, store the request and wait for the outcome."""
        generation = await self._observe_for_caller(generation, CancelAsked())
        if generation.state is not State.PENDING:
            return generation
        generation = await self.wait(
            generation.tenant, generation.id, lambda g: g.state is not State.PENDING, seconds=None
        )
        if generation.state is State.PENDING:
            raise gateway_unavailable("the gateway is shutting down; the cancellation is stored")
        return generation

    async def _cancel_queued(self, generation: Generation) -> Generation:
        """Ask Higgsfield to cancel. Only the status afterwards is conclusive."""
        silence: GatewayError | None = None
        self._canceled_by.setdefault(generation.id, caller.get())
        try:
            await self._upstream.cancel(generation)
        except GatewayError as error:
            silence = error
        report = await self._status(generation)
        if report is not None:
            generation = await self._observe_for_caller(generation, Reported(report, Source.CANCEL))
        elif self._upstream.reaches(generation.spec.account, generation.spec.origin):
            # Just after a submission Higgsfield may not show the request yet. It may have been canceled all the same.
            silence = silence or upstream_unavailable("Higgsfield does not show the request now: call again")
        if silence is not None and generation.state is State.QUEUED:
            raise silence
        return generation

    async def _observe_for_caller(self, generation: Generation, observation: Observation) -> Generation:
        """Observe, and finish that even if the caller leaves: what follows the commit must not be left out."""
        return await or_store_unavailable(self._sender.tasks.finish(self.observe(generation, observation)))

    async def _status(self, generation: Generation) -> StatusReport | None:
        """Ask for the status now, unless a Retry-After forbids it.

        A cancellation is urgent, so the call does not wait for its turn at a limited rate.
        """
        limit = self._poll_limits[generation.spec.account]
        if pause := limit.closed_for(self._clock.moment().steady):
            raise no_status_calls(pause)
        return await or_unavailable(recorded(limit, self._clock, self._upstream.status(generation)))


def _why_not(generation: Generation) -> str:
    if generation.state is State.UNCERTAIN:
        canceled = generation.cancel_requested and generation.spec.api == "v2"
        note = "; it will be canceled if it turns out to be queued" if canceled else ""
        return f"it is not known whether Higgsfield runs it{note}"
    if generation.done:
        return f"it has ended already: {generation.state.name}"
    if generation.state is State.QUEUED and generation.spec.api == "v1":
        return "Higgsfield did not cancel it, and documents no cancel call for its v1 API"
    if generation.state is State.QUEUED:
        return "Higgsfield did not cancel it"
    return "it is running: too late to cancel"
