"""The routes of the v1 API: submissions in `params`, and job sets. v1 has no keys, cancellation or deletion."""

from __future__ import annotations

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.accounts.account import Account, SubmitRequest
from gateway.sandbox.catalog.models import V1_MODELS
from gateway.sandbox.generations.generation import Generation, describe_job_set
from gateway.sandbox.generations.prompt_directives import Outcome, read_directives
from gateway.sandbox.http.call import call_and_account, json_body, origin_of
from gateway.sandbox.schema import Schema, Violation, violations
from gateway.sandbox.state import SandboxState
from gateway.sandbox.webhooks.payload import check_webhook

_WEBHOOK: Schema = {
    "type": ["object", "null"],
    "properties": {"url": {"type": "string"}, "secret": {"type": "string"}},
    "required": ["url", "secret"],
}


class JobSetRoutes:
    """Submit and status. Faults match calls by the names of the routes after `v1.`."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def routes(self) -> list[web.AbstractRouteDef]:
        paths = "|".join(V1_MODELS)
        return [
            web.get("/v1/job-sets/{request_id}", self.status, name="v1.status", allow_head=False),
            web.post(f"/{{model:{paths}}}", self.submit, name="v1.submit"),
        ]

    async def submit(self, request: web.Request) -> web.Response:
        """Create a job set."""
        call, account = call_and_account(request)
        model, body = V1_MODELS[call.model], await json_body(request)
        if not isinstance(body, dict) or "params" not in body:
            raise errors.as_pydantic([Violation("required", (), body, "params")])
        parameters, webhook = body["params"], body.get("webhook")
        wrong = [*violations(parameters, model.input_schema, ("params",)), *violations(webhook, _WEBHOOK, ("webhook",))]
        if wrong:
            raise errors.as_pydantic(wrong)
        check_webhook(call.webhook, strict=account.settings.strict_webhooks)
        directives = read_directives(call.prompt or "")
        usual = [self._state.random_faults.outcome() for _ in range(model.outputs(parameters))]
        outcomes = tuple(directives.job_outcomes(usual))
        submission = SubmitRequest(
            model=model,
            parameters=parameters,
            webhook=call.webhook,
            webhook_secret=webhook["secret"] if webhook else "",
            outcome=_outcome(outcomes),
            job_outcomes=outcomes,
            running_seconds=directives.running_seconds,
            origin=origin_of(request),
        )
        call.generation, call.created = account.submit(submission)
        return self._answer(request, account, call.generation)

    async def status(self, request: web.Request) -> web.Response:
        """Return the job set with the status of each job."""
        call, account = call_and_account(request)
        return self._answer(request, account, account.find_job_set(call.request_id))

    def _answer(self, request: web.Request, account: Account, generation: Generation) -> web.Response:
        with_input = account.settings.v1_input_params
        content = describe_job_set(generation, self._state.clock, origin_of(request), with_input=with_input)
        return web.json_response(content)


def _outcome(outcomes: tuple[Outcome, ...]) -> Outcome:
    """Return the outcome that the ledger records for the whole job set."""
    for end in ("completed", "nsfw"):
        if end in outcomes:
            return end
    return "failed"
