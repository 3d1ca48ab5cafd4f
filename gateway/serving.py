"""Opens the ports of a gateway: gRPC, HTTP, webhooks, and the operator's socket."""

import asyncio
import contextlib
import hashlib
import importlib
import os
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2_grpc

from gateway.certificates import Certificates, Loaded
from gateway.config import PREFIX, Address, SettingError, Settings, Store, default_store
from gateway.core import Core
from gateway.generations.clock import SystemClock, rest
from gateway.mcp import INSTALL, needs_install
from gateway.open_files import connections
from gateway.rpc.admin import AdminHandlers
from gateway.rpc.agents import AgentHandlers
from gateway.rpc.callbacks import CallbackHandlers
from gateway.rpc.catalog import CatalogHandlers
from gateway.rpc.chain import Chain
from gateway.rpc.characters import CharacterHandlers
from gateway.rpc.generations import GenerationHandlers
from gateway.rpc.health import Health
from gateway.rpc.limits import WEBHOOKS, Door, Limits
from gateway.rpc.over_grpc import add_service
from gateway.rpc.requests import LARGEST_UPLOAD_REQUEST
from gateway.rpc.uploads import UploadHandlers
from gateway.rpc.watch_tokens import TokenHandlers
from gateway.telemetry import Telemetry
from hfgateway.admin.v1 import admin_service_pb2
from hfgateway.agents.v1alpha1 import agent_service_pb2
from hfgateway.v1 import (
    callback_service_pb2,
    catalog_service_pb2,
    character_service_pb2,
    generation_service_pb2,
    token_service_pb2,
    upload_service_pb2,
)

if TYPE_CHECKING:
    from gateway.open_telemetry import Traces

SERVICE = generation_service_pb2.DESCRIPTOR.services_by_name["GenerationService"]
TOKEN_SERVICE = token_service_pb2.DESCRIPTOR.services_by_name["TokenService"]
UPLOAD_SERVICE = upload_service_pb2.DESCRIPTOR.services_by_name["UploadService"]
CALLBACK_SERVICE = callback_service_pb2.DESCRIPTOR.services_by_name["CallbackService"]
CATALOG_SERVICE = catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"]
CHARACTER_SERVICE = character_service_pb2.DESCRIPTOR.services_by_name["CharacterService"]
AGENT_SERVICE = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]
PUBLIC_SERVICES = (
    SERVICE, TOKEN_SERVICE, UPLOAD_SERVICE, CALLBACK_SERVICE, CATALOG_SERVICE, CHARACTER_SERVICE, AGENT_SERVICE,
)  # fmt: skip
"""The services for callers, on both ports."""
ADMIN_SERVICE = admin_service_pb2.DESCRIPTOR.services_by_name["AdminService"]
GRPC_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Messages above the gateway's own limits are refused with details. Above this size they are not read.
    ("grpc.max_receive_message_length", LARGEST_UPLOAD_REQUEST),
    # Close connections without a handshake or without calls, because each port has a limited number.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # Clients ping at most every 11 s. The default of 5 min would end their idle watches.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A waiting call that is not read may buffer 64 KiB. With the probe, gRPC would let it grow to 4 MiB.
    ("grpc.http2.bdp_probe", 0),
    # Calls that wait in gRPC, per queue, for up to 30 s. A burst of 12,000 watches must fit.
    ("grpc.server.max_pending_requests", 15_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
)
HEALTH_EVERY = 0.5
"""Seconds between updates of the reported health."""
STOP_GRACE = 1.0
"""Seconds for responses that are being sent when the gRPC server stops."""


