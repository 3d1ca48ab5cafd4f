"""The live page at `/`: three files that were built before, and a policy that lets them load nothing else."""

import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_HEADERS = {
    # Results lie on Higgsfield's hosts; everything else is ours.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data: http: https:; "
        "media-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def page_routes() -> list[Route]:
    """`/`, and what the page loads."""
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
