"""The limit of bytes per second that all copies share."""

from collections.abc import AsyncIterator

from gateway.generations.clock import rest
from gateway.generations.ports import Clock


class Throttle:
    """`take` before bytes are passed on; a `rate` of 0 bytes per second limits nothing."""

    def __init__(self, clock: Clock, rate: int) -> None:
        self._clock = clock
        self._rate = rate
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Return when so many bytes may pass: who comes later waits for those who came before."""
        if not self._rate:
            return
        now = self._clock.moment().steady
        turn = max(self._free_at, now)
        self._free_at = turn + count / self._rate
        if turn > now:
            await rest(self._clock, turn - now)

    async def passing(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, each when it may pass."""
        async for chunk in chunks:
            await self.take(len(chunk))
            yield chunk
