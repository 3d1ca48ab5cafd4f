"""Limits the bytes per second of all copies together."""

from collections.abc import AsyncIterator

from gateway.generations.clock import sleep
from gateway.generations.ports import Clock


class Throttle:
    """A bandwidth limit of `rate` bytes per second; 0 means no limit."""

    def __init__(self, clock: Clock, rate: int) -> None:
        self._clock = clock
        self._rate = rate
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may pass. Calls are served in their order."""
        if not self._rate:
            return
        now = self._clock.moment().steady
        turn = max(self._free_at, now)
        self._free_at = turn + count / self._rate
        if turn > now:
            await sleep(self._clock, turn - now)

    async def throttled(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the chunks at the limited rate."""
        async for chunk in chunks:
            await self.take(len(chunk))
            yield chunk