class Ports:
    """Opens the ports of a core. The exit stack closes them."""

    def __init__(
        self, core: Core, telemetry: Telemetry, traces: "Traces | None", exit_stack: contextlib.AsyncExitStack
    ) -> None:
        self._core = core
        self._settings = core.settings
        self._telemetry = telemetry
        self._traces = traces
        self._exit = exit_stack
        self.limits = Limits(core.follower.behind)
        start_span = None if traces is None else traces.call
        self._chain = Chain(telemetry, core.access, self.limits, start_span, core.settings.forward_headers)
        self._generations = GenerationHandlers(
            core.service,
            core.watches,
            core.forecasts,
            core.timelines,
            core.archived,
            follower=core.follower,
            adopter=core.adopter,
        )
        self._served = {
            SERVICE: self._generations,
            TOKEN_SERVICE: TokenHandlers(core.access),
            UPLOAD_SERVICE: UploadHandlers(core.uploads),
            CALLBACK_SERVICE: CallbackHandlers(core.tenant_callbacks),
            CATALOG_SERVICE: CatalogHandlers(core.catalogs),
            CHARACTER_SERVICE: CharacterHandlers(core.characters),
            AGENT_SERVICE: AgentHandlers(core.agents),
        }
        self._certificates = _certificates(core.settings)
        self._health = Health((service.full_name for service in self._served), telemetry.bad)
        self._most = connections()

    def not_serving(self) -> None:
        """Report NOT_SERVING to health checks, because the gateway is about to stop."""
        self._health.drain()

    async def open_grpc(self) -> str:
        """Serve gRPC; return the address. Raises SettingError."""
        settings = self._settings
        most = ("grpc.max_allowed_incoming_connections", self._most.grpc)
        server = grpc.aio.server(options=(*GRPC_OPTIONS, most))
        for service, handlers in self._served.items():
            add_service(server, service, handlers, self._chain)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        _add_reflection(server, self._served, self._chain)
        # If the port is in use, gRPC would log lines of its own.
        check_free("GRPC_ADDRESS", settings.grpc_address)
        try:
            tls = None if self._certificates is None else _grpc_tls(self._certificates)
            address = str(settings.grpc_address)
            port = server.add_secure_port(address, tls) if tls else server.add_insecure_port(address)
        except RuntimeError as error:
            raise SettingError(PREFIX + "GRPC_ADDRESS", f"{settings.grpc_address} cannot be used: in use?") from error
        await server.start()
        self._exit.push_async_callback(server.stop, STOP_GRACE)
        self._show()
        self._health.set(serving=True)
        following = asyncio.create_task(self._follow_health())
        self._exit.callback(following.cancel)
        return str(Address(settings.grpc_address.host, port))

    async def open_http(self, listening: socket.socket) -> str:
        """Serve Connect, gRPC-Web, webhooks, the page and metrics on a listening socket; return the URL.

        Raises SettingError.
        """
        # gRPC is already served. These imports take as long as all before them.
        await asyncio.to_thread(_import_late)
        from gateway.rpc.over_connect import ConnectApp
        from gateway.web.events import event_routes
        from gateway.web.page import page_routes
        from gateway.web.server import WebServer, web_app

        settings, core = self._settings, self._core
        mcp = await self._open_mcp() if settings.mcp else []
        app = web_app(
            [
                ConnectApp(service, handlers, self._chain, self._telemetry.bad)
                for service, handlers in self._served.items()
            ],
            await self._open_webhooks(),
            [
                *event_routes(self._generations, self._chain, core.access, secure=settings.tls_cert is not None),
                *page_routes(),
                *mcp,
            ],
            ready=lambda: (core.not_ready, core.trouble),
            exposition=self._telemetry.exposition,
            allowed_origins=settings.allowed_origins,
            foreign_hosts=settings.auth == "keys",
            bad=self._telemetry.bad,
        )
        server = WebServer(
            app, listening, certificates=self._certificates, most=self._most.http, bad=self._telemetry.bad
        )
        await server.start()
        self._exit.push_async_callback(server.stop)
        self._telemetry.watch("hfgateway_http_connections", "Connections of the HTTP port", lambda: server.connections)
        host, port = listening.getsockname()[:2]
        return f"{'https' if settings.tls_cert else 'http'}://{Address(host, port)}"

    async def open_admin(self) -> None:
        """Serve the operator on a Unix socket in a private folder. A file beside the store contains its address."""
        server = grpc.aio.server()
        # Only the operator can open the socket, so there are no keys and no limits.
        core = self._core
        handlers = AdminHandlers(
            resolver=core.resolver,
            access=core.access,
            characters=core.characters,
            agents=core.agents,
            budgets=core.budgets,
            usage=core.store.usage,
            clock=core.clock,
        )
        add_service(server, ADMIN_SERVICE, handlers, Chain(self._telemetry))
        address = f"unix:{self._private_folder() / 'admin'}"
        server.add_insecure_port(address)
        await server.start()
        self._exit.push_async_callback(server.stop, STOP_GRACE)
        pointer = admin_pointer(self._settings.store)
        pointer.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = pointer.with_name(pointer.name + ".part")
        part.write_text(address)
        # Replace atomically, so that a reader finds the complete address or no file.
        part.replace(pointer)
        self._exit.callback(pointer.unlink, missing_ok=True)

    async def _open_mcp(self) -> list[Any]:
        """Start the MCP endpoint; return its route. Raises SettingError if its library is not installed."""
        try:
            await asyncio.to_thread(importlib.import_module, "gateway.web.mcp")
        except ModuleNotFoundError as error:
            if not needs_install(error):
                raise
            raise SettingError(PREFIX + "MCP", f"needs a library that is not installed: {INSTALL}") from error
        from gateway.web.mcp import McpEndpoint

        endpoint = McpEndpoint(self._served, self._chain, self._core.access, self._settings.allowed_origins)
        await endpoint.start()
        self._exit.push_async_callback(endpoint.stop)
        return [endpoint.route]

    async def _follow_health(self) -> None:
        """Report the same health over gRPC as /readyz: NOT_SERVING while the gateway is not ready."""
        clock = SystemClock()
        while True:
            await rest(clock, HEALTH_EVERY)
            self._health.set(serving=not self._core.not_ready)

    def _show(self) -> None:
        """Register the metrics of the limits."""
        self._telemetry.watch("hfgateway_follower_behind_seconds", "Delay of status polls", self._core.follower.behind)
        for name, pool in self.limits.pools().items():
            total = pool.total
            for metric, help_text, read in (
                (f"places_{name}", f"Calls that hold a place in the pool {name}", lambda one=total: one.held),
                (f"queued_{name}", f"Calls that wait for a place in the pool {name}", lambda one=total: one.queued),
            ):
                self._telemetry.watch(f"hfgateway_{metric}", help_text, read)

    def _private_folder(self) -> Path:
        """Create a folder that only the gateway's user can enter; it is removed at the stop."""
        return Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="hfgateway-")))

    async def _open_webhooks(self) -> list[Any]:
        """Return the route of webhooks for the HTTP port; none if they are disabled or have a separate port."""
        from gateway.higgsfield.webhooks import Signatures
        from gateway.web.server import WebServer, webhook_app
        from gateway.web.webhook import Proofs, webhook_route

        settings, core = self._settings, self._core
        if settings.public_url is None:
            return []
        signatures = Signatures(settings.webhook_secrets) if settings.webhook_secrets else None
        door = Door(WEBHOOKS, self._telemetry.refusals("webhook"))
        proofs = Proofs(
            signatures, core.webhook_addresses.proven, core.upstream.read_delivery, core.upstream.read_job_set
        )
        inbox, traces = core.webhook_inbox, self._traces
        receive = inbox.receive if traces is None else traces.webhooks(inbox.receive)
        route = webhook_route(core.store.generations, receive, proofs, door, self._telemetry.bad)
        if settings.webhook_address is None:
            return [route]
        listening = listen("WEBHOOK_ADDRESS", settings.webhook_address)
        self._exit.callback(listening.close)
        server = WebServer(webhook_app([route]), listening, most=self._most.webhooks, bad=self._telemetry.bad)
        await server.start()
        self._exit.push_async_callback(server.stop)
        return []


