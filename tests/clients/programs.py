"""Runs the programs of a client's README to their end."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path

WAIT_TIMEOUT = 60.0
"""Seconds for a program to end."""


async def output_of(
    program: str | Path, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a program that must succeed, by default without settings of the gateway, and return its output."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("HF_", "HFGATEWAY_"))}
    process = await asyncio.create_subprocess_exec(
        program, *arguments, cwd=cwd, env=env or kept, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return out.decode()
