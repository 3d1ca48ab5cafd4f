"""The official SDKs as callers: each submission is one call of subscribe(), which retries by its own rules."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.charges.faults import Submission
from harness.sdks import installed

ROOT = Path(__file__).parents[2]
MODEL = "higgsfield-ai/soul/standard"
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class CallerOutcome:
    """The outcome that a caller received: the status of a request, or an error."""

    status: str = ""
    request: str = ""
    error: str = ""


async def python_sdk(url: str, wanted: Sequence[Submission], patience: float) -> dict[str, CallerOutcome]:
    """Return the outcomes by prompt. `patience` is the timeout of a call in seconds."""
    client = {"base_url": url, "api_key": "sandbox:sandbox", "timeout": patience}
    return await _told((sys.executable, "-m", "harness.sdks.subscribe_many"), ROOT, client, wanted)


async def javascript_sdk(url: str, wanted: Sequence[Submission], patience: float) -> dict[str, CallerOutcome]:
    """Return the outcomes by prompt. It polls four times as often as by default, which does not affect submissions."""
    folder = await asyncio.to_thread(installed.javascript)
    client = {"baseURL": url, "credentials": "sandbox:sandbox", "timeout": 1000 * patience, "pollInterval": 500}
    return await _told(("node", "--require=./guard.cjs", "subscribe_many.mjs"), folder, client, wanted)


SDKS: dict[str, Callable[[str, Sequence[Submission], float], Awaitable[dict[str, CallerOutcome]]]] = {
    f"Python SDK {metadata.version('higgsfield-client')}": python_sdk,
    f"JavaScript SDK {installed.javascript_version()}": javascript_sdk,
}


async def _told(
    command: Sequence[str], folder: Path, client: dict[str, Any], wanted: Sequence[Submission]
) -> dict[str, CallerOutcome]:
    asked = {
        "client": client,
        "endpoint": MODEL,
        "prompts": [submission.prompt for submission in wanted],
        "atOnce": min(AT_ONCE, len(wanted)),
    }
    # Both read credentials from the environment, and their HTTP libraries read proxy settings.
    kept = {n: v for n, v in os.environ.items() if not n.startswith("HF_") and not n.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=kept, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate(json.dumps(asked).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with exit code {process.returncode}")
    lines = (json.loads(line) for line in out.decode().splitlines())
    return {line.pop("prompt"): CallerOutcome(**line) for line in lines}
