"""Steps 2 and 3 of a submission: mark a generation as being sent, POST its prepared request once, store the outcome.

Submissions run in tasks of the sender. A caller's deadline or a closed connection ends the call, but no submission.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence

from gateway import tracing
from gateway.concurrency import OwnedTasks
from gateway.errors import GatewayError
from gateway.generations import due_steps, read_back
from gateway.generations.admission.admission import CREDENTIALS_PAUSE, MIN_PAUSE, PROBE_PAUSE
from gateway.generations.admission.admissions import Admissions
from gateway.generations.clock import jittered, sleep, spread
from gateway.generations.model import Generation, GenerationId, Marker, PreparedRequest, RequestId, State
from gateway.generations.ports import Clock, MaybeTaken, NotTaken, Outcome, Taken, Upstream
from gateway.generations.state import (
    UNRESOLVED,
    Accepted,
    Ambiguous,
    Marked,
    Observation,
    Postponed,
    Refused,
    Unsent,
    advance,
    receipt,
    step,
)
from gateway.generations.store_backoff import until_stored
from gateway.generations.stores import (
    Claim,
    Claimed,
    ClaimStore,
    GenerationStore,
    RequestIdTakenError,
    UnconfirmedError,
    UnknownCommitError,
)
from gateway.generations.trusted_time import TrustedTime

log = logging.getLogger(__name__)

STRAY_CANCEL_PAUSES = (0.0, 2.0, 8.0)
"""Seconds before each attempt to cancel a stray request. It can only be canceled while it is queued."""

Observe = Callable[[Generation, Observation], Awaitable[Generation]]


class Sender:
    """Marks and sends generations. `owner` is the random name of this process in the markers of its attempts.

    `tasks` are the submissions from before their first write until their outcome is stored; a drain awaits them.
    """

    def __init__(
        self,
        *,
        claims: ClaimStore,
        generations: GenerationStore,
        upstream: Upstream,
        clock: Clock,
        admissions: Admissions,
        trusted_time: TrustedTime,
    ) -> None:
        self.owner = secrets.token_hex(8)
        self.tasks = OwnedTasks()
        self._claims = claims
        self._generations = generations
        self._upstream = upstream
        self._clock = clock
        self._admissions = admissions
        self._trusted_time = trusted_time
        self._observe: Observe
        self._on_attempt_ended: Callable[[GenerationId], None]
        self._repeats_off: set[str] = set()
        self._attempts: set[str] = set()

    def connect(
        self, observe: Observe, on_attempt_ended: Callable[[GenerationId], None], repeats_off: frozenset[str]
    ) -> None:
        """Set the callbacks and the accounts for which Higgsfield was seen not to honour idempotency keys.

        `observe` applies an observation. `on_attempt_ended` is called with the id of a generation whose attempt has
        ended, if it or another one of its account may be sent: the outcome may have changed only the admission.
        """
        self._observe = observe
        self._on_attempt_ended = on_attempt_ended
        self._repeats_off |= repeats_off

    def repeats_off(self, account: str) -> bool:
        """Return whether ambiguous submissions with the account's keys must not be repeated; see `handle_stray`."""
        return any(self._admissions.accounts.same(other, account) for other in self._repeats_off)

    def is_attempting(self, generation_id: GenerationId) -> bool:
        """Return whether this process is making an attempt. A marker of this process without one led to no POST."""
        return generation_id in self._attempts

    async def claim(self, claim: Claim) -> Claimed:
        """Store a claim (step 1). If its generation is marked, that is step 2 as well, and it is sent.

        `TrustedTime.learn` must have been awaited before it was marked.

        Raises UnconfirmedError if the claim may not be stored; then nothing is sent, and the marker is taken back.
        """
        generation, marker = claim.generation, claim.generation.marker
        if marker is None or claim.request is None:
            with tracing.step("store submission"):
                return await read_back.claim(self._claims, claim)
        self._attempts.add(generation.id)
        try:
            with tracing.step("store submission"):
                claimed = await read_back.claim(self._claims, claim)
        except UnknownCommitError:
            self.tasks.start(self._take_marker_back(generation, marker, lambda: self._is_claimed(claim)))
            raise
        except BaseException:
            self._end_attempt(generation)
            raise
        self._send_if_marked(generation, marker, claim.request, marked=claimed.generation_id == generation.id)
        return claimed

    async def mark_and_send(self, generation: Generation) -> Generation | None:
        """Store the marker (step 2), then POST. Returns None if the generation has changed, or has no request.

        Raises UnconfirmedError if the marker may not be stored; see `claim`.
        """
        return await self.tasks.finish(self._mark_and_send(generation))

    async def _mark_and_send(self, generation: Generation) -> Generation | None:
        request = await self._generations.request(generation.id)
        if request is None:
            stored = await self._generations.any(generation.id)
            if stored is not None and stored.version == generation.version:
                log.error("the prepared request of a generation is missing, so it is not sent", extra=_ids(generation))
            return None  # otherwise it has ended, and that is not announced yet
        await self._trusted_time.learn()
        mark = Marked(self.owner)
        after = advance(generation, mark, self._clock.moment())
        if after is None or after.marker is None or self.is_attempting(generation.id):
            return None
        self._attempts.add(generation.id)
        try:
            marked = await read_back.save(self._generations, generation, after, step(mark))
        except UnknownCommitError:
            self.tasks.start(self._take_marker_back(after, after.marker, lambda: self._mark_again(generation, after)))
            raise
        except BaseException:
            self._end_attempt(after)
            raise
        self._send_if_marked(after, after.marker, request, marked=marked)
        return after if marked else None

    def _send_if_marked(
        self, generation: Generation, marker: Marker, request: PreparedRequest, *, marked: bool
    ) -> None:
        """Send a marked generation in a new task, or end the attempt if it was not marked."""
        if marked:
            self.tasks.start(self._send(generation, marker, request))
        else:
            self._end_attempt(generation)

    def _end_attempt(self, generation: Generation) -> None:
        """End an attempt that sent nothing."""
        self._attempts.discard(generation.id)
        self._admissions.of(generation.spec.account).release(generation.id)
        self._on_attempt_ended(generation.id)

    async def _take_marker_back(
        self, generation: Generation, marker: Marker, is_stored: Callable[[], Awaitable[bool]]
    ) -> None:
        """Find out whether a marker was stored, and take it back. A drain waits for that.

        Otherwise the next process would find the marker of another one, and could not know that nothing was sent.
        """
        named = _ids(generation)
        if await until_stored(self._clock, "the marker of an attempt", is_stored, **named):
            await self._settle(generation, Unsent(marker))
        self._end_attempt(generation)

    async def _mark_again(self, generation: Generation, after: Generation) -> bool:
        """Store a marker again, so that the first write cannot come later; return whether a marker is stored."""
        if await self._generations.save(generation, after, step(Marked(self.owner))):
            return True
        stored = await self._generations.any(after.id)
        return stored is not None and stored.marker == after.marker

    async def _is_claimed(self, claim: Claim) -> bool:
        """Return whether a claim is stored. It is not stored again: its caller was shown an error, and may be gone.

        If it is stored later, the follower takes its marker back.
        """
        spec = claim.generation.spec
        known = await self._claims.known(spec.tenant, spec.idempotency_key, claim.fingerprint)
        return known is not None and known.generation_id == spec.id

    async def attempts_ended(self) -> None:
        """Wait until no attempt is under way. Submissions that are only stored may continue."""
        while self._attempts and self.tasks:
            await asyncio.wait([*self.tasks])

    async def drained(self) -> None:
        """Wait until no submission is under way and every outcome is stored."""
        await self.tasks.drained()

    async def _send(self, generation: Generation, marker: Marker, request: PreparedRequest) -> None:
        """POST the request of a marked generation (step 2), and store the outcome (step 3)."""
        may_send = _SendCheck(self._clock, generation.send_by or 0.0)
        try:
            outcome = await self._upstream.submit(request, may_send)
        except Exception:
            # A defect of the gateway, possibly after the first byte: the outcome is unknown.
            log.exception(
                "internal error while sending a submission; its outcome is unknown",
                extra={"generation_id": generation.id},
            )
            outcome = MaybeTaken(UNRESOLVED, is_complete=False)
        if may_send.refused:
            self._admissions.of(generation.spec.account).release(generation.id)
            observation: Observation = Unsent(marker)
        else:
            self._update_admission(generation, outcome)
            observation = self._judge(generation, marker, outcome)
        try:
            after = await self._settle(generation, observation)
        except RequestIdTakenError:
            log.error("Higgsfield returned a request that belongs to another generation", extra=_ids(generation))
            after = await self._settle(generation, Ambiguous(marker, UNRESOLVED, due_steps.PAUSE_AFTER_SILENCE))
        # Only now, and not if `_settle` fails: an attempt that may have been sent must not look like none.
        self._attempts.discard(generation.id)
        if after.waiting or self._admissions.of(generation.spec.account).waiting:
            self._on_attempt_ended(generation.id)
        if isinstance(observation, Accepted):
            await self.handle_stray(generation, after, observation.report.request_id)

    def _judge(self, generation: Generation, marker: Marker, outcome: Outcome) -> Observation:
        """Return the observation for an outcome of the POST."""
        match outcome:
            case Taken(report):
                return Accepted(receipt(report))
            case NotTaken(failure, may_retry=True):
                pause = _pause(outcome)
                if outcome.was_reached:
                    pause = max(pause, _pause_after_refusal(generation))
                elif generation.ambiguous:
                    pause = max(pause, spread(due_steps.PAUSE_AFTER_SILENCE))
                return Postponed(marker, failure, pause, outcome.was_reached)
            case NotTaken(failure):
                return Refused(marker, failure, outcome.is_final, _pause_after_refusal(generation))
            case MaybeTaken():
                if outcome.request_id:
                    log.error(
                        "a truncated response to a submission names a request",
                        extra={"generation_id": generation.id, "request_id": outcome.request_id},
                    )
                first = due_steps.PAUSE_AFTER_WHOLE_ERROR if outcome.is_complete else due_steps.PAUSE_AFTER_SILENCE
                pause = max(due_steps.pause_before_repeat(generation.sends, first), outcome.retry_after or 0.0)
                return Ambiguous(marker, outcome.failure, spread(pause))

    def _update_admission(self, generation: Generation, outcome: Outcome) -> None:
        """Report the outcome to the admission, because it concerns the whole account.

        A refusal of credentials that were replaced does not: new submissions use others.
        """
        credentials, now = generation.spec.account, self._clock.moment().steady
        admission = self._admissions.of(credentials)
        if not isinstance(outcome, NotTaken):
            admission.answered(generation.id, now, usable=not isinstance(outcome, MaybeTaken))
            return
        refused = self._admissions.note_refusal(credentials, outcome.failure.reason, now)
        if outcome.may_retry:
            admission.close(generation.id, outcome.failure, now, _pause(outcome))
        elif refused:
            admission.close(generation.id, outcome.failure, now, jittered(CREDENTIALS_PAUSE))
        else:
            admission.answered(generation.id, now, usable=True)

    async def _settle(self, generation: Generation, observation: Observation) -> Generation:
        """Store the outcome, with as many attempts as it takes, so that no accepted request is lost.

        Raises RequestIdTakenError.
        """
        request_id = observation.report.request_id if isinstance(observation, Accepted) else ""
        return await until_stored(
            self._clock,
            "the outcome of a submission",
            lambda: self._observe(generation, observation),
            generation_id=generation.id,
            request_id=request_id,
        )

    async def handle_stray(self, before: Generation, after: Generation, accepted: RequestId) -> None:
        """If the accepted request is a stray one, log it, cancel it, and turn repeats off for the account.

        A stray request is one that Higgsfield accepted for a generation that already has another request or has ended.
        Only the first one of a generation is stored. A stray request of the v1 API is only logged, and so is one that
        is the only request of its generation.
        """
        if not after.stray_request_id or accepted in {after.request_id, before.stray_request_id}:
            return
        if accepted != after.stray_request_id and await self._generations.by_request(accepted) is not None:
            return  # it belongs to another generation
        self._cancel_stray(after, accepted)

    async def resume(self, unfinished: Sequence[Generation]) -> None:
        """Cancel the stray requests again that an earlier process may not have canceled, unless they were adopted."""
        strays = [(generation, stray) for generation in unfinished if (stray := generation.stray_request_id)]
        found = [one for one in strays if await self._generations.by_request(one[1]) is None]
        for generation, stray in found:  # after all reads, because one that fails is followed by another `resume`
            self._cancel_stray(generation, stray)

    def _cancel_stray(self, generation: Generation, stray: RequestId) -> None:
        """Cancel a stray request of a generation, if the generation has another one that counts."""
        named = _ids(generation) | {"request_id": generation.request_id, "stray_request_id": stray}
        if not generation.request_id:
            log.critical("Higgsfield accepted a submission after its generation had ended", extra=named)
            return
        if generation.spec.api == "v1":
            # An operator sent it twice. v1 has neither idempotency keys nor a cancel call.
            log.critical("Higgsfield holds a stray job set of a generation, and cannot cancel it", extra=named)
            return
        # The account's keys are not honoured: repeat no submission. The stray id, which is stored, records that.
        log.critical("Higgsfield holds a stray request of a generation; repeats are off from now on", extra=named)
        self._repeats_off.add(generation.spec.account)
        self.tasks.start(self._cancel_while_queued(generation, stray, named))

    async def _cancel_while_queued(self, generation: Generation, stray: RequestId, named: dict[str, str]) -> None:
        """Ask Higgsfield to cancel a stray request, again if it has trouble: that is when strays are made.

        Only the status afterwards is conclusive.
        """
        for pause in STRAY_CANCEL_PAUSES:
            await sleep(self._clock, jittered(pause))
            with contextlib.suppress(GatewayError, UnconfirmedError):
                if await self._generations.by_request(stray) is not None:
                    return  # it was adopted
                await self._upstream.cancel(generation, stray)
                report = await self._upstream.status(generation, stray)
                if report is None or report.state is not State.QUEUED:
                    return
        log.error("a stray request could not be canceled", extra=named)


class _SendCheck:
    """Called right before the first byte: returns whether `send_by` has not passed. `refused`: nothing was sent."""

    def __init__(self, clock: Clock, send_by: float) -> None:
        self._clock = clock
        self._send_by = send_by
        self.refused = False

    def __call__(self) -> bool:
        self.refused = self._clock.moment().steady >= self._send_by
        return not self.refused


def _pause(outcome: NotTaken) -> float:
    """Return the seconds until the next attempt at a submission that was not taken."""
    return jittered(PROBE_PAUSE) if outcome.pause is None else max(outcome.pause, MIN_PAUSE)


def _pause_after_refusal(generation: Generation) -> float:
    """Return the seconds until the next repeat, if Higgsfield has refused a repeat; else 0."""
    return spread(due_steps.pause_before_repeat(generation.sends, 0.0)) if generation.ambiguous else 0.0


def _ids(generation: Generation) -> dict[str, str]:
    return {"generation_id": generation.id}
