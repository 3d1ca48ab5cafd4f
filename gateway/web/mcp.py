"""MCP over streamable HTTP, at `/mcp`. Each request is independent, so there are no sessions to store or to hijack."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.access.identity import Access
from gateway.errors import GatewayError, Reason
from gateway.mcp import render
from gateway.mcp.server import mcp_server
from gateway.mcp.tools import all_tools
from gateway.rpc.chain import Chain
from gateway.rpc.errors import failure_message
from gateway.rpc.transports.over_mcp import HandledPort, Methods
from gateway.web.local import is_foreign

PATH = "/mcp"


class McpEndpoint:
    """The ASGI app. `start` it before the first request, and `stop` it after the last one."""

    def __init__(
        self,
        served: Mapping[ServiceDescriptor, object],
        chain: Chain,
        access: Access,
        allowed_origins: Sequence[str],
    ) -> None:
        methods = Methods(served, chain)
        server = mcp_server(all_tools(), lambda context: HandledPort(methods, context.request.headers))
        self._manager = StreamableHTTPSessionManager(server, stateless=True)
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
        """Refuse a request without valid credentials or from another origin; pass any other one to the library."""
        request = Request(scope, receive)
        refused = self._refusal(request)
        if refused is not None:
            await refused(scope, receive, send)
            return
        await self._manager.handle_request(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if request.method != "POST":
            # Without sessions, the server sends no messages except responses.
            return Response(status_code=405, headers={"allow": "POST"})
        origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
        if is_foreign(origin, host, self._allowed_origins):
            return Response("this origin is not allowed\n", status_code=403)
        try:
            self._access.identify(request.headers.get("authorization", ""), "GetGeneration")
        except GatewayError as error:
            if error.failure.reason is Reason.NOT_ALLOWED:
                return None  # the credentials are valid, and each tool checks what they allow
            # Without valid credentials, not even the list of tools is returned.
            content = {"error": render.failure_json(failure_message(error.failure))}
            if error.failure.reason is Reason.GATEWAY_UNAVAILABLE:
                return JSONResponse(content, status_code=503)
            return JSONResponse(content, status_code=401, headers={"www-authenticate": "Bearer"})
        return None
