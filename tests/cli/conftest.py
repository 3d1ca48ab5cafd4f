"""The command as a separate process, and a scripted gateway for it to call."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support import forked


@dataclass
class Finished:
    code: int | None
    out: str
    err: str


class Command:
    """`python -m gateway` with the scripted gateway's address in its environment."""

    def __init__(self, address: str) -> None:
        unset = ("FORCE_COLOR", "HFGATEWAY_ADDRESS", "HFGATEWAY_API_KEY")
        self.environment = {name: value for name, value in os.environ.items() if name not in unset}
        self.environment["HFGATEWAY_GRPC_ADDRESS"] = address

    async def start(self, *arguments: str, folder: Path = forked.ROOT) -> forked.ForkedProcess:
        return await forked.start(*arguments, environment=self.environment, folder=folder)

    @staticmethod
    def arguments(*arguments: str) -> tuple[str, ...]:
        """Return the command line of a new interpreter, for a test that needs a terminal or stdin."""
        return (sys.executable, "-m", "gateway", *arguments)

    async def __call__(self, *arguments: str) -> Finished:
        return await finish(await self.start(*arguments))


async def finish(process: asyncio.subprocess.Process | forked.ForkedProcess) -> Finished:
    """Wait for the end. An output that leads elsewhere counts as empty."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    out, err = out or b"", err or b""
    sys.stderr.write(err.decode())  # pytest shows it if a test fails
    return Finished(process.returncode, out.decode(), err.decode())


async def interrupt(process: forked.ForkedProcess) -> Finished:
    """Send SIGINT, as Ctrl-C does, and wait for the end."""
    process.send_signal(signal.SIGINT)
    return await finish(process)


@pytest.fixture(autouse=True, scope="session")
def restore_sigint() -> Iterator[None]:
    """Stop ignoring SIGINT, which a shell lets background processes and therefore these commands ignore.

    `preexec_fn` could restore it for each command, but would fork a process with running gRPC threads.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
async def gateway() -> AsyncIterator[ScriptedGateway]:
    gateway = ScriptedGateway()
    # `generate` begins with this read.
    gateway.unscripted["ListGenerations"] = pb.ListGenerationsResponse()
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.fixture
def hfgateway(gateway: ScriptedGateway) -> Command:
    return Command(gateway.address)
