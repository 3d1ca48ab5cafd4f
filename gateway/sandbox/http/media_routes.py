"""The output files of completed generations: rendered on the first request, in a thread, and cached."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable

from aiohttp import web

from gateway.sandbox.catalog.presets import PREVIEWS
from gateway.sandbox.generations.generation import Generation
from gateway.sandbox.http.fault_responses import respond_with_fault
from gateway.sandbox.state import SandboxState

_RANGE = re.compile(r"bytes=([0-9]{1,15})-")
_NAME = re.compile(r"([0-9]{1,3})(\.min)?\.(png|webm)")
_EXAMPLES = {"portrait.png": "image/png", "speech.wav": "audio/wav"}

_PREVIEW_SIZE = (192, 108)
_MAX_CACHED = 64
"""The number of rendered files in the cache. Older files are rendered again when they are requested."""


class MediaRoutes:
    """`/media/{request}/{index}.png|webm`, without credentials, like the storage of the real service.

    `.min` before the suffix is the smaller file of v1. `/media/examples/portrait.png` and `speech.wav` are example
    inputs. `/media/previews/...` are the previews of motions, styles and presets.
    """

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._files: OrderedDict[str, asyncio.Future[bytes]] = OrderedDict()

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/media/examples/{name}", self.example),
            web.get("/media/previews/{kind}/{name}", self.preview),
            web.get("/media/{request_id}/{name}", self.download),
        ]

    async def example(self, request: web.Request) -> web.Response:
        """Return an example input."""
        name = request.match_info["name"]
        if name not in _EXAMPLES:
            raise web.HTTPNotFound
        content = await self._rendered_or_501(request.path, _example(name))
        return web.Response(body=content, content_type=_EXAMPLES[name])

    async def preview(self, request: web.Request) -> web.Response:
        """Return the preview of a motion, a style or a preset."""
        if request.path not in PREVIEWS:
            raise web.HTTPNotFound
        video = request.path.endswith(".webm")
        content = await self._rendered_or_501(request.path, _preview(PREVIEWS[request.path], video=video))
        return _part(request, content, "video/webm" if video else "image/png")

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Return an output file, or a byte range of it, unless a fault is planned."""
        generation = self._state.generation(request.match_info["request_id"])
        fault = self._state.plan.take("media", generation.prompt if generation else None)
        return await respond_with_fault(fault, lambda: self._answer(request, generation))

    async def _answer(self, request: web.Request, generation: Generation | None) -> web.Response:
        """Return a file; raises a 404 if it does not exist, a 403 if it has expired."""
        named = _NAME.fullmatch(request.match_info["name"])
        now = self._state.clock.now()
        if named is None or generation is None or generation.deleted_at is not None:
            raise web.HTTPNotFound
        index, small, kind = int(named[1]), bool(named[2]), named[3]
        right_kind = "webm" if generation.model.output_type == "video" else "png"
        if not generation.has_file(index, now) or kind != right_kind or small > bool(generation.job_outcomes):
            raise web.HTTPNotFound
        if generation.expires_at is not None and now >= generation.expires_at:
            raise web.HTTPForbidden
        draw = _renderer(generation, index, self._state.options.seed, small=small)
        content = await self._rendered_or_501(request.path, draw)
        return _part(request, content, "video/webm" if kind == "webm" else "image/png")

    async def _rendered_or_501(self, path: str, draw: Callable[[], bytes]) -> bytes:
        try:
            return await self._rendered(path, draw)
        except ModuleNotFoundError as error:
            raise web.HTTPNotImplemented(text=f"output files need the extra sandbox: {error}") from None

    async def _rendered(self, path: str, draw: Callable[[], bytes]) -> bytes:
        if path not in self._files:
            self._files[path] = asyncio.ensure_future(asyncio.to_thread(draw))
            if len(self._files) > _MAX_CACHED:
                self._files.popitem(last=False)
        # Shielded, because other clients may wait for the file when this one disconnects.
        return await asyncio.shield(self._files[path])


def _part(request: web.Request, content: bytes, content_type: str) -> web.Response:
    """Return the whole file, or the requested range if `If-Range` matches."""
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted is None or request.headers.get("If-Range", etag) != etag:
        return web.Response(body=content, content_type=content_type, headers=headers)
    offset, size = int(wanted[1]), len(content)
    if offset >= size:
        return web.Response(status=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
    return web.Response(status=206, body=content[offset:], content_type=content_type, headers=headers)


def _example(name: str) -> Callable[[], bytes]:
    def make() -> bytes:
        if name.endswith(".wav"):
            from gateway.sandbox.media.speech import speech

            return speech()
        from gateway.sandbox.media.render import Canvas, render_png

        return render_png(Canvas(720, 960, "a person speaking", name))

    return make


def _preview(title: str, *, video: bool) -> Callable[[], bytes]:
    def make() -> bytes:
        from gateway.sandbox.media.render import Canvas, render_png, render_webm

        canvas = Canvas(*_PREVIEW_SIZE, title, "preview")
        return render_webm(canvas) if video else render_png(canvas)

    return make


def _renderer(generation: Generation, index: int, seed: int, *, small: bool) -> Callable[[], bytes]:
    """Return a function that renders a file. It reads the generation now, because a deletion may clear it."""
    parameters = generation.model.with_defaults(generation.parameters)
    text, look = generation.prompt or generation.model.slug, f"{seed} {parameters.get('seed')} {index}"
    video = generation.model.output_type == "video"

    def draw() -> bytes:
        from gateway.sandbox.media import render  # Pillow and PyAV are slow to import

        size = render.video_size(parameters) if video else render.image_size(parameters)
        if small:
            size = render.thumbnail_size(size)
        canvas = render.Canvas(*size, text, look)
        return render.render_webm(canvas) if video else render.render_png(canvas)

    return draw
