"""Run `python -m gateway` as a process that is expected to end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import forked
from tests.support.forked import ForkedProcess

ROOT = Path(__file__).parents[2]
WAIT_TIMEOUT = 60.0
"""Seconds after which a test stops waiting and fails."""

_EXEC = "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
FRESH = f"""
import os, sys
{_EXEC}
"""
"""Python that starts a new interpreter, whose command line is that of the command."""
CONFINED = f"""
import ctypes, os, sys
if os.geteuid() == 0:
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
{_EXEC}
"""
"""Python that starts a process that obeys file permissions: it drops root's capabilities to override them."""
NO_ROOM = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
{_EXEC}
"""
"""Python that starts a process whose files cannot grow beyond a few pages."""


@dataclass(frozen=True)
class Finished:
    """How a process ended."""

    code: int
    out: str
    err: str


def environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a gateway in the folder, updated with full variable names; empty values are unset."""
    others = ("HF_", "HFGATEWAY_", "HTTPS_PROXY", "https_proxy")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(others)}
    given = {
        "HF_KEY": "sandbox:sandbox",
        "HFGATEWAY_UPSTREAM_URL": "http://127.0.0.1:9",
        "HFGATEWAY_GRPC_ADDRESS": "127.0.0.1:0",
        "HFGATEWAY_HTTP_ADDRESS": "127.0.0.1:0",
        "HFGATEWAY_STORE_URL": f"sqlite:///{folder / 'store.db'}",
        **variables,
    }
    return {name: text for name, text in (kept | given).items() if text}


async def run(*arguments: str, environment: dict[str, str], launcher: str = "", folder: Path = ROOT) -> Finished:
    """Run a command to its end, by the program `launcher` if given; a process that starts to serve is killed."""
    process = await _started(*arguments, environment=environment, launcher=launcher, folder=folder)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            line = await process.stdout.readline()
            if b"hfgateway: gRPC on" in line:
                process.kill()
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Finished(process.returncode, (line + out).decode(), err.decode())


async def _started(
    *arguments: str, environment: dict[str, str], launcher: str, folder: Path
) -> asyncio.subprocess.Process | ForkedProcess:
    if not launcher:
        return await forked.start(*arguments, environment=environment, folder=folder)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", launcher, "-m", "gateway", *arguments, cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
