"""A call of the API as the middleware sees it: the operation, its subject and its account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.accounts.account import Account
from gateway.sandbox.catalog.models import V1_MODELS
from gateway.sandbox.faults import OPERATIONS
from gateway.sandbox.generations.generation import Generation
from gateway.sandbox.state import SandboxState

_USUAL_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "hf-api-key",
        "hf-expires-after",
        "hf-secret",
        "host",
        "idempotency-key",
        "transfer-encoding",
        "user-agent",
    }
)


NIL = str(UUID(int=0))
"""The id of no request: a status call for it is of use only for the Date of the response."""

_PROMPT_FIELDS = {"train": "name", "agent_send": "content"}
"""The field that is used as the prompt, for operations whose bodies have no prompt."""


@dataclass
class Call:
    """One call. The handler adds the generation or the message. `prompt` may also be a name or a message's text."""

    operation: str
    model: str
    request_id: str
    prompt: str | None
    key: str | None
    webhook: str | None
    account: Account | None
    generation: Generation | None = None
    created: bool = False
    session_id: str = ""
    message_id: str | None = None

    @property
    def retry_key(self) -> str:
        """The key that a retry of this call shares with it."""
        about = self.request_id or self.session_id or self.key or f"{self.model} {self.prompt}"
        return f"{self.operation} {about}"


CALL = web.RequestKey("call", Call)


async def read_call(request: web.Request, state: SandboxState) -> Call:
    """Parse a request without validating it. Never raises an ApiError."""
    named = (request.match_info.route.name or "").removeprefix("v1.")
    request_id = request.match_info.get("request_id", "")
    if named == "status" and request_id == NIL:
        named = "time"
    account, character_id = state.account(credentials(request.headers)), request.match_info.get("character_id", "")
    generation = state.generation(request_id)
    model, body = request.match_info.get("model", ""), {} if generation else _object(await request.read())
    of_v1 = model in V1_MODELS
    parameters = body.get("params") if of_v1 else body
    prompt = generation.prompt if generation else _text(parameters, _PROMPT_FIELDS.get(named, "prompt"))
    if character_id and account:
        prompt = account.characters.named(character_id.lower())
    return Call(
        operation=named if named in OPERATIONS else "other",
        model=model,
        request_id=request_id or character_id.lower(),
        prompt=prompt,
        key=request.headers.get("Idempotency-Key"),
        webhook=_text(body.get("webhook"), "url") if of_v1 else request.query.get("hf_webhook"),
        account=account,
        session_id=request.match_info.get("session_id", ""),
    )


def call_and_account(request: web.Request) -> tuple[Call, Account]:
    """Return the call and its account. The middleware has refused a call without one."""
    call = request[CALL]
    assert call.account is not None
    return call, call.account


async def json_body(request: web.Request) -> Any:
    """Return the JSON body, or raise a 422."""
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise errors.invalid_json() from None


def origin_of(request: web.Request) -> str:
    """Return the origin under which this client reaches the sandbox, for the links in responses."""
    return str(request.url.origin())


def credentials(headers: Mapping[str, str]) -> str:
    """Return `id:secret` from either documented form of credentials; text that no account has if they are malformed."""
    scheme, _, pair = headers.get("Authorization", "").partition(" ")
    if scheme == "Key":
        return pair
    if "Authorization" in headers:
        return ""
    return f"{headers.get('hf-api-key', '')}:{headers.get('hf-secret', '')}"


def foreign_headers(headers: Mapping[str, str]) -> list[str]:
    """Return the names of the headers that a client of this API has no reason to send."""
    return sorted({name.lower() for name in headers} - _USUAL_HEADERS)


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _text(holder: Any, name: str) -> str | None:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else None
