"""The lives of a gateway process: started over the same store again and again, and killed at some moment of each."""

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
"""Where a gateway may be told, at its start, to die: those places of `gateway/failpoints.py` that money goes by."""
WITH_FAILPOINT = 0.3
LENGTHS = (0.5, 5.0)
"""Seconds, the least and the most, from a start to kill -9, unless told otherwise."""


class Lives:
    """Starts and kills, each drawn from a seed and written down.

    `lead_to` is told where each new process listens, gRPC and HTTP, and when it has ended twice "": another process of
    this machine may get its ports by then, and would be taken for a gateway that has forgotten everything.
    """

    def __init__(
        self,
        gateway: GatewayProcess,
        recorder: Recorder,
        seed: object,
        lead_to: Callable[[str, str], object],
        lengths: tuple[float, float] = LENGTHS,
    ) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._dice = random.Random(f"lives {seed}")
        self._lead_to = lead_to
        self._lengths = lengths

    async def many(self, over: asyncio.Event, most: float = math.inf) -> None:
        """One life after the other until it is over; the last ends then, by a kill as all others.

        After so many at most comes one that is left alone until then: where starts are slow, nothing else gets done.
        """
        while not over.is_set():
            failpoint = self._dice.choice(FAILPOINTS) if most > 0 and self._dice.random() < WITH_FAILPOINT else ""
            seconds = self._dice.uniform(*self._lengths) if most > 0 else None
            most -= 1
            if await self._start(failpoint):
                await self._live(over, seconds)

    async def last(self) -> None:
        """Start it for good. Raises NoGatewayError where it does not come up."""
        if not await self._start(""):
            raise NoGatewayError("the gateway does not start: its log says why")

    async def keep_alive(self) -> None:
        """Nothing is to end it any more: if it ends all the same that is a finding, and another goes on."""
        while True:
            self._ended(await self._gateway.ended())
            await self._start("")

    async def _start(self, failpoint: str) -> bool:
        self._recorder.note("start", failpoint=failpoint)
        if not await self._gateway.start(failpoint):
            self._recorder.note("ended", exit=await self._gateway.ended())
            return False
        self._recorder.note("started", pid=self._gateway.pid)
        self._lead_to(self._gateway.address, self._gateway.http_address)
        return True

    async def _live(self, over: asyncio.Event, seconds: float | None) -> None:
        ended = asyncio.create_task(self._gateway.ended())
        told = asyncio.create_task(over.wait())
        await asyncio.wait((ended, told), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not ended.done():
            self._recorder.note("kill", pid=self._gateway.pid)
            await self._gateway.kill()
        self._ended(await ended)

    def _ended(self, code: int) -> None:
        self._lead_to("", "")
        self._recorder.note("ended", exit=code)
