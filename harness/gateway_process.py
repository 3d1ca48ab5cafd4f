"""A gateway as a process that can be killed and started again with the same store."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[1]
START_TIMEOUT = 60.0
"""Seconds for a start, even on a busy machine."""
_READY = re.compile(r"hfgateway: gRPC on (\S+), HTTP on http://(\S+), store ")


class NoGatewayError(RuntimeError):
    """The gateway did not start."""


class Process(Protocol):
    """What is used of `asyncio.subprocess.Process`."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def returncode(self) -> int | None:
        """The exit code, or the negative number of the signal that ended it; None while it runs."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """The standard output."""

    def send_signal(self, signal: int) -> None:
        """Send a signal, unless the process has ended."""

    def kill(self) -> None:
        """Send SIGKILL."""

    async def wait(self) -> int:
        """Wait for the end, and return the exit code."""


Starter = Callable[[Mapping[str, str], Path], Awaitable[Process]]
"""Starts `hfgateway serve` with an environment, and appends its stderr to a file."""


def interpreter(*arguments: str) -> Starter:
    """Return a starter for `serve` in a new Python interpreter with these arguments."""

    async def start(environment: Mapping[str, str], log: Path) -> Process:
        with log.open("ab") as stderr:
            return await asyncio.create_subprocess_exec(
                sys.executable, *arguments, "serve", cwd=ROOT, env=environment,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=stderr,
            )  # fmt: skip

    return start


GATEWAY = interpreter("-m", "gateway")


class GatewayProcess:
    """A gateway process; at most one runs at a time. `address` and `http_address` are those of the running process.

    `settings` are environment variables, and `log` is the file for its stderr.
    """

    def __init__(self, store: Path, log: Path, settings: dict[str, str], starter: Starter = GATEWAY) -> None:
        self._starter = starter
        self._log = log
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("HF_", "HFGATEWAY_"))}
        self._environment = (
            inherited
            | settings
            | {
                "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0",
                "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0",
                "HFGATEWAY_STORE_URL": f"sqlite:///{store}",
            }
        )
        self._process: Process | None = None
        self.address = self.http_address = ""

    async def start(self, failpoint: str = "") -> bool:
        """Start the process. Returns True when both ports answer, False if the process ends before that.

        `failpoint` is the name of the failpoint at which the process kills itself.
        """
        process = await self._starter(self._environment | {"HFGATEWAY_FAILPOINT": failpoint}, self._log)
        self._process = process
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        ready = _READY.search(line)
        if ready is not None:
            self.address, self.http_address = ready[1], ready[2]
            return True
        await process.wait()
        return False

    @property
    def started(self) -> bool:
        """Whether a process was ever started."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    async def ended(self) -> int:
        """Wait until the process ends; returns its exit code, -9 if it was killed."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> int:
        """Send SIGTERM and wait; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()

    async def kill(self) -> int:
        """Send SIGKILL, unless the process has ended, and wait; returns the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        return await self._process.wait()
