"""Gateways that are forked from a process with loaded modules, in a fifth of the time of a new process.

The kill tests start hundreds of processes, and would spend nearly all of their time on imports.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from gateway import __main__, failpoints
from gateway.generations import state
from tests.durability.process import READY, GatewayProcess

LOADED = (
    "grpc_reflection.v1alpha.reflection", "gateway.app", "gateway.cli.serve", "gateway.higgsfield.transport",
    "gateway.higgsfield.webhooks", "gateway.rpc.over_connect", "gateway.web.server", "gateway.web.webhook",
)  # fmt: skip
"""Modules that a gateway imports late."""


class ForkedGateway(GatewayProcess):
    """A `GatewayProcess` that is forked. `late`: its connections are always established after `send_by`."""

    def __init__(self, folder: Path, upstream: str, *, late: bool = False, **settings: str) -> None:
        super().__init__(folder, upstream, **settings)
        self._log = folder / "log"
        self._late = late
        self._forked: multiprocessing.process.BaseProcess | None = None

    async def start(self) -> None:
        """Start, and wait until both ports are open. Raises AssertionError with the output if it fails."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *LOADED])
        reading, writing = context.Pipe(duplex=False)
        arguments = (self._environment, writing, self._log, self._late)
        self._forked = context.Process(target=_serve, args=arguments)
        self._forked.start()
        writing.close()
        line = await _line(reading)
        ready = READY.match(line)
        if ready is None:
            raise AssertionError(f"the gateway did not start: {line}{await self.errors()}")
        self.address, self.http_address = ready[1], ready[2]

    async def kill(self) -> None:
        """Send SIGKILL, unless the process has ended, because its id may belong to another one."""
        if self._forked is not None and self._forked.exitcode is None:
            self._forked.kill()
            await self.ended()

    async def terminate(self) -> int:
        """Send SIGTERM, and return the exit code."""
        assert self._forked is not None
        self._forked.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end of the process, and return the exit code."""
        assert self._forked is not None
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._forked.sentinel, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(self._forked.sentinel)
        self._forked.join()
        assert self._forked.exitcode is not None
        return self._forked.exitcode

    async def errors(self) -> str:
        """Return what this process and the earlier ones wrote to stderr, once it has ended."""
        await self.ended()
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """The process id, once started."""
        assert self._forked is not None
        assert self._forked.pid is not None
        return self._forked.pid


async def _line(reading: Connection) -> str:
    """Return the first line from a pipe, or what was written before the pipe was closed."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(os.dup(reading.fileno()), "rb", buffering=0)
    reading.close()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        return (await reader.readline()).decode()
    finally:
        transport.close()


def _serve(environment: Mapping[str, str], out: Connection, log: Path, late: bool) -> None:
    """Run `hfgateway serve` in the forked process, in which only modules were imported."""
    assert len(os.listdir("/proc/self/task")) == 1, "what is forked must have no threads"
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(out.fileno(), 1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    importlib.reload(failpoints)
    if late:
        state.SEND_WITHIN = 0.0
    sys.argv = ["hfgateway", "serve"]
    __main__.main()
