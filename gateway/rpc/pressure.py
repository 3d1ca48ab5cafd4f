"""Measures what waits, and how long: turns of the event loop, status calls that are due, calls in gRPC's own queues."""

import time
from collections.abc import Callable
from typing import Protocol

from gateway.generations.clock import rest
from gateway.generations.ports import Clock
from gateway.generations.thrift import Thrift
from gateway.rpc.overload import TICK, Overload, Waits


class Probe(Protocol):
    """Tells how long calls of a queue wait."""

    @property
    def wait(self) -> float:
        """Seconds that a call waited, or has been waiting by now."""

    def send(self) -> None:
        """Ask anew, unless an answer is still to come."""

    def rest(self) -> None:
        """Nobody calls: forget the last answer."""


class Pressure:
    """`run` it for as long as calls are served. `behind` tells by how much the follower is late.

    `thrift` is told which share of the time the event loop worked, by the processor time of its thread: `worked`.
    """

    def __init__(
        self,
        overload: Overload,
        clock: Clock,
        submissions: Probe,
        others: Probe,
        *,
        behind: Callable[[], float],
        thrift: Thrift,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self._overload = overload
        self._clock = clock
        self._submissions = submissions
        self._others = others
        self._behind = behind
        self._thrift = thrift
        self._worked = worked
        self._asked = 0
        self.lag = 0.0
        """Seconds by which the event loop was late."""
        self.busy = 0.0
        """The share of the time in which it worked."""

    async def run(self) -> None:
        """Measure every `TICK`, until canceled."""
        while True:
            began, worked = self._clock.moment().steady, self._worked()
            await rest(self._clock, TICK)
            took = self._clock.moment().steady - began
            self.lag = max(took - TICK, 0.0)
            self.busy = (self._worked() - worked) / took if took else 0.0
            self.measure()

    def measure(self) -> None:
        """Once; probes are only sent while there are calls, for an idle gateway is to do nothing."""
        self._thrift.feel(self.busy)
        probes = (self._submissions, self._others)
        called = self._overload.asked != self._asked or self._overload.active
        self._asked = self._overload.asked
        for probe in probes:
            if called:
                probe.send()
            else:
                probe.rest()
        self._overload.feel(
            Waits(
                lag=self.lag,
                behind=self._behind(),
                submissions=self._submissions.wait,
                others=self._others.wait,
            )
        )
