"""The routes of lists: motions and styles of the v1 API, and presets of models."""

from __future__ import annotations

from aiohttp import web

from gateway.sandbox import errors
from gateway.sandbox.catalog.presets import MOTIONS, PRESETS, SOUL_STYLES_1, SOUL_STYLES_2, Item, with_origin
from gateway.sandbox.http.call import origin_of
from gateway.sandbox.schema import whole_number

_STUDIO = "marketing-studio/image"
_DEFAULT_PAGE_SIZE = 50


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

    async def motions(self, request: web.Request) -> web.Response:
        """Return the motions as a bare array, as v1 does."""
        return web.json_response(with_origin(MOTIONS, origin_of(request)))

    async def styles(self, request: web.Request) -> web.Response:
        """Return the styles of Soul 1."""
        return web.json_response(with_origin(SOUL_STYLES_1, origin_of(request)))

    async def styles_2(self, request: web.Request) -> web.Response:
        """Return the styles of Soul 2."""
        return web.json_response(with_origin(SOUL_STYLES_2, origin_of(request)))

    async def presets(self, request: web.Request) -> web.Response:
        """Return the presets of a model. Those of the marketing studio have their own path."""
        model = request.match_info["model"]
        if model not in PRESETS or model == _STUDIO:
            raise errors.model_not_found()
        return web.json_response({"model": model, "items": with_origin(PRESETS[model], origin_of(request))})

    async def studio_presets(self, request: web.Request) -> web.Response:
        """Return a page of the marketing studio's presets whose names contain `search`.

        `cursor` is the number in the response to the request for the previous page; it is null after the last page.
        """
        search = request.query.get("search", "").lower()
        found = [
            preset for preset in with_origin(PRESETS[_STUDIO], origin_of(request)) if search in preset["name"].lower()
        ]
        size, start = _number(request, "size", _DEFAULT_PAGE_SIZE), _number(request, "cursor", 0)
        end = start + size
        page = {"items": [_studio(preset) for preset in found[start:end]], "total": len(found)}
        return web.json_response(page | {"cursor": end if end < len(found) else None})


def _studio(item: Item) -> Item:
    """Return a preset in the form of the marketing studio, which names its preview differently."""
    return {"id": item["id"], "type": "ads", "name": item["name"], "cover_image": {"url": item["preview_url"]}}


def _number(request: web.Request, name: str, usual: int) -> int:
    number = whole_number(request.query.get(name, ""))
    return usual if number is None else number
