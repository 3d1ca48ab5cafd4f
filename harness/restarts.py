"""Starts a gateway process again and again with the same store, and kills it at random times or at failpoints."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

from harness.gateway_process import GatewayProcess, NoGatewayError
from harness.history import Recorder

FAILPOINTS = (
    "before claim", "after claim", "before marked", "after marked", "before submit call", "after submit call",
    "after accepted by submit",
)  # fmt: skip
"""The failpoints at which a gateway may kill itself: those of `gateway/failpoints.py` around a submission."""
FAILPOINT_SHARE = 0.3
"""The share of starts with a failpoint."""
RUN_SECONDS = (0.5, 5.0)
"""The shortest and the longest time from a start to SIGKILL, in seconds."""


class RestartedGateway:
    """Starts and kills a gateway at random times, which depend on `seed`. Every start and end is recorded.

    `on_address` is called with the gRPC and the HTTP address of each new process, and with two empty strings when it
    has ended. Its ports must not be used any more, because another process on this machine may get them.
    """

    def __init__(
        self,
        gateway: GatewayProcess,
        recorder: Recorder,
        seed: object,
        on_address: Callable[[str, str], object],
        run_seconds: tuple[float, float] = RUN_SECONDS,
    ) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._dice = random.Random(f"lives {seed}")
        self._on_address = on_address
        self._run_seconds = run_seconds

    async def restart_until(self, over: asyncio.Event, max_kills: float = math.inf) -> None:
        """Start and kill the gateway repeatedly until `over` is set. It is not running afterwards.

        After `max_kills` kills the gateway runs until `over` is set, so that a slow machine makes progress.
        """
        while not over.is_set():
            failpoint = self._dice.choice(FAILPOINTS) if max_kills > 0 and self._dice.random() < FAILPOINT_SHARE else ""
            seconds = self._dice.uniform(*self._run_seconds) if max_kills > 0 else None
            max_kills -= 1
            if await self._start(failpoint):
                await self._run_for(over, seconds)

    async def start_permanently(self) -> None:
        """Start the gateway without a failpoint, and do not kill it. Raises NoGatewayError if it does not start."""
        if not await self._start(""):
            raise NoGatewayError("the gateway did not start; see its log")

    async def keep_alive(self) -> None:
        """Start the gateway again whenever it ends. The checker reports each of these ends as a violation."""
        while True:
            self._ended(await self._gateway.ended())
            await self._start("")

    async def _start(self, failpoint: str) -> bool:
        self._recorder.record("start", failpoint=failpoint)
        if not await self._gateway.start(failpoint):
            self._recorder.record("ended", exit=await self._gateway.ended())
            return False
        self._recorder.record("started", pid=self._gateway.pid)
        self._on_address(self._gateway.address, self._gateway.http_address)
        return True

    async def _run_for(self, over: asyncio.Event, seconds: float | None) -> None:
        ended = asyncio.create_task(self._gateway.ended())
        restarted = asyncio.create_task(over.wait())
        await asyncio.wait((ended, restarted), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        restarted.cancel()
        if not ended.done():
            self._recorder.record("kill", pid=self._gateway.pid)
            await self._gateway.kill()
        self._ended(await ended)

    def _ended(self, code: int) -> None:
        self._on_address("", "")
        self._recorder.record("ended", exit=code)
