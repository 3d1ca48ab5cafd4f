"""The processes under test: started on free loopback ports, measured from outside, and killed at the end."""

import asyncio
import contextlib
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
READY_TIMEOUT = 20.0
ANY_PORT = "127.0.0.1:0"
UNUSED_ADDRESS = "127.0.0.1:9"
GATEWAY = ("gateway", "serve")
BASELINE = ("bench.baseline",)
UPSTREAM = ("bench.upstream",)
BUSY = ("bench.busy",)
SANDBOX = ("gateway", "sandbox", "--port=0")
UNLIMITED = {"HFGATEWAY_UPSTREAM_CONCURRENCY": str(10**9)}
"""Without a known limit, several tenants would take turns and wait for starts, which are not measured here."""
_ADDRESS = re.compile(r"\b(?:on|at) (?:http://)?(127\.0\.0\.1:\d+)")


class Server:
    """A server process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.address = self.http_address = ""

    async def ready(self) -> None:
        """Wait for the line with its address; raises RuntimeError if the process prints another line or ends."""
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_TIMEOUT):
            line = (await self._process.stdout.readline()).decode()
        found = _ADDRESS.findall(line)
        if not found:
            raise RuntimeError(f"a process under test did not start: {line.strip() or 'no output'}")
        self.address, self.http_address = found[0], found[-1]

    async def ask(self, line: str) -> str:
        """Write a line to its stdin and return the next line of its stdout."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        answer = (await self._process.stdout.readline()).decode()
        if not answer:
            raise RuntimeError(f"a process under test ended after the input {line!r}")
        return answer

    async def line(self) -> str:
        """Return the next line of its stdout."""
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_TIMEOUT):
            return (await self._process.stdout.readline()).decode().strip()

    def cpu(self) -> float:
        """Return the CPU time of all its threads in seconds, with a resolution of nanoseconds."""
        return time.clock_gettime(~self._process.pid << 3 | 2)  # what clock_getcpuclockid(3) computes

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """Return its peak resident memory in bytes, since its start or `reset_peak_memory`."""
        return self._status("VmHWM")

    def reset_peak_memory(self) -> None:
        """Reset the peak to the current memory."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) * 1024

    async def stop(self) -> None:
        """Send SIGTERM and wait until it has ended."""
        self._process.terminate()
        await self._process.wait()

    async def kill(self) -> None:
        """Send SIGKILL and wait. Idempotent."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@contextlib.asynccontextmanager
async def spawned(arguments: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Server]:
    """Run `python -m` with these arguments and without the caller's HF_ and HFGATEWAY_ variables. Does not wait.

    Bytecode is written, as in an installed gateway, so that modules are not compiled at each start.
    """
    ours = ("HFGATEWAY_", "HF_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, env=kept | dict(environment),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    server = Server(process)
    try:
        yield server
    finally:
        await server.kill()


@contextlib.asynccontextmanager
async def running(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> AsyncIterator[Server]:
    """Run a process like `spawned`, and wait until it is ready."""
    async with spawned(arguments, environment or {}) as server:
        await server.ready()
        yield server


@contextlib.asynccontextmanager
async def steady_upstream() -> AsyncIterator[Server]:
    """Run an upstream whose status calls change nothing. A Get of a queued generation may cause some."""
    async with running(UPSTREAM) as upstream, httpx.AsyncClient() as client:
        await client.put(f"http://{upstream.address}/steady/1")
        yield upstream


@contextlib.asynccontextmanager
async def gateway(upstream: Server, folder: Path | None = None, **terms: str) -> AsyncIterator[Server]:
    """Run a gateway with its store in a folder, by default a new one. `terms` are variables of its environment."""
    with tempfile.TemporaryDirectory() as new:
        settings = gateway_settings(upstream.address, folder or Path(new)) | terms
        async with running(GATEWAY, settings) as server:
            yield server


async def create_key(folder: Path, tenant: str) -> str:
    """Return a new API key of the store in a folder, on which no gateway runs yet."""
    arguments = ("gateway", "keys", "create", "--offline", "--tenant", tenant)
    async with spawned(arguments, gateway_settings(UNUSED_ADDRESS, folder)) as command:
        return await command.line()


def gateway_settings(upstream_address: str, folder: Path, grpc_address: str = ANY_PORT) -> dict[str, str]:
    """Return the environment of a gateway under test. It does not poll by itself, which would disturb measurements."""
    return {
        "HFGATEWAY_UPSTREAM_URL": f"http://{upstream_address}",
        "HF_KEY": "sandbox:sandbox",
        "HFGATEWAY_GRPC_ADDRESS": grpc_address,
        "HFGATEWAY_HTTP_ADDRESS": ANY_PORT,
        "HFGATEWAY_STORE_URL": f"sqlite:///{folder / 'gateway.db'}",
        "HFGATEWAY_LOG_LEVEL": "warning",
        "HFGATEWAY_POLL_MIN": "3600",
        "HFGATEWAY_POLL_MAX": "3600",
    }


def free_address() -> str:
    """Return a loopback address with a free port. Another process may take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
