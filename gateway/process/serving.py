"""Opens the ports of a gateway: gRPC, HTTP, webhooks, and the operator's socket."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from gateway.certificates import Certificates
from gateway.concurrency import keep_running
from gateway.generations.clock import SystemClock, sleep
from gateway.generations.stores import UnconfirmedError
from gateway.process.core import Core
from gateway.process.listening import check_free, listen, reachable_at
from gateway.process.open_files import connection_limits
from gateway.process.opening import import_mcp
from gateway.process.private_sockets import PrivateSockets, socket_in_use
from gateway.process.replica import Replica
from gateway.process.workers import Worker
from gateway.rpc.admin_access import AddressChain, ReplicasChain
from gateway.rpc.chain import Chain
from gateway.rpc.handlers.admin import AdminHandlers
from gateway.rpc.handlers.agents import AgentHandlers
from gateway.rpc.handlers.callbacks import CallbackHandlers
from gateway.rpc.handlers.catalog import CatalogHandlers
from gateway.rpc.handlers.characters import CharacterHandlers
from gateway.rpc.handlers.generations import GenerationHandlers, GenerationReads, NoPolls
from gateway.rpc.handlers.uploads import UploadHandlers
from gateway.rpc.handlers.watch_tokens import TokenHandlers
from gateway.rpc.limits.backlog import Backlog, measure
from gateway.rpc.limits.call_limits import CallLimits, WebhookLimit
from gateway.rpc.limits.requests import MAX_UPLOAD_REQUEST_BYTES
from gateway.rpc.services import (
    ADMIN_SERVICE,
    AGENT_SERVICE,
    CALLBACK_SERVICE,
    CATALOG_SERVICE,
    CHARACTER_SERVICE,
    GENERATION_SERVICE,
    PUBLIC_SERVICES,
    SUBMIT,
    TOKEN_SERVICE,
    UPLOAD_SERVICE,
)
from gateway.rpc.transports.forwarding import ForReplicas, ReceiveWebhook, Replicated, Switch, ToLeader, add_webhooks
from gateway.rpc.transports.health import SERVICE as HEALTH
from gateway.rpc.transports.health import Health
from gateway.rpc.transports.over_grpc import add_service
from gateway.rpc.transports.tls import peer_credentials, server_credentials
from gateway.settings.config import PREFIX, SettingError, Settings
from gateway.settings.values import Address, PostgresUrl
from gateway.store.store import SharedStore
from gateway.telemetry import Telemetry

if TYPE_CHECKING:
    from gateway.open_telemetry import Traces

log = logging.getLogger(__name__)

GRPC_OPTIONS = (
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Messages above the gateway's own limits are refused with details. Above this size they are not read.
    ("grpc.max_receive_message_length", MAX_UPLOAD_REQUEST_BYTES),
    # Close connections without a handshake or without calls, because each port has a limited number.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # Close the connection of a client that is gone, also if nothing is sent to it. Otherwise its silent call would keep
    # its place until its end, and its health watch for two hours.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    # Clients ping at most every 11 s. With the default of 5 min, a silent call of a minute would end their connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A waiting call that is not read may buffer 64 KiB. With the probe, gRPC would let it grow to 4 MiB.
    ("grpc.http2.bdp_probe", 0),
    # Calls that wait in gRPC, per queue, for up to 30 s. A burst of 12,000 watches must fit.
    ("grpc.server.max_pending_requests", 15_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
)
MAX_CONNECTION_AGE = 900.0
"""Seconds after which a replica asks a client for a new connection, more or less 10 %. Calls on the old one continue.

