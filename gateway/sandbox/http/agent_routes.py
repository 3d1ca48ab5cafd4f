"""The routes of the Agent API: `/v1/agent`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.http.call import call_and_account, json_body
from gateway.sandbox.schema import Schema, violations

_SESSION: Schema = {"type": "object", "properties": {"config": {"type": ["object", "null"]}}}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {"content": {"type": "string", "minLength": 1, "maxLength": 20_000}},
    "required": ["content"],
}


class AgentRoutes:
    """Sessions and their messages. Faults match calls by the names of the routes."""

    def routes(self) -> list[web.AbstractRouteDef]:
        session = "/v1/agent/sessions/{session_id}"
        return [
            web.post("/v1/agent/sessions", self.create, name="agent_session"),
            web.post(f"{session}/messages", self.send, name="agent_send"),
            web.get(f"{session}/messages", self.messages, name="agent_messages", allow_head=False),
            web.post(f"{session}/interrupt", self.interrupt, name="agent_interrupt"),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Create a session. The fields of `config` are not documented, so any object is accepted."""
        _, account = call_and_account(request)
        await checked_body(request, _SESSION)
        return web.json_response({"session_id": account.agents.create(), "status": "idle"}, status=201)

    async def send(self, request: web.Request) -> web.Response:
        """Send a message to the agent."""
        call, account = call_and_account(request)
        account.agents.check_enabled()
        body = await checked_body(request, _MESSAGE)
        turn = account.send_agent_message(call.session_id, body["content"])
        call.created, call.message_id = True, turn.message_id
        return web.json_response({"message_id": turn.message_id, "status": "processing"}, status=202)

    async def messages(self, request: web.Request) -> web.Response:
        """Return the status of the session and its messages."""
        call, account = call_and_account(request)
        return web.json_response(account.agents.messages(call.session_id, request.query.get("after")))

    async def interrupt(self, request: web.Request) -> web.Response:
        """Stop the turn. Status and body of the response are not documented."""
        call, account = call_and_account(request)
        account.agents.interrupt(call.session_id)
        return web.json_response({})


async def checked_body(request: web.Request, schema: Schema) -> dict[str, Any]:
    """Return the JSON body, or raise a 422 in the format of Higgsfield's own models if it does not match the schema."""
    body: dict[str, Any] = await json_body(request)
    if wrong := list(violations(body, schema)):
        raise errors.as_pydantic(wrong)
    return body
