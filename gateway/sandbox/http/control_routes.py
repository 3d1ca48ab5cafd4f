"""The sandbox's control endpoints, `/__…`. They are not part of Higgsfield's API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.sandbox.faults import Fault
from gateway.sandbox.state import SandboxState
from gateway.sandbox.webhooks.sender import WebhookSender

Handler = Callable[[web.Request], Awaitable[web.Response]]


class ControlRoutes:
    """The routes of ledger, fault plan, account settings and reset."""

    def __init__(self, state: SandboxState, webhook_sender: WebhookSender) -> None:
        self._state = state
        self._webhook_sender = webhook_sender

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/__ledger", self.ledger),
            web.post("/__plan", _explaining(self.plan)),
            web.delete("/__plan", self.clear_plan),
            web.post("/__account", _explaining(self.account)),
            web.post("/__reset", self.reset),
            web.route("*", "/__{unknown:.*}", _not_found),  # or the endpoint of a model would get it
        ]

    async def ledger(self, request: web.Request) -> web.Response:
        """Return the ledger; `?summary=1`: only its totals."""
        only_numbers = request.query.get("summary", "0") not in ("", "0")
        account = self._state.describe(with_entries=not only_numbers)
        return web.json_response({**account, "webhook_pending": self._webhook_sender.pending})

    async def plan(self, request: web.Request) -> web.Response:
        """Append faults to the plan."""
        faults = [Fault.parse(fault) for fault in (await _object(request))["faults"]]
        self._state.plan.add(faults)
        return web.json_response({"pending": len(self._state.plan)})

    async def clear_plan(self, request: web.Request) -> web.Response:
        """Remove all planned faults that no call has taken."""
        self._state.plan.clear()
        return web.json_response({"pending": 0})

    async def account(self, request: web.Request) -> web.Response:
        """Change an account's credits, credentials and settings."""
        granted = self._state.change(await _object(request))
        self._webhook_sender.update()
        return web.json_response(granted)

    async def reset(self, request: web.Request) -> web.Response:
        """Discard all state and start again with the original options."""
        self._state.reset()
        self._webhook_sender.cancel_all()
        return web.json_response({})


async def _not_found(request: web.Request) -> web.Response:
    return web.json_response({"detail": f"{request.method} {request.path} is not known"}, status=404)


async def _object(request: web.Request) -> dict[str, Any]:
    parsed = json.loads(await request.read())
    if not isinstance(parsed, dict):
        raise ValueError("the body must be a JSON object")
    return parsed


def _explaining(handler: Handler) -> Handler:
    """Answer 400 with the reason if the body is invalid, so that a test with a wrong plan fails."""

    async def explained(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response({"detail": str(error)}, status=400)

    return explained
