"""Adoption: brings a request that was made without this gateway under it, by its id at Higgsfield.

Only a status of Higgsfield creates the generation. It is stored in its reported state, in one commit, and without a
prepared request. So nothing can be canceled before the request is confirmed, a crash leaves nothing to recover, and
there is nothing that could ever be submitted. docs/adopt.md specifies it.
"""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from gateway.concurrency import InProgress
from gateway.errors import GatewayError, Reason, Violation, gateway_unavailable, not_found, or_unavailable
from gateway.frozen import frozen
from gateway.generations import read_back
from gateway.generations.accounts import Accounts
from gateway.generations.clock import Ids
from gateway.generations.journal import log_state_change
from gateway.generations.model import Api, Generation, GenerationId, IdempotencyKey, RequestId, Spec, StatusReport, Wall
from gateway.generations.polling.rate_limit import PollLimits, no_status_calls, recorded
from gateway.generations.ports import Clock, Upstream
from gateway.generations.sender import Sender
from gateway.generations.service import Generations
from gateway.generations.state import adopted
from gateway.generations.stores import Claim, ClaimStore, GenerationStore, RequestIdTakenError

MAX_IN_PROGRESS = 64
"""Adoptions of a tenant in progress. They continue if their callers leave."""


@frozen
class Adoption:
    """The adoption that a caller asks for: a request, which was made with this version of the API."""

    request_id: RequestId
    api: Api
    labels: Mapping[str, str]


class Adopter:
    """Adopts requests."""

    def __init__(
        self,
        *,
        claims: ClaimStore,
        generations: GenerationStore,
        upstream: Upstream,
        accounts: Accounts,
        clock: Clock,
        service: Generations,
        sender: Sender,
        poll_limits: PollLimits,
    ) -> None:
        self._claims = claims
        self._generations = generations
        self._upstream = upstream
        self._accounts = accounts
        self._clock = clock
        self._service = service
        self._sender = sender
        self._poll_limits = poll_limits
        self._ids = Ids()
        self._in_progress = InProgress()

    async def adopt(self, tenant: str, adoption: Adoption) -> tuple[Generation, bool]:
        """Return the tenant's generation for a request, and whether the tenant had it before.

        Raises GatewayError or UnconfirmedError.
        """
        if self._service.draining:
            raise gateway_unavailable("the gateway is shutting down")
        known = await self._known(tenant, adoption.request_id)
        if known is not None:
            return known, True
        # From here on a drain waits for it, even if the caller leaves.
        return await self._sender.tasks.finish(self._adopt_counted(tenant, adoption))

    async def _adopt_counted(self, tenant: str, adoption: Adoption) -> tuple[Generation, bool]:
        with self._in_progress.counted(tenant, MAX_IN_PROGRESS, "adoptions"):
            return await self._adopt(tenant, adoption)

    async def _adopt(self, tenant: str, adoption: Adoption) -> tuple[Generation, bool]:
        moment = self._clock.moment()
        spec = Spec(
            id=GenerationId(self._ids.next(moment.wall)),
            tenant=tenant,
            model_id="",
            api=adoption.api,
            account="",  # set when it is known
            origin=self._upstream.origin,
            input=b"",
            labels=adoption.labels,
            idempotency_key=_key(adoption.request_id),
            create_time=Wall(round(moment.wall, 6)),
            created_at=moment.steady,
            adopted=True,
        )
        try:
            spec, report = await self._confirmed(spec, adoption.request_id)
            # A batch of v1 takes as many places at Higgsfield as it has jobs.
            spec = replace(spec, weight=max(len(report.outputs), 1))
            generation = adopted(spec, report, self._clock.moment())
            claimed = await read_back.claim(self._claims, Claim(generation, None, adoption.request_id.encode()))
        except RequestIdTakenError:
            known = await self._known(tenant, adoption.request_id)
            if known is None:
                raise _unknown(adoption.api, adoption.request_id) from None
            return known, True
        if claimed.new:
            log_state_change(None, generation)
        if claimed.generation is None:
            message = "it was adopted before, and its generation was deleted since"
            raise not_found(message, upstream_request_id=adoption.request_id)
        return claimed.generation, not claimed.new

    async def _known(self, tenant: str, request_id: RequestId) -> Generation | None:
        """Return the tenant's generation of a request. That of another tenant does not exist for the caller."""
        known = await self._generations.by_request(request_id)
        if known is None or known.tenant != tenant:
            return None
        live = self._service.live(tenant, known.id)
        return known if live is None else live.generation

    async def _confirmed(self, spec: Spec, request_id: RequestId) -> tuple[Spec, StatusReport]:
        """Return the status that proves that the request belongs to an account of the tenant, and set that account."""
        failure: GatewayError | None = None
        for name in self._accounts.pool(spec.tenant):
            spec = replace(spec, account=self._accounts.newest(name))
            try:
                report = await self._ask(spec, request_id)
            except GatewayError as error:
                failure = error
            else:
                if report is not None:
                    return spec, report
        raise failure or _unknown(spec.api, request_id)

    async def _ask(self, spec: Spec, request_id: RequestId) -> StatusReport | None:
        """Ask for the status; None if the account does not know the request.

        The call counts for the limit of status calls, so that adoptions cannot crowd out the polls.
        """
        limit = self._poll_limits[spec.account]
        if pause := limit.acquire(self._clock.moment().steady):
            raise no_status_calls(pause)
        asked = recorded(limit, self._clock, self._upstream.status(Generation(spec), request_id))
        return await or_unavailable(asked, Reason.UPSTREAM_CREDENTIALS_REFUSED)


def request_id_of(given: str, field: str, wrong: list[Violation]) -> RequestId:
    """Return a request id in the form that Higgsfield uses. Appends a violation to `wrong` if it is none."""
    try:
        return RequestId(str(UUID(given)))
    except ValueError:
        wrong.append(Violation(field, "must be a UUID" if given else "is required"))
        return RequestId("")


def _key(request_id: RequestId) -> IdempotencyKey:
    """Return the key of an adopted generation. It has a space, so no caller's key is equal to it."""
    return IdempotencyKey(f"adopted {request_id}")


def _unknown(api: Api, request_id: RequestId) -> GatewayError:
    """Return NOT_FOUND, for an unknown request and for another tenant's alike: a caller cannot tell which."""
    return not_found(f"there is no such request in Higgsfield's {api} API", upstream_request_id=request_id)
