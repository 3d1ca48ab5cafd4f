"""Media uploads of the Agent API: create an upload slot, PUT the file, and confirm the upload."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.http.agent_routes import checked_body
from gateway.sandbox.http.call import call_and_account, origin_of
from gateway.sandbox.http.fault_responses import respond_with_fault
from gateway.sandbox.schema import Schema
from gateway.sandbox.state import SandboxState

_KINDS = ["image", "video", "audio", "file"]
_SLOT: Schema = {
    "type": "object",
    "properties": {"extension": {"type": "string", "minLength": 1, "maxLength": 16}, "type": {"enum": _KINDS}},
    "required": ["extension", "type"],
}
_CONFIRMATION: Schema = {"type": "object", "properties": {"type": {"enum": _KINDS}}, "required": ["type"]}


@dataclass
class _Slot:
    """An upload slot. `content` is None until the file has been uploaded."""

    content_type: str
    signature: str
    content: bytes | None = None


class AgentMediaRoutes:
    """The routes of `/v1/agent/media` and of the storage, `/storage/agent/{media_id}`."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._slots: dict[str, _Slot] = {}
        self._numbers = itertools.count(1)

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.post("/v1/agent/media", self.create_slot, name="agent_media"),
            web.post("/v1/agent/media/{media_id}/confirm", self.confirm, name="agent_confirm"),
            web.put("/storage/agent/{media_id}", self.put),
            web.get("/storage/agent/{media_id}", self.download),
        ]

    async def create_slot(self, request: web.Request) -> web.Response:
        """Create an upload slot."""
        _, account = call_and_account(request)
        account.agents.check_enabled()
        body = await checked_body(request, _SLOT)
        extension, kind = body["extension"], body["type"]
        media_id = f"m{next(self._numbers)}.{extension}"
        content_type = f"{kind}/{extension}" if kind != "file" else "application/octet-stream"
        slot = self._slots[media_id] = _Slot(content_type, secrets.token_hex(16))
        url = f"{origin_of(request)}/storage/agent/{media_id}"
        return web.json_response(
            {
                "id": media_id,
                "type": kind,
                "content_type": content_type,
                "upload_url": f"{url}?X-Amz-Signature={slot.signature}",
                "url": url,
            }
        )

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Store a file. The signature in the URL is the only credential."""
        if "Authorization" in request.headers or "hf-api-key" in request.headers:
            self._state.ledger.credentials_sent_to_storage += 1
        slot = self._slots.get(request.match_info["media_id"])
        signed = slot is not None and request.query.get("X-Amz-Signature") == slot.signature
        if slot is None or not signed or request.headers.get("Content-Type") != slot.content_type:
            return web.Response(status=403, text="<Error><Code>SignatureDoesNotMatch</Code></Error>")

        async def store() -> web.Response:
            slot.content = await request.read()
            self._state.ledger.uploads += 1
            return web.Response(status=200)

        return await respond_with_fault(self._state.plan.take("storage", None), store)

    async def confirm(self, request: web.Request) -> web.Response:
        """Report whether the file has been uploaded. The status before that is not documented."""
        _, account = call_and_account(request)
        account.agents.check_enabled()
        await checked_body(request, _CONFIRMATION)
        slot = self._slots.get(request.match_info["media_id"])
        if slot is None:
            raise errors.not_found()
        return web.json_response({"status": "pending" if slot.content is None else "uploaded"})

    async def download(self, request: web.Request) -> web.Response:
        """Return the file; needs no credentials."""
        slot = self._slots.get(request.match_info["media_id"])
        if slot is None or slot.content is None:
            raise web.HTTPNotFound
        return web.Response(body=slot.content, content_type=slot.content_type)
