"""The ASGI app of the HTTP port, and its server in the gateway's own event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from gateway import failpoints
from gateway.certificates import Certificates
from gateway.config import WEBHOOK_PATH
from gateway.rpc.call import WARNING
from gateway.rpc.over_connect import ConnectApp
from gateway.telemetry import Bad
from gateway.web.connection import HEAD_WITHIN, Connection
from gateway.web.local import LocalCallersOnly
from gateway.web.places import Place, Places

log = logging.getLogger(__name__)

ACCEPT_AGAIN = 0.5
"""Seconds until the next connection is accepted, where there was no file descriptor for one."""
Count = Callable[[Bad], None]
LAST_WORDS = 2.0
"""Seconds for answers that are on their way when the port closes."""
_CALL_HEADERS = (
    "authorization", "connect-protocol-version", "connect-timeout-ms", "content-type", "grpc-timeout", "last-event-id",
    "mcp-method", "mcp-name", "mcp-protocol-version", "x-grpc-web", "x-user-agent",
)  # fmt: skip
_ANSWER_HEADERS = ("grpc-message", "grpc-status", "grpc-status-details-bin", WARNING)


def web_app(
    services: Sequence[ConnectApp],
    webhooks: Sequence[BaseRoute] = (),
    more: Sequence[BaseRoute] = (),
    *,
    ready: Callable[[], str],
    exposition: Callable[[], bytes],
    allowed_origins: Sequence[str],
    foreign_hosts: bool = False,
    bad: Count = lambda _: None,
) -> Starlette:
    """The app. `ready` tells why the gateway is not, or an empty text; `foreign_hosts`: any name may reach us.

    `bad` counts what is refused.
    """

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why = ready()
        return PlainTextResponse(f"{why or 'ready'}\n", status_code=503 if why else 200)

    async def metrics(_: Request) -> Response:
        return Response(exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    routes: list[BaseRoute] = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        *(Mount(service.path, app=service) for service in services),
        *more,
    ]
    middleware = []
    if not foreign_hosts:
        middleware.append(Middleware(LocalCallersOnly, allowed_origins=allowed_origins, bad=bad))
    if allowed_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(allowed_origins),
                allow_methods=["GET", "POST"],
                allow_headers=list(_CALL_HEADERS),
                expose_headers=list(_ANSWER_HEADERS),
                max_age=7200,
            )
        )
    guarded = Starlette(routes=routes, middleware=middleware)
    # Webhooks come under our public name, and carry their own proof: no guard of callers stands before them.
    return Starlette(routes=[*webhooks, Mount("/", app=guarded)]) if webhooks else guarded


def webhook_app(webhooks: Sequence[BaseRoute]) -> Starlette:
    """The app of a port that serves webhooks alone."""
    return Starlette(routes=list(webhooks))


_Message = MutableMapping[str, Any]


def mortal(app: Any) -> Any:
    """The app with failpoints around all that it sends; without one to come, the app itself."""
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
    """Leaves signals to the gateway, accepts connections as far as there are places, and ends as soon as it is told to.

    asyncio's own accepting writes thousands of lines at once where there are no file descriptors left, and does not
    count connections before their TLS handshake; uvicorn's own end takes up to 0.2 s more.
    """

    _told: asyncio.Event | None = None
    _accepting: asyncio.Task[None]

    def __init__(self, config: uvicorn.Config, listening: socket.socket, places: Places, bad: Count) -> None:
        super().__init__(config)
        self._listening = listening
        self._places = places
        self._bad = bad

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        """Have it end."""
        self.should_exit = True
        if self._told is not None:
            self._told.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._accepting = asyncio.create_task(self._accept())
        self.started = True

    async def main_loop(self) -> None:
        self._told, counter = asyncio.Event(), 0
        while not await self.on_tick(counter):
            # As many ticks as there would have been: every tenth renews the Date that answers carry.
            counter += 10
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._accepting.cancel()
        await asyncio.wait({self._accepting})
        self._listening.close()
        open_ones, tasks = self.server_state.connections, self.server_state.tasks
        for connection in list(open_ones):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                while tasks:
                    await asyncio.wait(tasks)
                while open_ones:  # noqa: ASYNC110 - nobody tells when one closes
                    await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()

    async def _accept(self) -> None:
        """Accept until the end; where there is no file descriptor left, again after a while."""
        loop = asyncio.get_running_loop()
        opening: set[asyncio.Task[None]] = set()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listening)
            except (ConnectionAbortedError, InterruptedError):
                continue
            except OSError as error:
                log.error("no connection can be accepted now", extra={"error": error.strerror})
                await asyncio.sleep(ACCEPT_AGAIN)
                continue
            place = self._places.take()
            if place is None:
                accepted.close()
                log.warning("a port has as many connections as it may have: others are refused")
                continue
            task = loop.create_task(self._open(accepted, place))
            place.idle(task.cancel)
            opening.add(task)
            task.add_done_callback(opening.discard)

    async def _open(self, accepted: socket.socket, place: Place) -> None:
        """Serve the connection, once its TLS handshake is done if it has one."""
        config = self.config

        def connection() -> asyncio.Protocol:
            return Connection(config, self.server_state, {}, place=place, bad=self._bad)

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                connection, accepted, ssl=config.ssl, ssl_handshake_timeout=HEAD_WITHIN if config.ssl else None
            )
        except OSError:  # of TLS, too: the other side speaks it wrongly, or not at all
            self._bad(Bad.ENCODING)
            place.leave()
        except BaseException:
            place.leave()
            raise


class WebServer:
    """Serves an app on a socket that is listening already, to so many connections at once."""

    def __init__(
        self,
        app: Any,
        listening: socket.socket,
        *,
        certificates: Certificates | None = None,
        most: int = 1024,
        bad: Count = lambda _: None,
    ) -> None:
        """`bad` counts what is refused."""
        config = uvicorn.Config(
            mortal(app),
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        config.load()
        if certificates is not None:
            config.ssl = certificates.context()
        self._places = Places(most, bad)
        self._server = _Uvicorn(config, listening, self._places, bad)
        self._task: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._places.taken

    async def start(self) -> None:
        """Return when it answers."""
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """Stop accepting, finish what is open within two seconds, end."""
        self._server.end()
        if self._task is not None:
            await self._task
