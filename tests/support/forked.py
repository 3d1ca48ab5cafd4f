"""Runs `hfgateway` in processes that are forked from a server process in which all modules are already imported.

A start takes a fifth of the time of a new interpreter. The tests start hundreds of gateways and commands, and would
otherwise spend most of their time on imports. Tests of the interpreter's start, or of the modules that a command
imports, start `python -m gateway` themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import gateway.cli
from gateway import __main__, failpoints, telemetry
from gateway.generations import state
from gateway.generations.clock import SystemClock
from tests.chaos.mistaken import MISTAKES
from tests.support import new_stores
from tests.support.canary import LEAKS, Canary

ROOT = Path(__file__).parents[2]
LOADED = (
    "gateway.accounts.encryption", "gateway.catalog.validate", "gateway.higgsfield.transport",
    "gateway.higgsfield.webhooks", "gateway.process.app", "gateway.process.production",
    "gateway.rpc.transports.over_connect", "gateway.rpc.transports.reflection", "gateway.sandbox.server",
    "gateway.store.postgres.moving", "gateway.store.postgres.store", "gateway.web.events", "gateway.web.page",
    "gateway.web.server", "gateway.web.webhook", "grpc_reflection.v1alpha.reflection", "hfgateway_client",
    "rich.console",
    *(f"gateway.cli.{module.name}" for module in pkgutil.iter_modules(gateway.cli.__path__) if module.name != "mcp"),
)  # fmt: skip
"""Modules that commands import only when needed; the server process imports them in advance."""
MIGRATIONS = "TEST_MIGRATIONS"
"""An environment variable: the folder of the migrations for PostgreSQL that the process knows."""
AHEAD = "TEST_CLOCK_AHEAD"
"""An environment variable: the seconds by which the wall clock of the process is ahead."""
LATE = "TEST_LATE_CONNECTIONS"
"""An environment variable. If it is set, connections to Higgsfield are always established after `send_by`."""

_FIRST_START, _SERVER_READY = threading.Lock(), threading.Event()

new_stores.install()


class ForkedProcess:
    """A forked process, with the part of the interface of `asyncio.subprocess.Process` that tests use."""

    def __init__(self, process: BaseProcess, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self._process = process
        self.stdout = stdout
        self.stderr = stderr

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, or the negative number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended: its id may belong to another process by then."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # the fork server knows its end, and has not reported it yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        # An event loop has one reader for each descriptor. Each waiting task needs its own copy.
        sentinel = os.dup(self._process.sentinel) if self.returncode is None else -1
        if sentinel >= 0:
            loop.add_reader(sentinel, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(sentinel)
                os.close(sentinel)
        self._process.join()
        assert self.returncode is not None
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for the end; return the unread rest of stdout and of stderr."""
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err


@dataclass(frozen=True, slots=True)
class _Command:
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log: Path | None
    mistake: str
    leaks: str | None


async def start(
    *arguments: str, environment: Mapping[str, str], folder: Path = ROOT, log: Path | None = None, mistake: str = ""
) -> ForkedProcess:
    """Start `hfgateway` with these arguments, this environment and this working directory.

    `log` is a file to which stderr is appended, `mistake` the name of a mistake to build into the gateway.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *LOADED, "tests.support.frozen"])
    out, err = context.Pipe(duplex=False), context.Pipe(duplex=False)
    command = _Command(arguments, dict(environment), folder, log, mistake, os.environ.get(LEAKS))
    process = context.Process(target=_run, args=(command, out[1], err[1]))
    await asyncio.to_thread(_await_server, context)
    process.start()
    for _, writing in (out, err):
        writing.close()
    return ForkedProcess(process, await _reader(out[0]), await _reader(err[0]))


def _await_server(context: ForkServerContext) -> None:
    """Wait until the server process has imported all modules, which takes seconds: the first process starts then.

    Processes of tests start in the thread of the event loop. A start looks for processes that have ended, and if two
    threads look at one, the second finds no exit code.
    """
    with _FIRST_START:
        if not _SERVER_READY.is_set():
            first = context.Process(target=os.getpid)
            first.start()
            first.join()
            _SERVER_READY.set()


async def serve(environment: Mapping[str, str], log: Path, *, mistake: str = "") -> ForkedProcess:
    """Start `hfgateway serve`; see `start`."""
    return await start("serve", environment=environment, log=log, mistake=mistake)


async def _reader(reading: Connection) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.dup(reading.fileno()), "rb", buffering=0)
    reading.close()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _run(command: _Command, out: Connection, err: Connection) -> None:
    """Run the command in the forked process, which inherits only imported modules."""
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads must not be forked"
    os.environ.clear()
    os.environ.update(command.environment)
    os.chdir(command.folder)
    for writing, descriptor in ((out, 1), (err, 2)):
        os.dup2(writing.fileno(), descriptor)
        writing.close()
    if command.log is not None:
        with command.log.open("ab") as log:
            os.dup2(log.fileno(), 2)
    # The inherited streams may be buffered as for a terminal.
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if command.leaks is not None and command.arguments[0] == "serve":
        canary = Canary(Path(command.leaks), command.environment)
        sys.stdout, sys.stderr = canary.watching(sys.stdout), canary.watching(sys.stderr)
        telemetry.generate_latest = canary.around(telemetry.generate_latest)
    importlib.reload(failpoints)
    if LATE in command.environment:
        state.SEND_TIMEOUT = 0.0
    if MIGRATIONS in command.environment:
        from gateway.store.postgres import migrations

        known = Path(command.environment[MIGRATIONS])
        migrations.folder = lambda: known
    if AHEAD in command.environment:
        ahead, right = float(command.environment[AHEAD]), time.time
        time.time = lambda: right() + ahead
        SystemClock.__init__.__kwdefaults__["wall"] = time.time
    if command.mistake:
        MISTAKES[command.mistake]()
    sys.argv = ["hfgateway", *command.arguments]
    __main__.main()
