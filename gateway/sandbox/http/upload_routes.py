"""Uploads: the API creates a slot with a presigned URL; a PUT with the signed headers stores the file."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.http.call import json_body, origin_of
from gateway.sandbox.http.fault_responses import respond_with_fault
from gateway.sandbox.schema import Violation
from gateway.sandbox.state import SandboxState

CONTENT_TYPES = (
    "image/jpeg", "image/jpg", "image/png", "image/webp", "image/gif", "audio/wav", "audio/x-wav", "video/mp4",
)  # fmt: skip
TAGGING = "retention=temporary"
URL_SECONDS = 3600
KEPT_SECONDS = 7 * 86_400
MAX_KEPT_BYTES = 256 << 20
"""Bytes. Of a larger file the sandbox keeps only the size and the SHA-256, and returns them in place of the file."""
_PIECE = 1 << 20


@dataclass
class _Slot:
    """An upload slot. `file` is None until the file has been uploaded."""

    name: str
    content_type: str
    signature: str
    made_at: float
    file: Path | None = None
    too_large: str = ""
    put_at: float = 0.0


class UploadRoutes:
    """The routes of `POST /files/generate-upload-url` and of the storage, `/storage/{name}`."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._slots: dict[str, _Slot] = {}
        self._folder: Path | None = None

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.post("/files/generate-upload-url", self.create_slot, name="upload"),
            web.put("/storage/{name}", self.put),
            web.get("/storage/{name}", self.download),
        ]

    async def create_slot(self, request: web.Request) -> web.Response:
        """Create an upload slot with a presigned URL."""
        body = await json_body(request)
        content_type = body.get("content_type") if isinstance(body, dict) else None
        if content_type not in CONTENT_TYPES:
            raise errors.as_pydantic([Violation("enum", ("content_type",), content_type, list(CONTENT_TYPES))])
        now = self._state.clock.now()
        slot = _Slot(secrets.token_hex(12), content_type, secrets.token_hex(16), now)
        self._slots[slot.name] = slot
        public = f"{origin_of(request)}/storage/{slot.name}"
        return web.json_response(
            {
                "public_url": public,
                "upload_url": f"{public}?X-Amz-Expires={URL_SECONDS}&X-Amz-Signature={slot.signature}",
                "content_type": content_type,
                "upload_headers": {"Content-Type": content_type, "x-amz-tagging": TAGGING},
            }
        )

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Store a file if URL and headers are as signed. An upload that breaks off stores nothing."""
        if "Authorization" in request.headers or "hf-api-key" in request.headers:
            self._state.ledger.credentials_sent_to_storage += 1
        slot = self._slots.get(request.match_info["name"])
        now = self._state.clock.now()
        signed = (
            slot is not None
            and request.query.get("X-Amz-Signature") == slot.signature
            and request.headers.get("Content-Type") == slot.content_type
            and request.headers.get("x-amz-tagging") == TAGGING
            and now < slot.made_at + URL_SECONDS
        )
        if slot is None or not signed:
            return web.Response(status=403, text="<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if request.content_length is None:
            return web.Response(status=411, text="<Error><Code>MissingContentLength</Code></Error>")

        async def store() -> web.Response:
            slot.file, slot.too_large = await self._received(request, slot.name)
            slot.put_at = now
            self._state.ledger.uploads += 1
            return web.Response(status=200)

        return await respond_with_fault(self._state.plan.take("storage", None), store)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Return the file, for seven days; needs no credentials."""
        slot = self._slots.get(request.match_info["name"])
        if slot is not None and slot.too_large:
            raise web.HTTPGone(text=slot.too_large)
        if slot is None or slot.file is None or self._state.clock.now() >= slot.put_at + KEPT_SECONDS:
            raise web.HTTPNotFound
        return web.FileResponse(slot.file, headers={"Content-Type": slot.content_type})

    async def remove_files(self, _: web.Application) -> None:
        """Remove all uploaded files."""
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _received(self, request: web.Request, name: str) -> tuple[Path | None, str]:
        """Receive a file; returns its path, or None and a description if it is too large to be kept."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="sandbox-storage-"))
        path = self._folder / name
        # Written under another name until it is complete, so that a partial upload is never visible.
        partial = path.with_suffix(f".{secrets.token_hex(4)}")
        seen, size = hashlib.sha256(), 0
        with partial.open("wb") as file:

            def take(piece: bytes) -> None:
                seen.update(piece)
                if size <= MAX_KEPT_BYTES:
                    file.write(piece)

            async for piece in request.content.iter_chunked(_PIECE):
                size += len(piece)
                await asyncio.to_thread(take, piece)
        if size > MAX_KEPT_BYTES:
            partial.unlink()
            return None, f"too large to be kept: {size} bytes, SHA-256 {seen.hexdigest()}"
        return partial.rename(path), ""
