"""Gateways that are forked from a process that has loaded their modules: as real as others, for a fifth of the time.

Where a process is started hundreds of times, nearly all of that time would be Python's imports.
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
"""What a gateway imports late."""


class ForkedGateway(GatewayProcess):
    """The same in use. `late`: its connections always come too late for `send_by`."""

    def __init__(self, folder: Path, upstream: str, *, late: bool = False, **settings: str) -> None:
        super().__init__(folder, upstream, **settings)
        self._log = folder / "log"
        self._late = late
        self._forked: multiprocessing.process.BaseProcess | None = None

    async def start(self) -> None:
        """Start, and wait until both ports answer. Raises AssertionError with what it said instead."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *LOADED])
        reading, writing = context.Pipe(duplex=False)
        arguments = (self._environment, writing, self._log, self._late)
        self._forked = context.Process(target=_serve, args=arguments)
        self._forked.start()
        writing.close()
        line = await _line(reading)
        told = READY.match(line)
        if told is None:
            raise AssertionError(f"the gateway did not start: {line}{await self.errors()}")
        self.address, self.http_address = told[1], told[2]

    async def kill(self) -> None:
        """kill -9, unless it has ended already: its number may be another's by now."""
        if self._forked is not None and self._forked.exitcode is None:
            self._forked.kill()
            await self.ended()

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self._forked is not None
        self._forked.terminate()
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
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
        """What it, and those before it, wrote to stderr until its end."""
        await self.ended()
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """Of the process, once started."""
        assert self._forked is not None
        assert self._forked.pid is not None
        return self._forked.pid


async def _line(reading: Connection) -> str:
    """The first line that comes out of a pipe; what there is where it is closed before."""
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
    """`hfgateway serve`, in the forked process: nothing but imports has happened in it."""
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
