"""Several gateways on one machine that share their ports: `hfgateway serve --workers N`.

A supervisor starts N workers, which are ordinary replicas on one PostgreSQL database, and starts again those that end.
All workers listen on the addresses of the settings, and the kernel distributes new connections over them
(SO_REUSEPORT). Each also has its own gRPC and HTTP port: replicas forward calls to the leader's, and metrics
and health checks are those of one worker only at its own HTTP port.

The standard input of a worker is a socket of its supervisor. The worker writes a byte when it serves, and stops when
the supervisor has closed the socket, or has died.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from gateway.frozen import frozen
from gateway.process.listening import reserve
from gateway.process.stopping import HUNG_UP, on_stop_signals
from gateway.settings.config import PREFIX, SettingError, Settings
from gateway.settings.values import LAST_PORT, Address, PostgresUrl, parse_address
from gateway.telemetry import announce

log = logging.getLogger(__name__)

RESTART_DELAY = 1.0
"""Seconds from the end of a worker to its next start."""
_SERVES = b"+"
STDERR = 2
"""Only the supervisor writes to stdout. What workers write there goes to stderr, like logs."""


@frozen
class Worker:
    """What each worker has for itself."""

    number: int
    grpc_address: Address
    http_address: Address

    @classmethod
    def of(cls, number: int, grpc_address: str, http_address: str) -> "Worker":
        """Return the worker that the option of `arguments` describes."""
        return cls(number, parse_address(grpc_address), parse_address(http_address))

    def arguments(self) -> list[str]:
        """Return the option of `hfgateway serve` that makes a process this worker."""
        return ["--worker", str(self.number), str(self.grpc_address), str(self.http_address)]


def connect_supervisor(stop: Callable[[], None]) -> Callable[[], None]:
    """Call `stop` when the supervisor stops this worker, or has died.

    Returns a function that reports to the supervisor that this worker serves.
    """
    connection = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    connection.setblocking(False)
    loop = asyncio.get_running_loop()

    def closed() -> None:
        loop.remove_reader(connection)
        stop()

    def serves() -> None:
        with contextlib.suppress(OSError):  # it has died, which `closed` handles
            connection.send(_SERVES)

    loop.add_reader(connection, closed)
    return serves


async def supervise(settings: Settings, count: int, command: Sequence[str]) -> int:
    """Run `count` workers until a signal, and return the exit code. A second SIGTERM or SIGINT kills the workers.

    `command` is the command line of this process; a worker gets one more option. If a worker ends before it has served
    for the first time, all are stopped, and its exit code is returned. Raises SettingError if an address is in use, or
    if the workers cannot share the store.
    """
    if not isinstance(settings.store, PostgresUrl):
        raise SettingError(PREFIX + "STORE_URL", "must be a PostgreSQL server's, which several workers can share")
    if settings.replica_address is not None:
        raise SettingError(PREFIX + "REPLICA_ADDRESS", "cannot be set with --workers: each worker has its own port")
    with contextlib.ExitStack() as reserved:
        shared = {name: _reserve(name, address, reserved) for name, address in settings.listen_addresses.items()}
        environment = os.environ | {PREFIX + name: str(address) for name, address in shared.items()}
        grpc, http = str(shared["GRPC_ADDRESS"]), str(shared["HTTP_ADDRESS"])
        url = f"{'https' if settings.tls_cert else 'http'}://{http}"
        line = f"hfgateway: gRPC on {grpc}, HTTP on {url}, store {settings.store}, {count} workers"
        workers = [
            Worker(
                number,
                _own("GRPC_ADDRESS", settings.grpc_address, number),
                _own("HTTP_ADDRESS", settings.http_address, number),
            )
            for number in range(1, count + 1)
        ]
        _check_own(workers, {address: PREFIX + name for name, address in shared.items()})
        return await _Supervisor(command, environment).run(
            workers, lambda: announce(log, line, grpc=grpc, http=url, store=str(settings.store), workers=str(count))
        )


def _reserve(name: str, address: Address, until: contextlib.ExitStack) -> Address:
    """Reserve an address, and return it with the port that it has got."""
    bound = until.enter_context(reserve(name, address))
    return Address(address.host, bound.getsockname()[1])


def _own(name: str, shared: Address, number: int) -> Address:
    """Return a worker's own address: the n-th port after the shared one, or any port if that is 0.

    Raises SettingError if there is no such port.
    """
    port = shared.port and shared.port + number
    if port > LAST_PORT:
        raise SettingError(PREFIX + name, f"has no port for worker {number}, which is {number} after {shared.port}")
    return Address(shared.host, port)


def _check_own(workers: Sequence[Worker], taken: dict[Address, str]) -> None:
    """Raise SettingError if a worker's own address is also a shared one, or another worker's.

    They would listen side by side, and the kernel would give each of them some connections of the other.
    """
    for worker in workers:
        for name, address in (("GRPC_ADDRESS", worker.grpc_address), ("HTTP_ADDRESS", worker.http_address)):
            if not address.port:
                continue  # the worker gets a free one
            about = f"{PREFIX}{name} of worker {worker.number}"
            if (other := taken.setdefault(address, about)) != about:
                raise SettingError(
                    PREFIX + name, f"leaves {address} to worker {worker.number}, which is the same as {other}: "
                    "choose ports that are further apart",
                )  # fmt: skip


class _Supervisor:
    """Starts workers, starts again those that end, and stops all."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._running: dict[asyncio.subprocess.Process, socket.socket] = {}
        """The processes, with the sockets that keep them running."""
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self, workers: Sequence[Worker], serving: Callable[[], None]) -> int:
        """Run the workers until they are stopped, and return the exit code. Calls `serving` once, when all serve."""
        on_stop_signals(self._on_signal, self._on_hang_up)
        starting = set(workers)

        def first_served(worker: Worker) -> None:
            starting.discard(worker)
            if not starting:
                serving()

        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(self._keep(worker, first_served))
        return self._code

    async def _keep(self, worker: Worker, first_served: Callable[[Worker], None]) -> None:
        """Run a worker, again after each end, until all are stopped."""
        has_served = False
        while not self._stopping.is_set():
            connection, theirs = socket.socketpair()
            with connection:
                try:
                    process = await self._start(worker, theirs)
                except OSError as error:
                    about = {"worker": worker.number, "error": str(error)}
                    if not has_served:
                        log.error("a worker cannot be started", extra=about)
                        self._code = 1
                        self._stop()
                        return
                    log.error("a worker cannot be started, and is tried again", extra=about)
                    await self._sleep()
                    continue
                self._running[process] = connection
                if self._stopping.is_set():
                    connection.shutdown(socket.SHUT_RDWR)
                if await _wait_until_serving(connection):
                    log.info("a worker serves", extra={"worker": worker.number, "pid": process.pid})
                    if not has_served:
                        has_served = True
                        first_served(worker)
                code = await process.wait()
                del self._running[process]
            if self._stopping.is_set() or not has_served:
                if code not in {0, -signal.SIGTERM}:
                    self._code = self._code or max(code, 1)
                self._stop()
                return
            log.error("a worker ended, and is started again", extra={"worker": worker.number, "exit_code": code})
            await self._sleep()

    async def _start(self, worker: Worker, connection: socket.socket) -> asyncio.subprocess.Process:
        """Start a worker with this end of its connection, which is closed here. Raises OSError."""
        with connection:
            return await asyncio.create_subprocess_exec(
                *self._command, *worker.arguments(),
                # In its own session, it gets no SIGINT from the terminal.
                env=self._environment, stdin=connection.fileno(), stdout=STDERR, start_new_session=True,
            )  # fmt: skip

    async def _sleep(self) -> None:
        """Wait before the next start, unless all are stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESTART_DELAY):
                await self._stopping.wait()

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    process.kill()
            os._exit(1)
        self._stop()

    def _on_hang_up(self) -> None:
        if not self._stopping.is_set():
            self._code = HUNG_UP
            self._stop()

    def _stop(self) -> None:
        """Let all workers stop. They get no signal, because systemd may have sent them one: a second one kills them."""
        self._stopping.set()
        for connection in self._running.values():
            connection.shutdown(socket.SHUT_RDWR)


async def _wait_until_serving(connection: socket.socket) -> bool:
    """Return whether a worker serves; wait until it does, or has ended."""
    connection.setblocking(False)
    with contextlib.suppress(OSError):
        return await asyncio.get_running_loop().sock_recv(connection, 1) == _SERVES
    return False
