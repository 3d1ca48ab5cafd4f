"""Runs one gateway: start, graceful stop, and the process around it."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
from pathlib import Path

from gateway import failpoints
from gateway.access.identity import Access
from gateway.concurrency import keep_running
from gateway.generations.store_backoff import until_taken_over
from gateway.generations.stores import UnconfirmedError
from gateway.higgsfield.credentials import Credentials
from gateway.process.assembly import Machine, join, lead
from gateway.process.core import Core
from gateway.process.core_metrics import register_metrics, register_role
from gateway.process.listening import listen
from gateway.process.memory import trim_after_bursts
from gateway.process.open_files import raise_limit
from gateway.process.opening import open_traces
from gateway.process.replica import CHECK_CREDENTIALS_INTERVAL, Replica
from gateway.process.serving import Ports
from gateway.process.stopping import HUNG_UP, on_stop_signals
from gateway.process.workers import Worker, connect_supervisor
from gateway.settings.config import PREFIX, SettingError, Settings, make_default_folder
from gateway.store.sqlite.mounts import NETWORK_ADVICE, network_filesystem
from gateway.store.store import StoreOpenError
from gateway.telemetry import Telemetry, announce

log = logging.getLogger(__name__)

EXIT_STORE_BROKEN = 74


class Gateway:
    """One gateway. Call `start` once and `stop` once; `grpc_address` and `http_address` are set by `start`."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        machine: Machine | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._machine = machine or Machine()
        self._worker = worker
        self._telemetry = Telemetry()
        self._exit = contextlib.AsyncExitStack()
        self._core: Core
        self._replica: Replica | None = None
        """The parts of this gateway while another one leads; None from then on when it leads itself."""
        self._former: Replica | None = None
        """The replica that this gateway was before it led. Calls of that time may still wait: `stop` ends them."""
        self._following: asyncio.Task[None] | None = None
        self._ports: Ports
        self._opened = asyncio.Event()
        """Set once all ports are open."""
        self.grpc_address = self.http_address = ""

    @property
    def access(self) -> Access:
        """The API keys and watch tokens of this gateway."""
        return self._serving.access

    @property
    def _serving(self) -> Core | Replica:
        """What this gateway is now."""
        return self._core if self._replica is None else self._replica

    async def start(self) -> None:
        """Open the store and the ports. If it raises SettingError or StoreOpenError, everything is closed again.

        If another gateway leads on a database, this one serves as a replica, and leads when it can.
        """
        try:
            await self._start()
        except UnconfirmedError as error:
            raise StoreOpenError(f"{self._settings.store}: {error}") from error

    async def _start(self) -> None:
        try:
            joined = await self._join()
        except BaseException:
            await self._exit.aclose()
            raise
        try:
            await self._serve(joined)
        except BaseException:
            await self.stop()  # what an earlier process left may be under way already
            raise

    async def _join(self) -> Core | Replica:
        self._traces = open_traces(self._settings)
        if self._traces is not None:
            self._exit.push_async_callback(asyncio.to_thread, self._traces.close)
        joined = await join(self._settings, self._credentials, _store_broke, self._machine)
        self._exit.push_async_callback(self._close)
        if isinstance(joined, Core):
            self._core = joined
            self._observe(joined)
        else:
            self._replica = self._former = joined
            await joined.begin()
        register_role(lambda: self._serving, self._telemetry)
        self._ports = Ports(joined, self._telemetry, self._traces, self._exit, self._worker)
        return joined

    async def _serve(self, joined: Core | Replica) -> None:
        listening = self._listen_http()
        if isinstance(joined, Core):
            await joined.start()
        else:
            self._following = asyncio.create_task(self._follow(joined))
        self.grpc_address = await self._ports.open_grpc()
        if isinstance(joined, Core):
            await self._ports.publish_address()
        self.admin_address = await self._ports.open_admin()
        self.http_address = await self._ports.open_http(listening)  # the last one, because it says when all are open
        self._opened.set()

    def _listen_http(self) -> list[socket.socket]:
        """Return the listening sockets of HTTP, this gateway's own one first. Raises SettingError."""
        own, worker = self._settings.http_address, self._worker
        if worker is not None:
            own = worker.http_address
        opened = [listen("HTTP_ADDRESS", own)]
        self._exit.callback(opened[0].close)
        if worker is not None:
            opened.append(listen("HTTP_ADDRESS", self._settings.http_address, shared=True))
            self._exit.callback(opened[1].close)
        return opened

    async def _follow(self, replica: Replica) -> None:
        """Follow the leader until this gateway leads, and lead."""
        try:
            await replica.follow()
            core = self._core = await until_taken_over(lambda: lead(replica, self._credentials, self._machine))
            self._replica = None
            self._observe(core)
            await until_taken_over(core.start)
            await self._opened.wait()  # this gateway may still be starting
            self._ports.lead(core)
            await until_taken_over(self._ports.publish_address)
        except Exception as error:
            _store_broke(error)
            raise
        announce(log, "hfgateway: leads the replicas of its store")
        await keep_running(self.check_credentials)

    def _observe(self, core: Core) -> None:
        """Register the metrics of a core, and trace its generations if traces are on."""
        register_metrics(core, self._telemetry)
        if self._traces is not None:
            self._traces.entries = core.feed.entries
            core.calls.trace = self._traces.upstream_call
            core.store.change_log.listen(self._traces.on_commit)

    async def _close(self) -> None:
        await self._serving.close()

    @property
    def hangs(self) -> bool:
        """Whether something still waits for a disk or the store although the gateway was stopped."""
        return self._replica is None and self._core.hangs

    async def check_credentials(self) -> None:
        """Ask Higgsfield for the status of no request, which is free and shows whether it accepts the credentials.

        Ask again while it refuses any: if this gateway is idle or not ready, no caller's call would show a change.
        """
        if self._replica is not None:
            await self._replica.check_credentials()
            return
        await self._core.upstream.check_credentials()
        while True:
            await asyncio.sleep(CHECK_CREDENTIALS_INTERVAL)
            await self._core.upstream.check_refused_credentials()

    async def stop(self) -> None:
        """Report not serving, drain, then close everything."""
        self._ports.report_not_serving()
        if self._former is not None:
            self._former.drain()
        if self._replica is not None:
            await self._ports.leader_responded()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._replica is None:
            await self._core.drain()
        await self._exit.aclose()


