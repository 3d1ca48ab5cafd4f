"""How the waits are measured: by a clock and by probes that the test holds in its hands, and once by true probes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from gateway.generations.model import Moment
from gateway.generations.thrift import MOST, Thrift
from gateway.rpc.overload import FALL, MOST_FOR_QUEUES, STANDING, TURNS, Kind, Overload
from gateway.rpc.pressure import Pressure
from gateway.rpc.probe import OLDEST, Probe
from tests.overload.conftest import EXTREME, MANY, press
from tests.support.running import eventually, run, soul

WATCH, SUBMIT, READ, STATUS = Kind


class LateClock:
    """Every wait takes so much longer than it should, one after the other, while calls come; then it stands still."""

    def __init__(self, late: Sequence[float], overload: Overload, calls: int) -> None:
        self._late = list(late)
        self._overload = overload
        self._calls = calls
        self._now = 1000.0
        self.over = asyncio.Event()

    def moment(self) -> Moment:
        return Moment(steady=self._now, wall=self._now)

    def agrees(self) -> bool:
        return True

    async def wait(self, signal: asyncio.Future[None], seconds: float | None) -> None:
        assert seconds is not None
        if not self._late:
            self.over.set()
            await signal
        self._now += seconds + self._late.pop(0)
        self._overload.asked += self._calls


class HeldProbe:
    """A probe that says what it is told to say."""

    def __init__(self, wait: float = 0.0) -> None:
        self.wait = wait
        self.sent = 0

    def send(self) -> None:
        self.sent += 1

    def rest(self) -> None:
        self.wait = 0.0


async def after(
    overload: Overload,
    late: Sequence[float],
    *,
    submissions: HeldProbe | None = None,
    others: HeldProbe | None = None,
    calls: int = MANY,
    behind: float = 0.0,
    works: float = 0.0,
    thrift: Thrift | None = None,
) -> Pressure:
    """Measure for so many ticks, in each of which so many calls come, and the loop works for that share of the time."""
    clock = LateClock(late, overload, calls)
    pressure = Pressure(
        overload,
        clock,
        submissions or HeldProbe(),
        others or HeldProbe(),
        behind=lambda: behind,
        thrift=thrift or Thrift(),
        worked=lambda: works * clock.moment().steady,
    )
    running = asyncio.create_task(pressure.run())
    await clock.over.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return pressure


async def test_a_loop_that_is_late_again_and_again_is_overloaded() -> None:
    overload = Overload()
    pressure = await after(overload, [2.0 / TURNS[SUBMIT]] * 10)
    assert pressure.lag == pytest.approx(2.0 / TURNS[SUBMIT])
    assert [overload.shares[kind] for kind in Kind] == [1.0, pytest.approx(1.0), 0.0, 0.0]


async def test_a_loop_that_was_late_once_is_not() -> None:
    overload = Overload()
    await after(overload, [0.0, 30.0, 0.0, 0.0])
    assert not overload.active


async def test_nobody_is_asked_while_nobody_calls() -> None:
    overload, submissions, others = Overload(), HeldProbe(wait=9.0), HeldProbe(wait=9.0)
    await after(overload, [0.0] * 20, submissions=submissions, others=others, calls=0)
    assert (submissions.sent, others.sent) == (0, 0)
    assert (submissions.wait, others.wait) == (0.0, 0.0)
    assert not overload.active


async def test_while_calls_come_both_queues_are_asked_and_felt() -> None:
    overload = Overload()
    submissions, others = HeldProbe(wait=1.25), HeldProbe()
    await after(overload, [0.0] * 5, submissions=submissions, others=others)
    assert (submissions.sent, others.sent) == (5, 5)
    assert [overload.shares[kind] for kind in Kind] == [MOST_FOR_QUEUES, 0.25, 0.0, 0.0]
    others.wait = 3.375
    await after(overload, [0.0] * 5, submissions=submissions, others=others)
    assert [overload.shares[kind] for kind in Kind] == [MOST_FOR_QUEUES] * 3 + [0.25]


async def test_a_follower_that_is_late_is_a_reason_to_accept_less() -> None:
    overload = Overload()
    await after(overload, [0.0] * 5, behind=1.5)
    assert [overload.shares[kind] for kind in Kind] == [1.0, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("late", [0.0, 0.3], ids=["in time", "late"])
async def test_a_loop_that_works_all_the_time_asks_less_for_status(late: float) -> None:
    busy, idle = Thrift(), Thrift()
    await after(Overload(), [late] * 100, works=0.95, thrift=busy)
    await after(Overload(), [late] * 100, works=0.5, thrift=idle)
    assert (busy.stretch, idle.stretch) == (MOST, 1.0)


async def test_it_is_asked_until_it_is_over_also_when_nobody_dares_to_call() -> None:
    overload, submissions, others = Overload(), HeldProbe(wait=9.0), HeldProbe(wait=9.0)
    press(overload, lag=EXTREME)
    await after(overload, [0.0] * 40, submissions=submissions, others=others, calls=0)
    assert not overload.active
    assert STANDING - 1 + 1 / FALL <= others.sent < 40


class Line:
    """Where a probe calls: answered when the test says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.answer: asyncio.Future[bytes]

    async def __call__(self, request: bytes) -> bytes:
        assert request == b""
        self.calls += 1
        self.answer = asyncio.get_running_loop().create_future()
        return await self.answer


