"""The ASGI app of the HTTP port, and its server in the gateway's own event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from gateway import failpoints
from gateway.certificates import Certificates
from gateway.rpc.transports.over_connect import ConnectApp
from gateway.settings.config import WEBHOOK_PATH
from gateway.telemetry import Rejection
from gateway.web.connection import HEAD_TIMEOUT, Connection
from gateway.web.connection_limit import ConnectionLimit, Slot
from gateway.web.local import LocalCallersOnly

log = logging.getLogger(__name__)

ACCEPT_RETRY_DELAY = 0.5
"""Seconds until the next attempt to accept a connection, after there was no file descriptor for one."""
DRAIN_TIMEOUT = 2.0
"""Seconds for responses that are being sent when the port closes."""
KEEP_ALIVE = 75
"""Seconds until an idle connection is closed. Many clients and proxies reuse one that was idle for up to 60 s, and lose
the request if the connection is closed at that moment."""
CountRejection = Callable[[Rejection], None]
_CALL_HEADERS = (
    "authorization", "connect-protocol-version", "connect-timeout-ms", "content-type", "grpc-timeout", "last-event-id",
    "mcp-method", "mcp-name", "mcp-protocol-version", "traceparent", "tracestate", "x-grpc-web", "x-user-agent",
)  # fmt: skip
_RESPONSE_HEADERS = ("grpc-message", "grpc-status", "grpc-status-details-bin")
_Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application."""


