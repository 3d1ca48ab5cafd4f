"""Limits the submissions that wait in gRPC's own queue, so that an accepted one is not too old to be of use.

gRPC does not report how many calls wait in a queue. The gateway therefore calls itself: the call, a probe, waits in the
same queue, and the submissions that are accepted before it were ahead of it. If these are more than MAX_QUEUED, the
rest of them is refused. A slow gateway with few submissions refuses none.
"""

import asyncio
import logging

import grpc

MAX_QUEUED = 1_000
"""Submissions that may wait in gRPC's queue, as many as may queue for a place of one tenant."""
PROBE_INTERVAL = 1.0
"""Seconds between probes. None is sent if no submission has arrived since the last one."""
REPEAT_PROBE_DELAY = 0.1
"""Seconds until a probe is repeated that gRPC has dropped from its queue."""
DROPPED_CODES = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED})
"""The codes with which gRPC drops a call from its queue: after 30 s, or if the queue is full."""
PROBE_TIMEOUT = 60.0
"""Seconds after which a probe counts as lost."""
log = logging.getLogger(__name__)


class Backlog:
    """Counts the submissions that are accepted while a probe waits."""

    def __init__(self) -> None:
        self.accepted = 0
        """Submissions that gRPC has handed over."""
        self._ahead: int | None = None
        """`accepted` when the probe was sent. None if no probe waits."""

    def accept(self) -> bool:
        """Count a submission that gRPC hands over. Returns False if it is to be refused."""
        self.accepted += 1
        return not self.full

    @property
    def full(self) -> bool:
        """Whether more than MAX_QUEUED submissions were ahead of the probe that waits."""
        return self._ahead is not None and self.accepted - self._ahead > MAX_QUEUED

    def probe_sent(self) -> None:
        """Record that a probe waits. If the last one was dropped, the submissions ahead of that one still count."""
        if self._ahead is None:
            self._ahead = self.accepted

    def probe_accepted(self) -> bool:
        """Record that the submissions ahead of the probe have been accepted. Returns whether these were too many."""
        full, self._ahead = self.full, None
        return full


async def measure(backlog: Backlog, address: str, method: str) -> None:
    """Send probes to a method until canceled, one at a time. `address` is a Unix socket of the server itself."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(method)
        seen = backlog.accepted
        try:
            while True:
                await asyncio.sleep(PROBE_INTERVAL)
                if backlog.accepted > seen:
                    while await _probe(backlog, call):
                        pass  # the next probe follows at once, because more may have arrived
                    seen = backlog.accepted
        finally:
            backlog.probe_accepted()  # without probes no submission is refused


async def _probe(backlog: Backlog, call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]") -> bool:
    """Send a probe, and again if it is dropped, until it is accepted. Returns whether the backlog was full."""
    while True:
        backlog.probe_sent()
        try:
            await call(b"", timeout=PROBE_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() in DROPPED_CODES:
                await asyncio.sleep(REPEAT_PROBE_DELAY)
                continue
            # Such as a socket that was deleted.
            log.warning("the queue of submissions could not be measured", extra={"code": error.code().name})
            backlog.probe_accepted()
            return False
        return backlog.probe_accepted()