Behind a load balancer for connections, a replica that has just started would otherwise get only new clients.
"""
HEALTH_INTERVAL = 0.5
"""Seconds between updates of the reported health."""
LEADER_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.absolute_max_metadata_size", 64 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # the time that a connection may take to be accepted, despite its name
    # End the calls on a connection that was forgotten on the way, before their clients' timeout of 30 s: new ones after
    # 5 s, and those that are silent after 20 s.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment is for the world outside
)
"""Options of the connection to the leader."""
ADMIN_CONNECTIONS = 100
"""The most connections to the address of AdminService."""
ADMIN_CONNECTION_IDLE = 10.0
"""Seconds after which one without calls is closed, because anyone who reaches the address can open all of them."""
STOP_GRACE = 1.0
"""Seconds for responses that are being sent when the gRPC server stops."""


class Ports:
    """Opens the ports of a core or of a replica. The exit stack closes them."""

    def __init__(
        self,
        serving: Core | Replica,
        telemetry: Telemetry,
        traces: "Traces | None",
        exit_stack: contextlib.AsyncExitStack,
        worker: Worker | None = None,
    ) -> None:
        self._serving = serving
        self._worker = worker
        self._settings = serving.settings
        self._telemetry = telemetry
        self._traces = traces
        self._exit = exit_stack
        self._sockets = PrivateSockets(serving.settings.store, exit_stack)
        self.limits = CallLimits(self._behind)
        start_span = None if traces is None else traces.call
        self._chain = Chain(telemetry, serving.access, self.limits, start_span, serving.settings.forward_headers)
        self._certificates = certificates = _certificates(serving.settings)
        if certificates is not None:
            telemetry.add_gauge(
                "hfgateway_certificate_expire_time_seconds",
                "When the TLS certificate that is served expires",
                lambda: certificates.current().expire_time,
            )
        self._switches: dict[ServiceDescriptor, Switch] = {}
        self._to_leader: ToLeader | None = None
        self._webhooks: ReceiveWebhook | None = None
        """Takes the webhooks that arrive here, and at a replica that leads from now on those of others."""
        self._admin = Switch(ADMIN_SERVICE, None)
        self._admin_chain = AddressChain(telemetry, serving.access, CallLimits(), start_span)
        if isinstance(serving, Core):
            self._served = _handlers(serving)
            self._admin.handlers = _admin_handlers(serving)
        else:
            self._served = self._replicated(serving)
        self._generations = cast(GenerationReads, self._served[GENERATION_SERVICE])
        self._health = Health((service.full_name for service in self._served), telemetry.count_rejection)
        self._max_connections = connection_limits()

    def _replicated(self, replica: Replica) -> dict[ServiceDescriptor, object]:
        """Return handlers that read here and forward the rest, until `lead` replaces them."""
        self._chain.to_leader = self._admin_chain.to_leader = True

        def connect(peer: str) -> grpc.aio.Channel:
            if self._certificates is None:
                return grpc.aio.insecure_channel(peer, LEADER_CHANNEL_OPTIONS)
            return grpc.aio.secure_channel(peer, peer_credentials(self._certificates), LEADER_CHANNEL_OPTIONS)

        async def catch_up() -> None:
            with contextlib.suppress(UnconfirmedError):
                await replica.store.change_log.announced()

        async def do_nothing() -> None:
            pass

        leader = self._to_leader = ToLeader(
            lambda: replica.store.leader.peer,
            connect,
            replica.access.replica_secret,
            self._telemetry.forwarded,
            lambda: self._certificates and self._certificates.current(),
        )
        generations = GenerationReads(
            replica.reads, replica.watches, replica.forecasts, replica.store.copies, NoPolls()
        )
        here: dict[ServiceDescriptor, object] = {
            GENERATION_SERVICE: generations,
            TOKEN_SERVICE: TokenHandlers(replica.access),
        }
        for service in PUBLIC_SERVICES:
            replicated = Replicated(
                service, here.get(service), leader, catch_up if service is GENERATION_SERVICE else do_nothing
            )
            self._switches[service] = Switch(service, replicated)
        self._admin.handlers = Replicated(ADMIN_SERVICE, None, leader, do_nothing)
        self._run_until_stop(leader.keep_checking)
        self._exit.push_async_callback(leader.close)
        return dict(self._switches)

    def _behind(self) -> float:
        return self._serving.behind()

    def lead(self, core: Core) -> None:
        """Serve a core in place of the replica that has become it. `publish_address` leads the others to it."""
        for service, handlers in _handlers(core).items():
            self._switches[service].handlers = handlers
        self._admin.handlers = _admin_handlers(core)
        self._serving = core
        self._chain.to_leader = self._admin_chain.to_leader = False
        if self._settings.public_url is not None:
            from gateway.web.webhook import webhook_receiver

            self._webhooks = webhook_receiver(self._webhook_route(core))
        self._write_pointer()

    async def publish_address(self) -> None:
        """Publish the address of the gRPC port, if this gateway leads others. Raises UnconfirmedError."""
        if isinstance(self._serving.store, SharedStore):
            await self._serving.store.reachable_at(self._peer)

    def report_not_serving(self) -> None:
        """Report NOT_SERVING to health checks, because the gateway is about to stop."""
        self._health.drain()

    async def leader_responded(self) -> None:
        """Return when the leader has responded to the calls under way, but at most HFGATEWAY_DRAIN later."""
        if self._to_leader is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain):
                    await self._to_leader.responded()

    async def open_grpc(self) -> str:
        """Serve gRPC; return the address. Raises SettingError."""
        settings = self._settings
        age = MAX_CONNECTION_AGE if isinstance(settings.store, PostgresUrl) else None
        server = _grpc_server(self._max_connections.grpc, shared=self._worker is not None, age=age)
        backlog = Backlog()
        for service, handlers in self._served.items():
            add_service(server, service, handlers, self._chain, {SUBMIT: backlog})
        self._health.serve(server)
        _add_reflection(server, self._served, self._chain)
        if isinstance(settings.store, PostgresUrl) and settings.public_url is not None:
            add_webhooks(server, self._receive_forwarded, self._chain)
        if isinstance(settings.store, PostgresUrl):
            from_replicas = ReplicasChain(self._telemetry, self._serving.access)
            server.add_generic_rpc_handlers((ForReplicas(ADMIN_SERVICE, self._admin, from_replicas),))
        own = settings.grpc_address
        if self._worker is not None:
            self._bind(server, "GRPC_ADDRESS", own, shared=True)
            own = self._worker.grpc_address
        port = self._bind(server, "GRPC_ADDRESS", own)
        self._bind_socket(server, self._sockets.probes)
        await self._start(server)
        self._run_until_stop(lambda: measure(backlog, self._sockets.probes, SUBMIT))
        self._peer = str(settings.replica_address or reachable_at(own.host, port))
        self._register_limit_metrics()
        self._health.set(serving=True)
        self._run_until_stop(self._follow_health)
        return str(Address(own.host, port))

    def _bind(self, server: grpc.aio.Server, name: str, address: Address, *, shared: bool = False) -> int:
        """Give a gRPC server the address of a setting; return the port. Raises SettingError."""
        if not shared:
            check_free(name, address)  # if the port is in use, gRPC would log its own lines
        try:
            tls = None if self._certificates is None else server_credentials(self._certificates)
            bound = str(address)
            port: int = server.add_secure_port(bound, tls) if tls else server.add_insecure_port(bound)
        except RuntimeError as error:
            listen(name, address, shared=shared).close()  # raises the reason if it is the address
            if self._certificates is not None:  # gRPC's TLS library accepts fewer kinds of keys than Python's
                why = "gRPC cannot use this key: choose RSA or ECDSA with the curve P-256"
                raise SettingError(PREFIX + "TLS_KEY", why) from error
            raise SettingError(PREFIX + name, f"{address} cannot be used: in use?") from error
        return port

    def _bind_socket(self, server: grpc.aio.Server, address: str) -> None:
        """Give a gRPC server a Unix socket. Raises SettingError."""
        try:
            server.add_insecure_port(address)
        except RuntimeError as error:
            raise SettingError("TMPDIR", f"no socket can be created at {address}: is the path too long?") from error

    async def _start(self, server: grpc.aio.Server) -> None:
        await server.start()
        self._exit.push_async_callback(server.stop, STOP_GRACE)

    async def open_http(self, listening: Sequence[socket.socket]) -> str:
        """Serve Connect, gRPC-Web, webhooks, the page and metrics on listening sockets; return the URL of the first.

        Raises SettingError.
        """
        # gRPC is already served. These imports take as long as all before them.
        await asyncio.to_thread(_import_late)
        from gateway.rpc.transports.over_connect import ConnectApp
        from gateway.web.events import event_routes
        from gateway.web.page import page_routes
        from gateway.web.server import WebServer, web_app

        settings, access = self._settings, self._serving.access
        mcp = await self._open_mcp() if settings.mcp else []
        app = web_app(
            [
                ConnectApp(service, handlers, self._chain, self._telemetry.count_rejection)
                for service, handlers in self._served.items()
            ],
            await self._open_webhooks(),
            [
                *event_routes(self._generations, self._chain, access, secure=settings.tls_cert is not None),
                *page_routes(),
                *mcp,
            ],
            ready=lambda: (self._serving.not_ready, self._serving.trouble),
            exposition=self._telemetry.exposition,
            allowed_origins=settings.allowed_origins,
            forward_headers=settings.forward_headers,
            foreign_hosts=settings.auth == "keys",
            count_rejection=self._telemetry.count_rejection,
        )
        server = WebServer(
            app,
            listening,
            certificates=self._certificates,
            max_connections=self._max_connections.http,
            count_rejection=self._telemetry.count_rejection,
        )
        await server.start()
        self._exit.push_async_callback(server.stop)
        self._telemetry.add_gauge(
            "hfgateway_http_connections", "Connections of the HTTP port", lambda: server.connections
        )
        host, port = listening[0].getsockname()[:2]
        return f"{'https' if settings.tls_cert else 'http'}://{Address(host, port)}"

    async def open_admin(self) -> str:
        """Serve the operator on a Unix socket in a private folder, and on an address if one is set; return the latter.

        A file beside the store contains the address of the socket. Raises SettingError.
        """
        server = grpc.aio.server()
        # Only the operator can open the socket, so there are no keys and no limits.
        add_service(server, ADMIN_SERVICE, self._admin, Chain(self._telemetry))
        self._bind_socket(server, self._sockets.admin)
        await self._start(server)
        self._exit.callback(self._sockets.remove_pointer)
        if isinstance(self._serving, Core) or not socket_in_use(self._settings.store):
            self._write_pointer()
        self._run_until_stop(self._sockets.keep_pointer)
        address = self._settings.admin_address
        if address is None:
            return ""
        shared = self._worker is not None
        server = _grpc_server(ADMIN_CONNECTIONS, shared=shared, idle=ADMIN_CONNECTION_IDLE)
        add_service(server, ADMIN_SERVICE, self._admin, self._admin_chain)
        served = Address(address.host, self._bind(server, "ADMIN_ADDRESS", address, shared=shared))
        await self._start(server)
        log.info("AdminService is listening", extra={"address": str(served)})
        return str(served)

    def _write_pointer(self) -> None:
        try:
            self._sockets.write_pointer()
        except OSError as error:  # callers do not need it: the disk may be full or, with PostgreSQL, read-only
            about = {"error": str(error)}
            log.warning("the file with the address of the operator's socket cannot be written; will retry", extra=about)

    async def _open_mcp(self) -> list[Any]:
        """Start the MCP endpoint; return its routes. Raises SettingError if its library is not installed."""
        await asyncio.to_thread(import_mcp)
        from gateway.web.mcp import McpEndpoint

        endpoint = McpEndpoint(
            self._served, self._chain, self._serving.access, self.limits, self._settings.allowed_origins
        )
        await endpoint.start()
        self._exit.push_async_callback(endpoint.stop)
        return endpoint.routes

    def _run_until_stop(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._exit.callback(asyncio.create_task(keep_running(run)).cancel)

    async def _follow_health(self) -> None:
        """Report the same health over gRPC as /readyz: NOT_SERVING while the gateway is not ready."""
        clock = SystemClock()
        while True:
            await sleep(clock, HEALTH_INTERVAL)
            self._health.set(serving=not self._serving.not_ready)

    def _register_limit_metrics(self) -> None:
        """Register the metrics of the limits."""
        self._telemetry.add_gauge("hfgateway_follower_behind_seconds", "Delay of status polls", self._behind)
        for name, pool in self.limits.pools().items():
            total = pool.total
            for metric, help_text, read in (
                (f"places_{name}", f"Calls that hold a place in the pool {name}", lambda one=total: one.held),
                (f"queued_{name}", f"Calls that wait for a place in the pool {name}", lambda one=total: one.queued),
            ):
                self._telemetry.add_gauge(f"hfgateway_{metric}", help_text, read)

    async def _open_webhooks(self) -> list[Any]:
        """Return the route of webhooks for the HTTP port; none if they are disabled or have a separate port."""
        from gateway.web.server import WebServer, routed
        from gateway.web.webhook import forwarding_route, webhook_receiver

        settings = self._settings
        if settings.public_url is None:
            return []
        if isinstance(self._serving, Core):
            route = self._webhook_route(self._serving)
            self._webhooks = webhook_receiver(route)
        else:
            assert self._to_leader is not None
            self._webhooks = self._to_leader.webhook
            webhook_limit = WebhookLimit(self._telemetry.refusal_counter("webhook"))
            route = forwarding_route(self._serving.store.generations, self._receive_webhook, webhook_limit)
        if settings.webhook_address is None:
            return [route]
        listening = listen("WEBHOOK_ADDRESS", settings.webhook_address, shared=self._worker is not None)
        self._exit.callback(listening.close)
        server = WebServer(
            routed([route]),
            [listening],
            certificates=_certificates(settings, ask_clients=False),  # Higgsfield has no client certificate
            max_connections=self._max_connections.webhooks,
            count_rejection=self._telemetry.count_rejection,
        )
        await server.start()
        self._exit.push_async_callback(server.stop)
        return []

    def _webhook_route(self, core: Core) -> Any:
        from gateway.higgsfield.webhooks import Signatures
        from gateway.web.webhook import Proofs, webhook_route

        secrets = self._settings.webhook_secrets
        proofs = Proofs(
            Signatures(secrets) if secrets else None,
            core.webhook_addresses.is_secret_of,
            core.upstream.read_webhook,
            core.upstream.read_job_set,
        )
        webhook_limit = WebhookLimit(self._telemetry.refusal_counter("webhook"))
        inbox, traces = core.webhook_inbox, self._traces
        receive = inbox.receive if traces is None else traces.webhooks(inbox.receive)
        return webhook_route(core.store.generations, receive, proofs, webhook_limit, self._telemetry.count_rejection)

    async def _receive_webhook(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Receive a webhook that has arrived here."""
        assert self._webhooks is not None
        return await self._webhooks(path, headers, body)

    async def _receive_forwarded(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Receive a webhook that another replica has forwarded. Only the leader takes it."""
        if self._webhooks is None or isinstance(self._serving, Replica):
            return 503, b"try again\n"
        return await self._webhooks(path, headers, body)


def _handlers(core: Core) -> dict[ServiceDescriptor, object]:
    generations = GenerationHandlers(
        core.service,
        core.watches,
        core.forecasts,
        core.timelines,
        core.store.copies,
        follower=core.follower,
        adopter=core.adopter,
    )
    return {
        GENERATION_SERVICE: generations,
        TOKEN_SERVICE: TokenHandlers(core.access),
        UPLOAD_SERVICE: UploadHandlers(core.uploads),
        CALLBACK_SERVICE: CallbackHandlers(core.tenant_callbacks),
        CATALOG_SERVICE: CatalogHandlers(core.catalogs),
        CHARACTER_SERVICE: CharacterHandlers(core.characters),
        AGENT_SERVICE: AgentHandlers(core.agents),
    }


def _admin_handlers(core: Core) -> AdminHandlers:
    return AdminHandlers(
        resolver=core.resolver,
        access=core.access,
        characters=core.characters,
        agents=core.agents,
        budgets=core.budgets,
        usage=core.store.usage,
        accounts=core.accounts,
        clock=core.clock,
        audit=core.store.audit,
    )


def _grpc_server(
    max_connections: int, *, shared: bool, age: float | None = None, idle: float | None = None
) -> grpc.aio.Server:
    """Return a server for callers that are not trusted, with the most connections. Workers may share its port.

    Clients are asked for a new connection when one has the age in seconds. One without calls is closed after `idle`
    seconds, by default after those of GRPC_OPTIONS.
    """
    options = dict(GRPC_OPTIONS)
    options |= {"grpc.max_allowed_incoming_connections": max_connections, "grpc.so_reuseport": int(shared)}
    for name, seconds in (("grpc.max_connection_age_ms", age), ("grpc.max_connection_idle_ms", idle)):
        if seconds is not None:
            options[name] = round(seconds * 1000)
    return grpc.aio.server(options=tuple(options.items()))


def _import_late() -> None:
    import gateway.catalog.validate
    import gateway.higgsfield.transport
    import gateway.rpc.transports.over_connect
    import gateway.web.server  # noqa: F401


def _certificates(settings: Settings, *, ask_clients: bool = True) -> Certificates | None:
    """Return the certificates of a port; None without TLS. With `ask_clients`, clients need one of TLS_CLIENT_CA."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificates(settings.tls_cert, settings.tls_key, settings.tls_client_ca if ask_clients else None)


def _add_reflection(server: "grpc.aio.Server", services: Iterable[ServiceDescriptor], chain: Chain) -> None:
    from gateway.rpc.transports import reflection

    versions = (reflection.v1(), reflection.V1ALPHA)
    names = (*(service.full_name for service in (*services, *versions)), HEALTH)
    handlers = reflection.ReflectionHandlers(names)
    for version in versions:
        add_service(server, version, handlers, chain)
