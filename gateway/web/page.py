"""The live page at `/`: prebuilt files, and a content security policy that lets them load no other code."""

import gzip
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_GZIP = re.compile(r"(?i)\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")
"""Matches an Accept-Encoding with gzip, unless its weight is 0: then gzip is refused (RFC 9110, 12.4.2)."""
_HEADERS = {
    # Outputs are loaded from Higgsfield's hosts, everything else from this gateway.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data: http: https:; "
        "media-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}


@cache
def page_routes() -> Sequence[Route]:
    """Return the routes of the page and of its files."""
    files = {"/": "index.html", "/favicon.ico": "icon.svg"}
    files |= {f"/page/{name}": name for name in ("app.css", "app.js", "icon.svg")}
    return [_route(path, name) for path, name in files.items()]


def _route(path: str, name: str) -> Route:
    content = (resources.files("gateway.web") / "page" / name).read_bytes()
    headers = {
        **_HEADERS,
        "content-type": _TYPES[name.rpartition(".")[2]],
        "etag": f'W/"{hashlib.sha256(content).hexdigest()[:32]}"',  # weak: the same for gzip
    }

    @cache
    def compressed() -> bytes:
        return gzip.compress(content, mtime=0)

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        if _GZIP.search(request.headers.get("accept-encoding", "")):
            return Response(compressed(), headers={**headers, "content-encoding": "gzip"})
        return Response(content, headers=headers)

    return Route(path, serve)
