"""Media of the Agent API: a slot, a PUT that asks for nothing but its content type, and the word that it is there."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.http.agent_routes import caller, checked_body
from gateway.sandbox.http.fault_responses import spoil
from gateway.sandbox.schema import Schema
from gateway.sandbox.state import World

_KINDS = ["image", "video", "audio", "file"]
_SLOT: Schema = {
    "type": "object",
    "properties": {"extension": {"type": "string", "minLength": 1, "maxLength": 16}, "type": {"enum": _KINDS}},
    "required": ["extension", "type"],
}
_CONFIRMATION: Schema = {"type": "object", "properties": {"type": {"enum": _KINDS}}, "required": ["type"]}


@dataclass
class _Place:
    """One slot: `content` once something was put there."""

    content_type: str
    signature: str
    content: bytes | None = None


class AgentMediaRoutes:
    """`/v1/agent/media`, and the storage beside the API: `/storage/agent/{media_id}`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._places: dict[str, _Place] = {}
        self._numbers = itertools.count(1)

    def table(self) -> list[web.AbstractRouteDef]:
        """Return the routes."""
        return [
            web.post("/v1/agent/media", self.slot, name="agent_media"),
            web.post("/v1/agent/media/{media_id}/confirm", self.confirm, name="agent_confirm"),
            web.put("/storage/agent/{media_id}", self.put),
            web.get("/storage/agent/{media_id}", self.file),
        ]

    async def slot(self, request: web.Request) -> web.Response:
        """Make a place."""
        caller(request).agents.check_enabled()
        body = await checked_body(request, _SLOT)
        extension, kind = body["extension"], body["type"]
        media_id = f"m{next(self._numbers)}.{extension}"
        content_type = f"{kind}/{extension}" if kind != "file" else "application/octet-stream"
        place = self._places[media_id] = _Place(content_type, secrets.token_hex(16))
        url = f"{request.scheme}://{request.host}/storage/agent/{media_id}"
        return web.json_response(
            {
                "id": media_id,
                "type": kind,
                "content_type": content_type,
                "upload_url": f"{url}?X-Amz-Signature={place.signature}",
                "url": url,
            }
        )

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Take a file from anybody who has its address."""
        if "Authorization" in request.headers or "hf-api-key" in request.headers:
            self._world.ledger.credentials_sent_to_storage += 1
        place = self._places.get(request.match_info["media_id"])
        signed = place is not None and request.query.get("X-Amz-Signature") == place.signature
        if place is None or not signed or request.headers.get("Content-Type") != place.content_type:
            return web.Response(status=403, text="<Error><Code>SignatureDoesNotMatch</Code></Error>")
        fault = self._world.plan.take("storage", None)
        if fault is not None and not fault.processed:
            return spoil(fault, None)
        place.content = await request.read()
        self._world.ledger.uploads += 1
        answer = web.Response(status=200)
        return answer if fault is None else spoil(fault, answer)

    async def confirm(self, request: web.Request) -> web.Response:
        """Say whether it is there; the word for what is not is not documented."""
        caller(request).agents.check_enabled()
        await checked_body(request, _CONFIRMATION)
        place = self._places.get(request.match_info["media_id"])
        if place is None:
            raise errors.not_found()
        return web.json_response({"status": "pending" if place.content is None else "uploaded"})

    async def file(self, request: web.Request) -> web.Response:
        """Give it to anybody."""
        place = self._places.get(request.match_info["media_id"])
        if place is None or place.content is None:
            raise web.HTTPNotFound
        return web.Response(body=place.content, content_type=place.content_type)