def web_app(
    services: Sequence[ConnectApp],
    webhooks: Sequence[BaseRoute] = (),
    more: Sequence[BaseRoute] = (),
    *,
    ready: Callable[[], tuple[str, str]],
    exposition: Callable[[], Awaitable[bytes]],
    allowed_origins: Sequence[str],
    forward_headers: Collection[str] = (),
    foreign_hosts: bool = False,
    count_rejection: CountRejection = lambda _: None,
) -> App:
    """Return the app of the HTTP port.

    `services` are served under their paths, `webhooks` are the routes of webhooks, and `more` are further routes.
    `ready` returns why the gateway is not ready, and what is wrong although it is, both empty if nothing; `exposition`
    returns the metrics in Prometheus's text format. Pages of `allowed_origins` may call (CORS), also with
    `forward_headers`. With `foreign_hosts`, requests may name any host. `count_rejection` counts refused requests.
    """

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why, trouble = ready()
        if why:
            return PlainTextResponse(f"{why}\n", status_code=503)
        return PlainTextResponse(f"ready, but {trouble}\n" if trouble else "ready\n")

    async def metrics(_: Request) -> Response:
        return Response(await exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics), *more]
    app = _by_folder({service.path: service for service in services}, routed(routes))
    if allowed_origins:
        app = CORSMiddleware(
            app,
            allow_origins=list(allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=[*_CALL_HEADERS, *forward_headers],
            expose_headers=list(_RESPONSE_HEADERS),
            max_age=7200,
        )
    if not foreign_hosts:
        app = LocalCallersOnly(app, allowed_origins=allowed_origins, count_rejection=count_rejection)
    # Webhooks name the public host and prove themselves, so the middleware for callers does not apply to them.
    return _by_folder({WEBHOOK_PATH.rstrip("/"): routed(webhooks)}, app) if webhooks else app


def _by_folder(apps: Mapping[str, App], others: App) -> App:
    """Return an app that calls the one for the path up to its last slash, else `others`.

    A refused call takes 5 % less processor time than with a `Mount` of Starlette for each service.
    """

    async def serve(scope: _Message, receive: Any, send: Any) -> None:
        await apps.get(scope["path"].rpartition("/")[0], others)(scope, receive, send)

    return serve


def routed(routes: Sequence[BaseRoute]) -> App:
    """Return an app that serves these routes."""
    app = Starlette(routes=routes)
    # Behind a proxy, a redirect would lead to http, and a client could send its API key there in plaintext.
    app.router.redirect_slashes = False
    return app


def with_failpoints(app: App) -> App:
    """Return the app with failpoints around every message that it sends; the app itself if no failpoint is armed."""
    if not failpoints.ARMED:
        return app

    async def serve(scope: _Message, receive: Any, send: Callable[[_Message], Awaitable[None]]) -> None:
        answer = "webhook answer" if scope["path"].startswith(WEBHOOK_PATH) else "HTTP answer"

        async def send_or_die(message: _Message) -> None:
            part = message.get("more_body", False)
            if part:
                failpoints.before("HTTP message")
            elif message["type"] == "http.response.start":
                failpoints.before(answer)
            await send(message)
            if part:
                failpoints.after("HTTP message")
            elif message["type"] == "http.response.body":
                failpoints.after(answer)

        await app(scope, receive, send_or_die)

    return serve


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which leaves signals to the gateway, limits its connections, and stops without delay.

    It accepts connections itself: asyncio would log thousands of lines at once when no file descriptors are left, and
    would not count connections before their TLS handshake. uvicorn's own main loop takes up to 0.2 s longer to stop.
    """

    _stopping: asyncio.Event | None = None

    def __init__(
        self,
        config: uvicorn.Config,
        listening: Sequence[socket.socket],
        limit: ConnectionLimit,
        count_rejection: CountRejection,
        certificates: Certificates | None,
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._limit = limit
        self._count_rejection = count_rejection
        self._certificates = certificates
        self._opening: set[asyncio.Task[None]] = set()
        """Connections that are not served yet, usually because of their TLS handshake."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def request_stop(self) -> None:
        self.should_exit = True
        if self._stopping is not None:
            self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in self._listening:
            self._listen(listening)
        self.started = True

    async def main_loop(self) -> None:
        self._stopping, counter = asyncio.Event(), 0
        while not await self.on_tick(counter):
            # uvicorn ticks ten times a second; every tenth tick renews the Date header.
            counter += 10
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        await asyncio.sleep(0)  # a task that is canceled before it starts would not close its connection
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        open_ones, tasks = self.server_state.connections, self.server_state.tasks
        for connection in list(open_ones):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                while tasks:
                    await asyncio.wait(tasks)
                while open_ones:  # noqa: ASYNC110 - uvicorn does not signal that a connection has closed
                    await asyncio.sleep(0.01)
        for connection in list(open_ones):
            connection.transport.abort()  # so that no task waits for its client
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_TIMEOUT)

    def _listen(self, listening: socket.socket) -> None:
        """Accept connections until the server stops."""
        if not self.should_exit:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Accept the connections that wait. Without a free file descriptor, pause for ACCEPT_RETRY_DELAY seconds."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = listening.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                log.error("cannot accept a connection; will retry", extra={"error": error.strerror})
                loop.remove_reader(listening)
                loop.call_later(ACCEPT_RETRY_DELAY, self._listen, listening)
                return
            accepted.setblocking(False)
            slot = self._limit.take()
            if slot is None:
                accepted.close()
                log.warning("connection refused: the port has reached its limit of connections, and none is idle")
            else:
                task = loop.create_task(self._open(accepted, slot))
                slot.idle(task.cancel)
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            if self._limit.full:
                return  # the others in the next iteration of the event loop, or a flood would block all tasks

    async def _open(self, accepted: socket.socket, slot: Slot) -> None:
        """Start to serve a connection; with TLS, after the handshake."""
        config = self.config
        # A context that outlives its files would resume TLS sessions of clients that a newer CA does not know.
        tls = None if self._certificates is None else self._certificates.current().context

        def connection() -> asyncio.Protocol:
            return Connection(config, self.server_state, {}, slot=slot, count_rejection=self._count_rejection)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                connection, accepted, ssl=tls, ssl_handshake_timeout=HEAD_TIMEOUT if tls else None
            )
        except OSError as error:  # includes errors of TLS
            if not isinstance(error, ConnectionResetError):  # closed by the peer, as by a health check over TCP
                self._count_rejection(Rejection.ENCODING)
            slot.release()
        except BaseException:
            slot.release()
            raise


class WebServer:
    """Serves an app on listening sockets, to at most `max_connections` at once. `count_rejection` counts refusals."""

    def __init__(
        self,
        app: App,
        listening: Sequence[socket.socket],
        *,
        certificates: Certificates | None = None,
        max_connections: int = 1024,
        count_rejection: CountRejection = lambda _: None,
    ) -> None:
        config = uvicorn.Config(
            with_failpoints(app),
            http=Connection,
            ws="none",
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # callers could choose the address that the log shows
        )
        config.load()
        self._limit = ConnectionLimit(max_connections, count_rejection)
        self._server = _Uvicorn(config, listening, self._limit, count_rejection, certificates)
        self._task: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return self._limit.open_connections

    async def start(self) -> None:
        """Return when requests are answered. Raises the error of a server that fails to start."""
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """Stop accepting connections, and finish open requests within DRAIN_TIMEOUT seconds."""
        self._server.request_stop()
        if self._task is not None:
            await self._task