def dropped(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


@pytest.mark.parametrize(
    ("ends", "told"),
    [(None, 2.0), (grpc.StatusCode.UNIMPLEMENTED, 2.0), (grpc.StatusCode.CANCELLED, OLDEST)],
    ids=["answered", "no such method", "dropped from the queue"],
)
async def test_a_probe_tells_how_long_it_waits_already_and_how_long_it_waited(
    ends: grpc.StatusCode | None, told: float
) -> None:
    now = [100.0]
    line = Line()
    probe = Probe(line, lambda: now[0])
    assert probe.wait == 0.0
    probe.send()
    await eventually(lambda: line.calls == 1)
    now[0] += 1.5
    probe.send()
    probe.rest()
    assert probe.wait == 1.5
    now[0] += 0.5
    if ends is None:
        line.answer.set_result(b"")
    else:
        line.answer.set_exception(dropped(ends))
    await asyncio.wait_for(probe._task, 10)  # type: ignore[arg-type]
    assert line.calls == 1
    now[0] += 50
    assert probe.wait == told
    probe.send()
    assert probe.wait == told, "until a newer answer comes"
    await probe.close()


async def test_a_probe_forgets_while_nobody_calls() -> None:
    now, line = [100.0], Line()
    probe = Probe(line, lambda: now[0])
    probe.send()
    await eventually(lambda: line.calls == 1)
    now[0] += 2.0
    line.answer.set_result(b"")
    await eventually(lambda: probe.wait == 2.0 and probe._sent_at is None)
    probe.rest()
    assert probe.wait == 0.0


async def test_true_probes_of_a_gateway_find_its_queues_and_leave_no_trace(tmp_path: Path) -> None:
    async with run(tmp_path, feels_pressure=True) as running:
        probes = running.gateway._ports.pressure
        assert (probes._submissions.wait, probes._others.wait) == (0.0, 0.0)
        probes._overload.asked += 1  # as if somebody had called
        await eventually(lambda: probes._submissions.wait > 0 and probes._others.wait > 0)
        text = await running.metrics()
        assert "hfgateway_rpc_total{" not in text
        assert running.ledger.submissions == []
        await running.metric_becomes("hfgateway_submissions_wait_seconds", 0.0)
        await running.submit(soul("a fox"))
        await eventually(lambda: probes._submissions.wait > 0)
        assert 'hfgateway_rpc_total{code="OK",method="/hfgateway.v1.GenerationService/SubmitGeneration"} 1.0' in (
            await running.metrics()
        )
