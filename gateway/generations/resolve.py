"""The use cases of `hfgateway resolve`: an operator resolves a generation that Higgsfield may or may not run."""

from dataclasses import replace

from gateway.errors import (
    Failure,
    GatewayError,
    Reason,
    Violation,
    gateway_unavailable,
    generation_not_found,
    invalid_field,
    or_unavailable,
    raise_if_invalid,
)
from gateway.generations import due_steps, read_back
from gateway.generations.adopt import request_id_of
from gateway.generations.clock import Ids
from gateway.generations.due_steps import Rules
from gateway.generations.journal import log_state_change
from gateway.generations.model import (
    FOLLOWED,
    Generation,
    GenerationId,
    IdempotencyKey,
    Source,
    State,
    StatusReport,
    Wall,
)
from gateway.generations.polling.missing import GIVE_UP_MISSING
from gateway.generations.ports import Clock, Upstream
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.state import Accepted, Expired, advance
from gateway.generations.stores import Claim, ClaimStore, GenerationStore, RequestIdTakenError
from gateway.generations.trusted_time import TrustedTime

BY_OPERATOR = Failure(Reason.SUBMISSION_UNRESOLVED, "declared lost by an operator: it may have been charged")


class Resolver:
    """Resolves generations of all tenants. Its methods raise a GatewayError that says why they refuse.

    They also raise UnconfirmedError.
    """

    def __init__(
        self,
        *,
        claims: ClaimStore,
        generations: GenerationStore,
        upstream: Upstream,
        clock: Clock,
        service: Generations,
        sender: Sender,
        rules: Rules,
        trusted_time: TrustedTime,
    ) -> None:
        self._claims = claims
        self._generations = generations
        self._upstream = upstream
        self._clock = clock
        self._service = service
        self._sender = sender
        self._rules = rules
        self._trusted_time = trusted_time
        self._ids = Ids()

    async def as_request(self, generation_id: GenerationId, request_id: str) -> Generation:
        """Bind a generation to an upstream request that Higgsfield knows and no other generation has.

        A LOST generation never changes: a new one, with a key derived from its id, is bound and returned instead.
        """
        return await self._sender.tasks.finish(self._as_request(generation_id, request_id))

    async def _as_request(self, generation_id: GenerationId, request_id: str) -> Generation:
        generation = await self._generation(generation_id)
        wrong: list[Violation] = []
        request_id = request_id_of(request_id, "request_id", wrong)
        raise_if_invalid(wrong)
        if generation.request_id == request_id:
            return generation
        if generation.request_id or generation.state not in {State.UNCERTAIN, State.LOST}:
            raise invalid_field("id", f"is {generation.state.name}: there is nothing to resolve")
        known = await self._generations.by_request(request_id)
        if known is not None:
            if known.spec.idempotency_key != _successor_key(generation):
                raise invalid_field("request_id", "belongs to another generation")
            return known
        report = await or_unavailable(
            self._upstream.status(generation, request_id), Reason.UPSTREAM_CREDENTIALS_REFUSED
        )
        if report is None:
            raise invalid_field("request_id", "is not known to Higgsfield")
        try:
            if generation.done:
                return await self._successor(generation, report)
            bound = await self._service.observe(generation, Accepted(report, Source.OPERATOR))
            # Another request may have been bound first.
            await self._sender.handle_stray(generation, bound, report.request_id)
            return bound
        except RequestIdTakenError:
            raise invalid_field("request_id", "belongs to another generation") from None

    async def lost(self, generation_id: GenerationId) -> Generation:
        """Declare a generation LOST that is UNCERTAIN, or for which Higgsfield returns no known status.

        The second needs one of these: its credentials are gone and Higgsfield does not know it with others, or it was
        sent at least GIVE_UP_MISSING ago and a status call now fails, or finds nothing or a word that is not known.
        """
        return await self._sender.tasks.finish(self._lost(generation_id))

    async def _lost(self, generation_id: GenerationId) -> Generation:
        generation = await self._generation(generation_id)
        if generation.state is State.LOST:
            return generation
        at_rest = generation.state is State.UNCERTAIN and generation.marker is None
        if not at_rest and not (generation.state in FOLLOWED and await self._has_no_status(generation)):
            why = "only what is UNCERTAIN, or was sent a day ago and has no known status at Higgsfield, can be lost"
            raise invalid_field("id", f"is {generation.state.name}: {why}")
        declared = Expired(BY_OPERATOR, Source.OPERATOR, generation.version)
        lost = await self._service.observe(generation, declared)
        if lost.state is not State.LOST:
            raise invalid_field("id", "has changed concurrently: read it again")
        return lost

    async def _has_no_status(self, generation: Generation) -> bool:
        """Return whether an accepted generation may be declared LOST."""
        spec = generation.spec
        if generation.missing_since is not None and not self._upstream.reaches(spec.account, spec.origin):
            return True
        sent_at = spec.created_at if generation.first_sent_at is None else generation.first_sent_at
        if self._clock.moment().steady - sent_at < GIVE_UP_MISSING:
            return False
        try:
            report = await self._upstream.status(generation)
        except GatewayError:
            return True
        return report is None or report.state is None or report.has_unknown_job

    async def resubmit(self, generation_id: GenerationId, *, may_charge_twice: bool) -> Generation:
        """Send an UNCERTAIN generation again under its key.

        If Higgsfield may no longer know the key, that may charge a second time and needs `may_charge_twice`.
        """
        generation = await self._generation(generation_id)
        if generation.state is not State.UNCERTAIN or generation.marker is not None:
            raise invalid_field("id", f"is {generation.state.name}: only what is UNCERTAIN and at rest can be repeated")
        spec = generation.spec
        if not self._upstream.reaches(spec.account, spec.origin):
            raise invalid_field("id", "was sent with other credentials, or to another origin, than are set now")
        moment = self._clock.moment()
        if moment.steady < generation.not_before:
            raise invalid_field("resubmit", "the attempt before may not be over yet: try again later")
        if not may_charge_twice and not await self._is_safe(generation):
            raise invalid_field("resubmit", "may be charged a second time: set may_charge_twice to accept that")
        if self._service.draining:
            raise gateway_unavailable("the gateway is shutting down")
        marked = await self._sender.mark_and_send(generation)
        if marked is None:
            raise invalid_field("id", "has changed concurrently: read it again")
        return marked

    async def _is_safe(self, generation: Generation) -> bool:
        """Return whether Higgsfield certainly still knows the key."""
        first = generation.first_sent_at
        if first is None or not await self._trusted_time.is_open(first, self._rules.window):
            return False
        # Only now, because repeats may have been turned off while the time was asked for.
        repeats_off = self._sender.repeats_off(generation.spec.account)
        return due_steps.may_repeat(generation, self._rules, self._clock.moment(), repeats_off=repeats_off)

    async def _successor(self, lost: Generation, report: StatusReport) -> Generation:
        """Make a new generation for a request that was found after its generation had become LOST.

        One commit stores both. With two, the first would leave a generation that was never sent, if another generation
        got the request before the second.
        """
        moment = self._clock.moment()
        spec = replace(
            lost.spec,
            id=GenerationId(self._ids.next(moment.wall)),
            idempotency_key=_successor_key(lost),
            create_time=Wall(round(moment.wall, 6)),  # the precision that callers see and filter by
            created_at=moment.steady,
            token_hash=None,
            price=None,  # the lost generation has spent it
            estimated_credits="",
            estimated_usd="",
        )
        fresh = Generation(spec, state=State.UNCERTAIN, ambiguous=True, update_time=moment.wall)
        found = advance(fresh, Accepted(report, Source.OPERATOR), moment)
        assert found is not None
        found = replace(found, version=1, revision=1)
        claimed = await read_back.claim(self._claims, Claim(found, None, report.request_id.encode()))
        if claimed.conflict or claimed.generation is None:
            raise invalid_field("id", "was resolved as another request before")
        if claimed.new:
            log_state_change(None, found)
        return claimed.generation

    async def _generation(self, generation_id: GenerationId) -> Generation:
        found = await self._generations.any(generation_id)
        if found is None:
            raise generation_not_found(generation_id)
        return found


def _successor_key(lost: Generation) -> IdempotencyKey:
    """Return the key of the generation that replaces a lost one. It has a space, so no caller's key is equal to it."""
    return IdempotencyKey(f"resolved {lost.id}")
