"""What a second worker brings: Get over many connections to one port, from `serve --workers 2` and from one gateway.

Part of `python -m bench postgresql`. The load generator and the database share the processors with the workers.
"""

import contextlib
import tempfile
from pathlib import Path

from bench import processes
from bench.calls import GET, SUBMIT, get_request
from bench.figures import Figure, ratio
from bench.load import Effort, Load, channels, drive

IN_FLIGHT = 50
CALLS_EACH = 2
"""Calls on each connection. The kernel gives each connection to one of the workers."""
COMMANDS = (processes.GATEWAY, (*processes.GATEWAY, "--workers", "2"))


async def run(urls: tuple[str, str], effort: Effort) -> list[Figure]:
    """Measure one gateway, and two workers, each on the database of one of these URLs."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        higgsfield = await stack.enter_async_context(processes.steady_upstream())
        measured = []
        for command, url in zip(COMMANDS, urls, strict=True):
            settings = processes.gateway_settings(higgsfield.address, folder) | {"HFGATEWAY_STORE_URL": url}
            server = await stack.enter_async_context(processes.running(command, settings))
            opened = await stack.enter_async_context(channels(server, IN_FLIGHT, calls_each=CALLS_EACH))
            measured.append((server, opened, await get_request(opened.unary(SUBMIT)), list[Load]()))
        for _ in range(2 * effort.rounds):
            for server, opened, request, loads in measured:
                callers = opened.callers(GET, lambda request=request: request, IN_FLIGHT)
                loads.append(await drive(callers, effort.seconds / 2, server))
    one, two = ([load.rate for load in loads] for _, _, _, loads in measured)
    return [ratio("Get from two workers on one port, against one gateway", "calls/s", two, one)]
