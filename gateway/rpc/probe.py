"""Finds out how long calls wait in gRPC's own queues, which nothing tells of: by calls of our own that wait in them.

grpc.aio takes one call after the other out of a queue, each time its event loop comes round. Under load calls pile up
there while the loop is hardly ever late, so its lag tells little.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import grpc

SUBMIT = "/hfgateway.v1.GenerationService/SubmitGeneration"
"""Has a queue of its own."""
OTHER = "/probe"
"""A method that does not exist: it waits in the queue of those that have none of their own, and has no effect."""
OLDEST = 5.0
"""Seconds after which gRPC drops a call from its queue; it answers calls that it drops with CANCELLED."""
_SOCKET = "unix:"


def is_probe(context: "grpc.aio.ServicerContext[bytes, bytes]") -> bool:
    """Whether this call came over the socket on which nothing but our own probes is answered."""
    return context.peer().startswith(_SOCKET)  # type: ignore[no-any-return]


class Probe:
    """Asks how long calls of one queue wait, one call at a time."""

    def __init__(self, call: Any, now: Callable[[], float]) -> None:
        self._call = call
        self._now = now
        self._sent_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._waited = 0.0

    @property
    def wait(self) -> float:
        """Seconds that the last probe waited, or more, where the one under way has waited longer by now."""
        return self._waited if self._sent_at is None else max(self._waited, self._now() - self._sent_at)

    def send(self) -> None:
        """Ask anew, unless an answer is still to come."""
        if self._sent_at is None:
            self._sent_at = self._now()
            self._task = asyncio.create_task(self._ask(self._sent_at))

    def rest(self) -> None:
        """Nobody calls: then nobody waits."""
        if self._sent_at is None:
            self._waited = 0.0

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _ask(self, sent_at: float) -> None:
        code = grpc.StatusCode.OK
        try:
            await self._call(b"")
        except grpc.aio.AioRpcError as error:
            code = error.code()
        waited = self._now() - sent_at
        self._waited = max(waited, OLDEST) if code is grpc.StatusCode.CANCELLED else waited
        self._sent_at = None


class Probes:
    """Both queues of a server, asked over a Unix socket on which it listens as well."""

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        self._channel = grpc.aio.insecure_channel(_SOCKET + path, options=(("grpc.use_local_subchannel_pool", 1),))
        self.submissions = Probe(self._channel.unary_unary(SUBMIT), now)
        self.others = Probe(self._channel.unary_unary(OTHER), now)

    async def close(self) -> None:
        """End what is under way, and the connection."""
        await asyncio.gather(self.submissions.close(), self.others.close())
        await self._channel.close()
