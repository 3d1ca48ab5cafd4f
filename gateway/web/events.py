"""Server-sent events: the changes of one generation for an `EventSource`, which resumes by `Last-Event-ID`.

`GET /v1/generations/{id}/events` sends each change as an event named `change`. Its id is the revision, and its data is
the Generation as JSON, without the input. The stream ends after the final change. A request with the id of that event
is answered with 204, which stops an EventSource.

An EventSource cannot send headers. A page therefore exchanges its watch token for a cookie that scripts cannot read:
`POST /v1/session` with the token in `authorization`. API keys are not accepted there, and the cookie is valid on the
events route only.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing
from typing import Any, Protocol

from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.access.identity import Access, invalid_credentials
from gateway.access.tokens import PREFIX as TOKEN_PREFIX
from gateway.errors import GatewayError, invalid_field
from gateway.rpc.call import Call
from gateway.rpc.chain import Chain
from gateway.rpc.errors import Code, RpcError
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb

WATCH_METHOD = "/hfgateway.v1.GenerationService/WatchGeneration"
COOKIE = "hfgateway_watch"
MAX_COOKIE_BYTES = 4096
"""Bytes of the name and the value; browsers ignore larger ones (RFC 6265bis, 5.6)."""
RECONNECT_MS = 1000
_STATUS = {
    Code.INVALID_ARGUMENT: 400, Code.UNAUTHENTICATED: 401, Code.PERMISSION_DENIED: 403, Code.NOT_FOUND: 404,
    Code.UNAVAILABLE: 503,
}  # fmt: skip
_TRANSIENT_CODES = frozenset({Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE})
"""The errors after which the same stream can be opened a moment later."""
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class WatchHandler(Protocol):
    """The handler of WatchGeneration."""

    def watch_generation(self, request: pb.WatchGenerationRequest, call: Call) -> AsyncGenerator[bytes, None]:
        """Stream every change after a revision, as encoded responses."""


def event_routes(handlers: WatchHandler, chain: Chain, access: Access, *, secure: bool) -> list[Route]:
    """Return the routes for events and for the session cookie. `secure`: the port uses TLS, and so does the cookie."""
    guard = chain.guard(WATCH_METHOD)

    async def events(request: Request) -> Response:
        try:
            with ExitStack() as opening:
                call = await opening.enter_context(guard()).call(_authorization(request), None)
                call.start_waiting()
                asked = pb.WatchGenerationRequest(id=request.path_params["id"], after_revision=_last_revision(request))
                messages = handlers.watch_generation(asked, call)
                # The first message is read before the response starts, so that a refusal has its own HTTP status.
                first = await anext(messages, None)
                if first is None:
                    return Response(status_code=204, headers=_HEADERS)
                stream = _stream(first, messages, opening.pop_all())
        except RpcError as error:
            return _retry_later(error) if error.code in _TRANSIENT_CODES else _error_response(error)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)

    async def session(request: Request) -> Response:
        secret = request.headers.get("authorization", "").partition(" ")[2].strip()
        try:
            if not secret.startswith(TOKEN_PREFIX):
                raise invalid_credentials("a watch token is required; an API key does not belong in a browser")
            identity = access.identify(f"Bearer {secret}", "WatchGeneration")
            if len(COOKIE) + len(secret) > MAX_COOKIE_BYTES:
                raise invalid_field(
                    "authorization", "the token is too large for a cookie: name fewer ids, or use labels"
                )
        except GatewayError as error:
            return _error_response(chain.wire_form(error, request.url.path))
        answer = Response(status_code=204, headers=_HEADERS)
        seconds = int(access.seconds_left(identity) or 0)
        # A proxy in front of the gateway may terminate TLS. Browsers send the origin of the page.
        tls = secure or request.headers.get("origin", "").startswith("https:")
        answer.set_cookie(COOKIE, secret, max_age=seconds, path="/v1/", httponly=True, samesite="strict", secure=tls)
        return answer

    watch = Route("/v1/generations/{id}/events", events, methods=["GET"])
    assert watch.methods is not None
    watch.methods.discard("HEAD")  # Starlette adds it, and would open a watch whose events are never sent
    return [
        watch,
        Route("/v1/session", session, methods=["POST"]),
    ]


async def _stream(first: bytes, messages: AsyncGenerator[bytes, None], guard: ExitStack) -> AsyncIterator[str]:
    """Stream the events. If the watch fails, the stream ends and the EventSource reconnects."""
    try:
        with guard:
            async with aclosing(messages):
                yield f"retry: {RECONNECT_MS}\n\n"
                yield _event(first)
                async for message in messages:
                    yield _event(message)
    except RpcError as error:
        if error.code is Code.UNAUTHENTICATED:
            yield f"event: refused\ndata: {json.dumps(_describe_error(error))}\n\n"


def _event(message: bytes) -> str:
    seen = pb.WatchGenerationResponse.FromString(message)
    if not seen.HasField("generation"):
        return ": still here\n\n"
    data = json_format.MessageToJson(seen.generation, indent=None)
    return f"id: {seen.generation.revision}\nevent: change\ndata: {data}\n\n"


def _authorization(request: Request) -> str:
    """Return the `authorization` header, or the one for the watch token in the cookie; "" without both."""
    token = request.cookies.get(COOKIE, "")
    return request.headers.get("authorization", "") or (f"Bearer {token}" if token else "")


def _last_revision(request: Request) -> int:
    text = request.headers.get("last-event-id", "")
    if not text:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise invalid_field("last-event-id", "must be the id of an event of this stream")
    return int(text)


def _describe_error(error: RpcError) -> dict[str, Any]:
    failures = [detail for detail in error.details if isinstance(detail, error_pb2.Failure)]
    failure = json_format.MessageToDict(failures[0]) if failures else {}
    return {"code": error.code.name.lower(), "message": error.message, "failure": failure}


def _retry_later(refusal: RpcError) -> Response:
    """Return an empty stream with the time to reconnect, because an EventSource does not reconnect after an error."""
    (retry,) = (detail.retry_delay for detail in refusal.details if isinstance(detail, RetryInfo))
    return Response(f"retry: {retry.ToMilliseconds()}\n\n", media_type="text/event-stream", headers=_HEADERS)


def _error_response(error: RpcError) -> Response:
    return JSONResponse(_describe_error(error), status_code=_STATUS.get(error.code, 500), headers=_HEADERS)
