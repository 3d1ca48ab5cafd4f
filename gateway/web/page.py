"""The live page at `/`: three prebuilt files, and a content security policy that lets them load no other code."""

import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_HEADERS = {
    # Outputs are loaded from Higgsfield's hosts, everything else from this gateway.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data: http: https:; "
        "media-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def page_routes() -> list[Route]:
    """Return the routes of the page and of its files."""
    return [_route("/", "index.html"), _route("/page/app.css", "app.css"), _route("/page/app.js", "app.js")]


def _route(path: str, name: str) -> Route:
    content = (resources.files("gateway.web") / "page" / name).read_bytes()
    headers = {
        **_HEADERS,
        "content-type": _TYPES[name.rpartition(".")[2]],
        "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    }

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return Route(path, serve)
