"""The sandbox as a server: a context manager for tests, and a process for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import sys
from types import TracebackType

from aiohttp import web

from gateway.sandbox.clock import Clock, ScaledClock
from gateway.sandbox.http.agent_media_routes import AgentMediaRoutes
from gateway.sandbox.http.agent_routes import AgentRoutes
from gateway.sandbox.http.character_routes import CharacterRoutes
from gateway.sandbox.http.control_routes import ControlRoutes
from gateway.sandbox.http.generation_routes import GenerationRoutes
from gateway.sandbox.http.media_routes import MediaRoutes
from gateway.sandbox.http.middleware import OUTSIDE_API, ApiMiddleware, Handler
from gateway.sandbox.http.preset_routes import PresetRoutes
from gateway.sandbox.http.upload_routes import UploadRoutes
from gateway.sandbox.http.v1_routes import JobSetRoutes
from gateway.sandbox.ledger import Ledger
from gateway.sandbox.options import FAULT_KINDS, SandboxOptions
from gateway.sandbox.state import SandboxState
from gateway.sandbox.webhooks.sender import WebhookSender

__all__ = ["FAULT_KINDS", "Sandbox", "SandboxOptions", "run", "serve_until_stopped"]

_MAX_BODY_BYTES = 16 * 1024 * 1024
_STOP_TIMEOUT = 0.2
"""Seconds that open calls get when the server stops. It is short because a `hang` fault never finishes."""


class Sandbox:
    """A sandbox that listens on a real socket; an async context manager. With `tls` it serves https only."""

    def __init__(
        self, options: SandboxOptions, clock: Clock | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.options = options
        self.state = SandboxState(options, clock or ScaledClock(options.time_scale))
        self.webhook_sender = WebhookSender(self.state)
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.url = ""
        """The base URL; empty until it has started."""

    @property
    def ledger(self) -> Ledger:
        """The ledger, brought up to date."""
        self.state.settle()
        return self.state.ledger

    async def start(self) -> None:
        """Start to listen; raises OSError if the port is in use."""
        # Handlers are canceled when the client disconnects: this ends a `hang` fault, and interrupts nothing else.
        runner = web.AppRunner(
            _application(self.state, self.webhook_sender),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_STOP_TIMEOUT,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self.options.host, self.options.port, ssl_context=self._tls).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.webhook_sender.start()
        host, port = runner.addresses[0][:2]
        self.url = f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    async def stop(self) -> None:
        """Stop the webhooks and the server, and close all connections. Idempotent."""
        await self.webhook_sender.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Sandbox:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


async def serve_until_stopped(options: SandboxOptions) -> None:
    """Serve until a signal. Prints the URL and the credentials to standard output when it is ready."""
    stopped = asyncio.Event()
    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup lets the process ignore it
        signals.append(signal.SIGHUP)
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with Sandbox(options) as sandbox:
        with contextlib.suppress(OSError):  # the reader may have left, or have read one line only
            print(f"sandbox answers at {sandbox.url}\ncredentials {options.credentials}", flush=True)
        await stopped.wait()


def run(options: SandboxOptions) -> int:
    """Serve until a signal; returns the exit code of the process."""
    try:
        asyncio.run(serve_until_stopped(options))
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no name in DNS"
        print(f"sandbox cannot listen on {options.host}:{options.port}: {why}", file=sys.stderr)
        return 1
    return 0


def _application(state: SandboxState, webhook_sender: WebhookSender) -> web.Application:
    middleware = ApiMiddleware(state, webhook_sender)

    @web.middleware
    async def through_gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(OUTSIDE_API) and request.match_info.route.name != "submit":
            return await handler(request)
        return await middleware.handle(request, handler)

    application = web.Application(middlewares=[through_gate], client_max_size=_MAX_BODY_BYTES)
    application.add_routes(ControlRoutes(state, webhook_sender).routes())
    application.add_routes(MediaRoutes(state).routes())
    uploads = UploadRoutes(state)
    application.add_routes(uploads.routes())
    application.on_cleanup.append(uploads.remove_files)
    application.add_routes(PresetRoutes().routes())
    application.add_routes(JobSetRoutes(state).routes())
    application.add_routes(CharacterRoutes().routes())
    application.add_routes(AgentRoutes().routes())
    application.add_routes(AgentMediaRoutes(state).routes())
    application.add_routes(GenerationRoutes(state).routes())
    return application
