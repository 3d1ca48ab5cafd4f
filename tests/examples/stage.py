"""Run the examples unchanged against a gateway and a sandbox whose clock advances by itself."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox.ledger import Charge
from tests.docs.markdown import ROOT
from tests.support.running import Running, run

EXAMPLES = ROOT / "examples"
ADDRESS = "127.0.0.1:50051"
HELD = "never mind"
"""Words in a prompt that stop the clock, so that the example can cancel the generation."""
TICK, STEP = 0.02, 2.0
"""Every TICK seconds the sandbox's clock advances by STEP seconds."""


@dataclass(frozen=True)
class Ran:
    """The output of one example, and its charges."""

    lines: list[str]
    error: str
    charges: list[Charge]

    def urls(self) -> list[str]:
        """Return the links that the example printed."""
        return re.findall(r"https?://\S+", "\n".join(self.lines))

    def shows(self, prompt: str) -> bool:
        """Return whether the output of the generation with this prompt is among the links."""
        (charge,) = (charge for charge in self.charges if charge.prompt == prompt)
        return any(charge.request_id in url for url in self.urls())


async def run_examples(command: Sequence[str], paths: Sequence[Path], folder: Path) -> dict[str, Ran]:
    """Run copies of all examples in one process, with the address of this gateway in them."""
    (folder / "start.png").write_bytes(b"a picture")
    async with run(folder, concurrency_limit=4) as running, _advancing_clock(running):
        copies = [_copy(path, folder, running.gateway.grpc_address) for path in paths]
        process = await asyncio.create_subprocess_exec(
            *command, *map(str, copies), cwd=folder, env=_environment(),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=2**24,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        ran: dict[str, Ran] = {}
        try:
            async with asyncio.timeout(100):
                async for line in process.stdout:
                    result = json.loads(line)
                    before = sum(len(one.charges) for one in ran.values())
                    name = Path(result["path"]).stem
                    ran[name] = Ran(result["lines"], result["error"], running.ledger.charges[before:])
                errors = (await process.stderr.read()).decode()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert set(ran) == {path.stem for path in paths}, errors
    return ran


def _copy(path: Path, folder: Path, address: str) -> Path:
    copy = folder / path.name
    copy.write_text(path.read_text().replace(ADDRESS, address))
    return copy


def _environment() -> dict[str, str]:
    dropped = ("HF_", "HFG_", "HFGATEWAY_", "NODE_OPTIONS")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(dropped)}
    return {name: text for name, text in kept.items() if not name.lower().endswith("_proxy")}


@asynccontextmanager
async def _advancing_clock(running: Running) -> AsyncIterator[None]:
    async def advance() -> None:
        while True:
            await asyncio.sleep(TICK)
            charges = running.ledger.charges
            if not charges or HELD not in charges[-1].prompt:
                running.clock.advance(STEP)

    advancing = asyncio.create_task(advance())
    try:
        yield
    finally:
        advancing.cancel()
