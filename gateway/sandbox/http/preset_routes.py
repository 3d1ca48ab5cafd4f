"""The routes of lists: motions and styles of the v1 API, and presets of models."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.catalog.presets import MOTIONS, PRESETS, SOUL_STYLES_1, SOUL_STYLES_2, Item

_STUDIO = "marketing-studio/image"


class PresetRoutes:
    """Read-only lists, identical for every account. Faults match calls by the names of the routes."""

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/v1/motions", self.motions, name="motions", allow_head=False),
            web.get("/v1/text2image/soul-styles", self.styles, name="styles", allow_head=False),
            web.get("/v1/text2image/soul-styles/v2", self.styles_2, name="styles_2", allow_head=False),
            web.get(f"/{_STUDIO}/presets", self.studio_presets, name="studio_presets", allow_head=False),
            web.get("/models/{model:.+}/presets", self.presets, name="presets", allow_head=False),
        ]

    async def motions(self, _: web.Request) -> web.Response:
        """Return the motions as a bare array, as v1 does."""
        return web.json_response(MOTIONS)

    async def styles(self, _: web.Request) -> web.Response:
        """Return the styles of Soul 1."""
        return web.json_response(SOUL_STYLES_1)

    async def styles_2(self, _: web.Request) -> web.Response:
        """Return the styles of Soul 2."""
        return web.json_response(SOUL_STYLES_2)

    async def presets(self, request: web.Request) -> web.Response:
        """Return the presets of a model. Those of the marketing studio have a path of their own."""
        model = request.match_info["model"]
        if model not in PRESETS or model == _STUDIO:
            raise errors.model_not_found()
        return web.json_response({"model": model, "items": PRESETS[model]})

    async def studio_presets(self, request: web.Request) -> web.Response:
        """Return the presets of the marketing studio whose names contain `search`, at most `size`."""
        search, size = request.query.get("search", "").lower(), request.query.get("size", "")
        found: list[Item] = [one for one in PRESETS[_STUDIO] if search in one["name"].lower()]
        answer: dict[str, Any] = {"items": found[: int(size)] if size.isdecimal() else found}
        return web.json_response(answer)
