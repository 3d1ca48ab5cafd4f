"""MCP over streamable HTTP, at `/mcp`. Each request is independent, so there are no sessions to store or to hijack."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access.identity import Access
from gateway.errors import GatewayError, Reason
from gateway.mcp import render
from gateway.mcp.server import mcp_server
from gateway.mcp.tools import all_tools
from gateway.rpc.chain import Chain
from gateway.rpc.errors import failure_message
from gateway.rpc.limits.call_limits import CallLimits, KeptRequest
from gateway.rpc.limits.requests import BadRequestError, too_large
from gateway.rpc.transports.over_mcp import HandledPort, methods_by_name
from gateway.telemetry import Rejection
from gateway.web.local import is_foreign

PATH = "/mcp"
MAX_BODY_BYTES = 4 * 1024 * 1024
"""The most bytes of a request: an upload in base64, with its envelope."""
MAX_SEPARATORS = 50_000
"""The most commas and opening brackets in a request, also in its texts. More values would block the event loop for
longer than other calls do. A call has far fewer, and the tools limit the values of their arguments."""
Receive = Callable[[], Awaitable[Any]]


class McpEndpoint:
    """The ASGI app. `start` it before the first request, and `stop` it after the last one."""

    def __init__(
        self,
        served: Mapping[ServiceDescriptor, object],
        chain: Chain,
        access: Access,
        limits: CallLimits,
        allowed_origins: Sequence[str],
    ) -> None:
        methods = methods_by_name(served, chain)
        server = mcp_server(all_tools(), lambda context: HandledPort(methods, context.request.headers))
        self._manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=MAX_BODY_BYTES)
        self._chain = chain
        self._limits = limits
        chain.refusal_counter(PATH)  # the metric begins with 0
        self._access = access
        self._allowed_origins = frozenset(allowed_origins)
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def routes(self) -> list[Route]:
        """The routes: the path, and with a slash, which users often add to the URL."""
        return [Route(PATH, self), Route(f"{PATH}/", self)]

    async def start(self) -> None:
        """Return when requests can be served."""
        self._running = asyncio.create_task(self._run())
        await self._ready.wait()

    async def stop(self) -> None:
        """Cancel the requests that are still being served."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        """Run the library's task group, which must be left by the task that entered it."""
        async with self._manager.run():
            self._ready.set()
            await asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Refuse a request without valid credentials, from another origin or too large; pass others to the library."""
        request = Request(scope, receive)
        refused = self._refusal(request)
        if refused is not None:
            await refused(scope, receive, send)
            return
        try:
            identity = self._access.authenticate(request.headers.get("authorization", ""))
            with self._limits.kept_request(identity) as kept:
                body = await _read(request, kept)
                await self._manager.handle_request(scope, _again(body, receive), send)
        except GatewayError as error:
            await self._error_response(error)(scope, receive, send)
        except ClientDisconnect:
            pass  # before its request had arrived

    def _refusal(self, request: Request) -> Response | None:
        if request.method != "POST":
            # Without sessions, the server sends no messages except responses.
            return Response(status_code=405, headers={"allow": "POST"})
        origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
        if is_foreign(origin, host, self._allowed_origins):
            return Response("this origin is not allowed\n", status_code=403)
        return None

    def _error_response(self, error: GatewayError) -> Response:
        """Return the response for an error before the library has the request. Each tool has its own errors."""
        self._chain.wire_form(error, PATH)  # counts it
        content = {"error": render.failure_json(failure_message(error.failure))}
        reason = error.failure.reason
        if isinstance(error, BadRequestError):
            return JSONResponse(content, status_code=413 if error.rejection is Rejection.SIZE else 400)
        if reason is Reason.INVALID_CREDENTIALS:  # not even the list of tools is returned
            return JSONResponse(content, status_code=401, headers={"www-authenticate": "Bearer"})
        return JSONResponse(content, status_code=429 if reason is Reason.GATEWAY_OVERLOADED else 503)


async def _read(request: Request, kept: KeptRequest) -> bytes:
    """Read the body of a request. Raises BadRequestError, GATEWAY_OVERLOADED, ClientDisconnect."""
    body = bytearray()
    async for part in request.stream():
        if len(body) + len(part) > MAX_BODY_BYTES:
            raise too_large(MAX_BODY_BYTES)
        kept.grow(len(body) + len(part))
        body += part
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_SEPARATORS:
        raise BadRequestError(Rejection.VALUES, f"has more than {MAX_SEPARATORS} commas and opening brackets")
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a channel that delivers the body, and then what `receive` does."""
    rest = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Any:
        return rest.pop() if rest else await receive()

    return receive_again
