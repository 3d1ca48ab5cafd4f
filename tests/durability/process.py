"""A gateway in its own process, which tests can kill."""

import asyncio
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType

import grpc

from hfgateway.v1 import generation_service_pb2_grpc
from tests.support import forked

ROOT = Path(__file__).parents[2]
WAIT_TIMEOUT = 100.0
"""Seconds in which a process must start or end."""
REPEAT_TIMEOUT = 200.0
"""Seconds for a generation whose gateway is killed: it may be repeated after half a minute, and a minute after that."""
READY = re.compile(r'hfgateway: gRPC on (\S+), HTTP on (\S+), store ([^"\n]+)')
"""The line with the addresses that it prints when it is ready."""


class GatewayProcess:
    """A context manager that starts a gateway, waits until it is ready, and kills it at the end.

    With a `launcher`, such as `(sys.executable,)`, it is a new interpreter; without one, it is forked.
    `environment` has variables of `tests/support/forked.py`.
    """

    def __init__(
        self,
        folder: Path,
        upstream: str,
        *,
        launcher: Sequence[str] = (),
        late: bool = False,
        environment: Mapping[str, str] = MappingProxyType({}),
        credentials: str = "sandbox:sandbox",
        **settings: str,
    ) -> None:
        self._launcher = launcher
        self._environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("HF_", "HFGATEWAY_"))},
            "HF_KEY": credentials,
            "HFGATEWAY_UPSTREAM_URL": upstream,
            "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0",
            "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0",
            "HFGATEWAY_STORE_URL": f"sqlite:///{folder / 'store.db'}",
            # Its stderr is read at its end, so it must not fill the pipe.
            "HFGATEWAY_LOG_LEVEL": "warning",
            "HFGATEWAY_POLL_MIN": "0.05",
            "HFGATEWAY_POLL_MAX": "0.05",
            **{f"HFGATEWAY_{name.upper()}": text for name, text in settings.items()},
            **({forked.LATE: "1"} if late else {}),
            **environment,
        }
        self._process: asyncio.subprocess.Process | forked.ForkedProcess | None = None
        self._errors = b""
        self.address = self.http_address = ""

    async def __aenter__(self) -> "GatewayProcess":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start, and wait until both ports are open. Raises AssertionError with the output if it fails."""
        if self._launcher:
            self._process = await asyncio.create_subprocess_exec(
                *self._launcher, "-m", "gateway", "serve", cwd=ROOT, env=self._environment,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        else:
            self._process = await forked.start("serve", environment=self._environment)
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            line = (await self._process.stdout.readline()).decode()
        ready = READY.search(line)
        if ready is None:
            raise AssertionError(f"the gateway did not start: {await self.errors()}")
        self.address, self.http_address = ready[1], ready[2]

    async def prints(self, form: re.Pattern[str]) -> None:
        """Wait for a line in its output."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not form.search((await self._process.stdout.readline()).decode()):
                if self._process.stdout.at_eof():
                    raise AssertionError(f"it ended before it printed {form.pattern!r}: {await self.errors()}")

    async def kill(self) -> None:
        """Send SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self.ended()

    async def terminate(self) -> int:
        """Send SIGTERM, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end of the process, and return the exit code."""
        assert self._process is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            _, errors = await self._process.communicate()
        self._errors += errors
        assert self._process.returncode is not None
        return self._process.returncode

    async def errors(self) -> str:
        """Return what the process wrote to stderr, once it has ended."""
        await self.ended()
        return self._errors.decode()

    @property
    def pid(self) -> int:
        """The process id, once started."""
        assert self._process is not None
        return self._process.pid

    def channel(self) -> grpc.aio.Channel:
        """Return a channel to the gateway."""
        return grpc.aio.insecure_channel(self.address)


def stub(channel: grpc.aio.Channel) -> generation_service_pb2_grpc.GenerationServiceStub:
    """Return the stub of the GenerationService."""
    return generation_service_pb2_grpc.GenerationServiceStub(channel)
