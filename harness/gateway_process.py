"""A gateway as a process that can be killed and started again with the same store."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
GATEWAY = (sys.executable, "-m", "gateway")
STARTS_WITHIN = 60.0
"""Seconds for a start, even on a busy machine."""
_READY = re.compile(r"hfgateway: gRPC on (\S+), HTTP on http://(\S+), store ")


class NoGatewayError(RuntimeError):
    """The gateway did not start."""


class GatewayProcess:
    """A gateway process; at most one runs at a time. `address` and `http_address` are those of the running process.

    `settings` are environment variables, `log` the file for its stderr, and `launcher` the command before `serve`.
    """

    def __init__(self, store: Path, log: Path, settings: dict[str, str], launcher: Sequence[str] = GATEWAY) -> None:
        self._launcher = launcher
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
        self._process: asyncio.subprocess.Process | None = None
        self.address = self.http_address = ""

    async def start(self, failpoint: str = "") -> bool:
        """Start the process. Returns True when both ports answer, False if the process ends before that.

        `failpoint` is the name of the failpoint at which the process kills itself.
        """
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._launcher, "serve", cwd=ROOT, env=self._environment | {"HFGATEWAY_FAILPOINT": failpoint},
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
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