async def open_standby(settings: Settings, exit_stack: contextlib.AsyncExitStack, active: str) -> str:
    """Serve health checks on the HTTP port of a gateway that waits for another one; return the URL.

    `active` is the address of the other gateway. Raises SettingError.
    """
    await asyncio.to_thread(_import_late)  # so that nothing has to be imported at a takeover
    from gateway.web.server import WebServer
    from gateway.web.standby import standby_app

    listening = listen("HTTP_ADDRESS", settings.http_address)
    exit_stack.callback(listening.close)
    server = WebServer(standby_app(active), listening, certificates=_certificates(settings), most=connections().http)
    await server.start()
    exit_stack.push_async_callback(server.stop)
    host, port = listening.getsockname()[:2]
    return f"{'https' if settings.tls_cert else 'http'}://{Address(host, port)}"


def listen(name: str, address: Address) -> socket.socket:
    """Return a listening socket for the address of a setting. Raises SettingError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # asyncio disables Nagle's algorithm only if the socket's protocol is TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise SettingError(PREFIX + name, f"{address} cannot be used ({error.strerror})") from error
    listening.setblocking(False)
    return listening


def check_free(name: str, address: Address) -> None:
    """Raise SettingError if the address cannot be bound now."""
    listen(name, address).close()


def admin_pointer(store: Store) -> Path:
    """Return the file that contains the address of the operator's socket for a store.

    For a database of a server, it is in the user's data folder on the gateway's machine.
    """
    if isinstance(store, Path):
        return store.with_name(store.name + ".admin")
    name = hashlib.sha256(str(store).encode()).hexdigest()[:16]
    return default_store(os.environ).with_name(f"postgresql-{name}.admin")


def _import_late() -> None:
    import gateway.catalog.validate
    import gateway.higgsfield.transport
    import gateway.rpc.over_connect
    import gateway.web.server  # noqa: F401


def _certificates(settings: Settings) -> Certificates | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificates(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


def _grpc_tls(certificates: Certificates) -> grpc.ServerCredentials:
    """Return gRPC credentials that use the current certificates at each handshake."""

    def configuration(loaded: Loaded) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(loaded.key, loaded.cert)], root_certificates=loaded.client_ca
        )

    served = certificates.current()

    def newer() -> grpc.ServerCertificateConfiguration | None:
        nonlocal served
        if (now := certificates.current()) is served:
            return None  # keep the current configuration
        served = now
        return configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        configuration(served), newer, require_client_authentication=certificates.clients_need_one
    )


def _add_reflection(server: "grpc.aio.Server", services: Iterable[ServiceDescriptor], chain: Chain) -> None:
    from gateway.rpc import reflection

    versions = (reflection.v1(), reflection.V1ALPHA)
    names = (*(service.full_name for service in (*services, *versions)), health.SERVICE_NAME)
    handlers = reflection.ReflectionHandlers(names)
    for version in versions:
        add_service(server, version, handlers, chain)
