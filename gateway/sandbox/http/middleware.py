"""The middleware around every API call: records the call, checks credentials, applies faults and renders errors."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.errors import ApiError
from gateway.sandbox.faults import CHARGED, LISTS, Fault
from gateway.sandbox.generations.prompt_directives import read_directives
from gateway.sandbox.http.call import CALL, Call, foreign_headers, read_call
from gateway.sandbox.http.fault_responses import apply_fault
from gateway.sandbox.ledger import AgentMessage, Operation, Submission, Training
from gateway.sandbox.state import SandboxState
from gateway.sandbox.webhooks.sender import WebhookSender

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OUTSIDE_API = ("/__", "/media/", "/storage/")
"""Paths outside the API: they need no credentials, and the middleware neither records nor faults them."""


class ApiMiddleware:
    """Runs around every handler of the API."""

    def __init__(self, state: SandboxState, webhook_sender: WebhookSender) -> None:
        self._state = state
        self._webhook_sender = webhook_sender
        self._open_calls = 0

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one call."""
        ledger = self._state.ledger
        self._open_calls += 1
        ledger.peak_calls = max(ledger.peak_calls, self._open_calls)
        try:
            response = await self._answer(request, handler)
        finally:
            self._open_calls -= 1
        response.headers.setdefault("X-Correlation-ID", str(uuid.uuid4()))
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        state = self._state
        call = await read_call(request, state)
        request[CALL] = call
        self._record_call(call, request)
        if state.options.latency:
            await asyncio.sleep(state.options.latency)
        fault = self._fault(call)
        acted = fault is None or fault.processed
        answer = await _perform(request, handler) if acted else None
        if fault is None and call.created and read_directives(call.prompt or "").lost:
            fault = Fault(kind="lost", processed=True)
        response = answer if fault is None else apply_fault(fault, answer)
        assert response is not None, "a call that was not processed has a fault"
        self._record_response(call, fault, acted, response)
        await self._update_webhooks(call)
        if fault:
            await fault.wait()
        return response

    def _fault(self, call: Call) -> Fault | None:
        planned = self._state.plan.take(call.operation, call.prompt)
        if planned or call.operation == "other":
            return planned
        wished = read_directives(call.prompt or "").http_status if call.operation in CHARGED else None
        return Fault(kind=str(wished)) if wished else self._state.random_faults.fault(call.operation)

    async def _update_webhooks(self, call: Call) -> None:
        """Start the webhooks that are due. With an `early` fault, wait for the first attempt before the response."""
        if call.created and call.webhook and call.generation and self._state.plan.take("early", call.prompt):
            call.generation.finish_at_once()
            await self._webhook_sender.wait_for_first_attempt(call.generation)
        self._webhook_sender.update()

    def _record_call(self, call: Call, request: web.Request) -> None:
        ledger = self._state.ledger
        if call.account:
            ledger.credentials_seen_ok += 1
        else:
            ledger.credentials_seen_bad += 1
        ledger.foreign_headers.update(foreign_headers(request.headers))
        ledger.record_call(call.retry_key, self._state.clock.now())
        if call.operation == "status":
            ledger.status_calls[call.request_id] += 1
        elif call.operation in LISTS:
            ledger.list_calls[call.operation] += 1
        elif call.operation == "character":
            ledger.character_calls[call.request_id] += 1
        elif call.operation == "agent_messages":
            ledger.agent_reads[call.session_id] += 1

    def _record_response(self, call: Call, fault: Fault | None, acted: bool, response: web.StreamResponse) -> None:
        ledger, now = self._state.ledger, self._state.clock.now()
        outcome = fault.name if fault else str(response.status)
        if call.operation == "submit":
            ledger.submissions.append(_submission(call, now, outcome, acted))
        elif call.operation == "train":
            ledger.trainings.append(Training(now, call.prompt or "", outcome, acted, call.request_id or None))
        elif call.operation == "agent_send":
            sent = AgentMessage(now, call.session_id, call.prompt or "", outcome, call.message_id)
            ledger.agent_messages.append(sent)
        elif call.operation in ("cancel", "delete"):
            record = ledger.cancels if call.operation == "cancel" else ledger.deletes
            record.append(Operation(now, call.request_id, outcome))
        wait = response.headers.get("Retry-After", "")
        if wait.isdecimal():
            ledger.record_retry_after(call.retry_key, now + int(wait) * self._state.clock.scale)


def _submission(call: Call, now: float, outcome: str, acted: bool) -> Submission:
    return Submission(
        at=now,
        model=call.model,
        prompt=call.prompt or "",
        idempotency_key=call.key,
        webhook=call.webhook,
        outcome=outcome,
        processed=acted,
        replayed=call.generation is not None and not call.created,
        request_id=call.generation.request_id if call.generation else None,
    )


async def _perform(request: web.Request, handler: Handler) -> web.Response:
    """Return the response without faults."""
    try:
        if request.match_info.http_exception is None and request[CALL].account is None:
            raise errors.invalid_credentials()
        response = await handler(request)
    except ApiError as error:
        return web.json_response(error.body, status=error.status, headers=error.headers)
    except web.HTTPException:
        # Measured on the real service: a GET of an unknown path is answered 405, not 404.
        return web.json_response({"detail": "Method Not Allowed"}, status=405)
    assert isinstance(response, web.Response), "handlers of the API do not stream"
    return response