async def serve(settings: Settings, credentials: Credentials, worker: Worker | None = None) -> int:
    """Run a gateway until a signal, and return the exit code. Raises the errors of `Gateway.start`.

    A second SIGTERM or SIGINT exits at once. A worker also stops when its supervisor wants that, or has died.
    """
    if failpoints.ARMED:
        if failpoints.ARMED not in failpoints.PLACES:
            raise SettingError(PREFIX + "FAILPOINT", "is not a failpoint of gateway/failpoints.py; for tests only")
        log.warning("HFGATEWAY_FAILPOINT is set: this process will kill itself", extra={"place": failpoints.ARMED})
    stop, signaled, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if signaled.is_set():
            os._exit(1)
        signaled.set()
        stop.set()

    def on_hang_up() -> None:
        if not stop.is_set():
            hung_up.set()
            stop.set()

    on_stop_signals(on_signal, on_hang_up)
    serves = None if worker is None else connect_supervisor(stop.set)
    _warn(settings)
    raise_limit()
    make_default_folder(settings.store)
    gateway = Gateway(settings, credentials, worker=worker)
    if not await _started(gateway, stop):
        return HUNG_UP if hung_up.is_set() else 0
    if settings.proxy is not None:
        log.info("https URLs are reached over the proxy of HTTPS_PROXY", extra={"proxy": str(settings.proxy)})
    if settings.auth == "keys" and settings.oidc_issuer is None and not gateway.access.listed():
        log.warning("there are no API keys yet, so every call is refused; run: hfgateway keys create --tenant NAME")
    tune_garbage_collector()
    store = settings.store
    line = f"hfgateway: gRPC on {gateway.grpc_address}, HTTP on {gateway.http_address}, store {store}"
    announce(log, line, grpc=gateway.grpc_address, http=gateway.http_address, store=str(store))
    if serves is not None:
        serves()
    background = [asyncio.create_task(keep_running(run)) for run in (trim_after_bursts, gateway.check_credentials)]
    await stop.wait()
    log.info("draining")
    for task in background:
        task.cancel()
    await gateway.stop()
    code = HUNG_UP if hung_up.is_set() else 0
    if gateway.hangs:
        os._exit(code)  # the interpreter would wait for it
    return code


def _warn(settings: Settings) -> None:
    """Log what is unwise about the settings."""
    for warning in settings.warnings:
        log.warning(warning)
    if settings.drain < settings.upstream_timeout:
        log.warning(
            "HFGATEWAY_DRAIN is shorter than HFGATEWAY_UPSTREAM_TIMEOUT: a stop may leave submissions UNCERTAIN"
        )
    addresses = (settings.grpc_address, settings.http_address, settings.admin_address)
    if settings.tls_cert is None and not all(address is None or address.loopback for address in addresses):
        log.warning("API keys are sent in plaintext: set HFGATEWAY_TLS_CERT, or terminate TLS in a proxy")
    if isinstance(settings.store, Path) and (kind := network_filesystem(settings.store)):
        log.warning(f"the store is on a network file system: {NETWORK_ADVICE}", extra={"type": kind})


async def _started(gateway: Gateway, stop: asyncio.Event) -> bool:
    """Start a gateway; return False if it is stopped before it has started."""
    starting, stopping = asyncio.ensure_future(gateway.start()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        starting.result()
        return True
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    return False


def tune_garbage_collector() -> None:
    """Enable the garbage collector, run it less often, and exclude the objects of the start-up from it.

    The gateway's objects form few cycles. With the default thresholds the collector walks all live generations many
    times per second under load, which is a tenth of the cost of a submission.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()


def _store_broke(error: Exception) -> None:
    """Exit at once: a commit failed on the disk, or another gateway has the store, so memory may differ from it."""
    log.critical("the store can no longer be used; exiting", extra={"error": str(error)})
    os._exit(EXIT_STORE_BROKEN)
