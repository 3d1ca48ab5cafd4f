"""The routes of the v2 generation API."""

from __future__ import annotations

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.accounts.account import SubmitRequest
from gateway.sandbox.catalog.model import Model
from gateway.sandbox.catalog.models import MODELS
from gateway.sandbox.clock import timestamp
from gateway.sandbox.generations.generation import describe, receipt
from gateway.sandbox.generations.prompt_directives import read_directives
from gateway.sandbox.http.call import call_and_account, json_body, origin_of
from gateway.sandbox.schema import whole_number
from gateway.sandbox.state import SandboxState
from gateway.sandbox.webhooks.payload import check_webhook


class GenerationRoutes:
    """Submit, status, cancel, delete, estimate and models. Faults match calls by the names of the routes."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes. The last one matches every path, so these routes are added last."""
        return [
            web.get("/models", self.models, name="models", allow_head=False),
            web.get("/requests/{request_id}/status", self.status, name="status", allow_head=False),
            web.post("/requests/{request_id}/cancel", self.cancel, name="cancel"),
            web.delete("/requests/{request_id}", self.delete, name="delete"),
            web.post("/estimate/{model:.+}", self.estimate, name="estimate"),
            web.post("/{model:.+}", self.submit, name="submit"),
        ]

    async def submit(self, request: web.Request) -> web.Response:
        """Create a generation, or return the one that the idempotency key created."""
        call, account = call_and_account(request)
        model, parameters = _model(call.model), await json_body(request)
        directives = read_directives(call.prompt or "")
        check_webhook(call.webhook, strict=account.settings.strict_webhooks)
        submission = SubmitRequest(
            model=model,
            parameters=parameters,
            key=call.key,
            webhook=call.webhook,
            expires_after=request.headers.get("Hf-Expires-After"),
            outcome=directives.outcome or self._state.random_faults.outcome(),
            running_seconds=directives.running_seconds,
            origin=origin_of(request),
        )
        call.generation, call.created = account.submit(submission)
        if not call.created and account.settings.replay_status == "queued":
            return web.json_response(receipt(call.generation, origin_of(request)))
        return web.json_response(describe(call.generation, self._state.clock, origin_of(request)))

    async def status(self, request: web.Request) -> web.Response:
        """Return the status of a generation. A job set of v1 has the same form here: one status for all its jobs."""
        call, account = call_and_account(request)
        generation = account.find(call.request_id)
        return web.json_response(describe(generation, self._state.clock, origin_of(request)))

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel a queued generation. The response is a 202 without a body."""
        call, account = call_and_account(request)
        account.cancel(call.request_id)
        return web.Response(status=202)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the content of a generation that has ended. Of the response only the id is documented."""
        call, account = call_and_account(request)
        generation = account.delete(call.request_id)
        clock = self._state.clock
        return web.json_response(
            {
                "request_id": generation.request_id,
                "status": generation.status(clock.now()),
                "deleted_at": timestamp(clock, generation.deleted_at or 0.0),
            }
        )

    async def estimate(self, request: web.Request) -> web.Response:
        """Return the price of an input. An estimate is free, and is answered even without credits."""
        call, _ = call_and_account(request)
        model, parameters = _model(call.model), await json_body(request)
        model.check(parameters)
        return web.json_response(model.estimate(parameters))

    async def models(self, request: web.Request) -> web.Response:
        """List the models."""
        with_schema = request.query.get("include_schema", "").lower() == "true"
        search, limit = request.query.get("search", ""), whole_number(request.query.get("limit", ""))
        rows = [model.entry(with_schema) for model in MODELS.values() if model.listed and search in model.slug]
        return web.json_response({"items": rows[:limit]})


def _model(slug: str) -> Model:
    if slug not in MODELS:
        raise errors.model_not_found()
    return MODELS[slug]
