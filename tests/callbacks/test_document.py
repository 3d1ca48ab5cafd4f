"""The receiver of docs/callbacks.md, run unchanged."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from tests.callbacks.receiver import create
from tests.docs.markdown import blocks
from tests.support.addresses import free_address
from tests.support.running import WAIT_TIMEOUT, Running, eventually, soul

(EXAMPLE,) = (block for block in blocks("docs/callbacks.md") if block.language == "python")


def accepts(address: str) -> bool:
    """Return whether a process listens on a loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0


async def test_the_documented_receiver_accepts_only_signed_deliveries(running: Running) -> None:
    address = free_address()
    made = await create(running, f"http://{address}/")
    other = await create(running, f"http://{address}/", key="two")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EXAMPLE.text.replace("9300", address.rpartition(":")[2]),
        env={**os.environ, "WEBHOOK_SECRET": made.secret},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await eventually(lambda: accepts(address))  # a retry would follow only after minutes
        stored = await running.submit(soul("a fox"))
        done = await running.finish(stored.id)
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(WAIT_TIMEOUT):
            assert (await process.stdout.readline()).decode() == f"{done.id} {done.revision} COMPLETED\n"
            answers = {(await process.stderr.readline()).decode().rpartition('" ')[2] for _ in range(2)}
        assert answers == {"204 -\n", "401 -\n"}, other.callback.id
    finally:
        process.kill()
        await process.wait()
