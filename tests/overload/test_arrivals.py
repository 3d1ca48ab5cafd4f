"""One timer limits the time that all calls wait for their requests."""

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.rpc.limits import call_limits
from gateway.rpc.limits.arrivals import TICKS, Arrivals

WAIT_TIMEOUT = 10.0


async def test_a_request_that_arrives_is_returned() -> None:
    arrivals = Arrivals()
    assert await arrivals.within(asyncio.sleep(0, "here")) == "here"


async def test_every_wait_times_out_including_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_limits, "BODY_TIMEOUT", 0.02)
    arrivals = Arrivals()

    async def wait() -> None:
        with pytest.raises(GatewayError, match="did not arrive"):
            await arrivals.within(asyncio.Event().wait())

    async with asyncio.timeout(WAIT_TIMEOUT):
        first = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.gather(first, wait())
        await wait()  # after the timer has stopped
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_request_that_arrives_while_the_gateway_stands_still_is_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is read in the iteration of the event loop in which the timer is late."""
    loop, arrivals = asyncio.get_running_loop(), Arrivals()
    arrival = loop.create_future()
    waiting = asyncio.create_task(arrivals.within(arrival))
    await asyncio.sleep(0)
    present = loop.time
    monkeypatch.setattr(loop, "time", lambda: present() + 2 * call_limits.BODY_TIMEOUT)
    loop.call_soon(arrival.set_result, "here")
    assert await waiting == "here"


async def test_a_call_canceled_during_its_wait_stays_canceled() -> None:
    arrivals = Arrivals()
    task = asyncio.create_task(arrivals.within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_canceled_at_its_timeout_stays_canceled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_limits, "BODY_TIMEOUT", 0.0)
    arrivals = Arrivals()
    task = asyncio.create_task(arrivals.within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    for _ in range(TICKS + 1):
        arrivals._tick()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_wait_is_shorter_than_the_timeout() -> None:
    """A call may begin to wait right before a tick, which does not count."""
    arrivals = Arrivals()
    task = asyncio.create_task(arrivals.within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    for _ in range(TICKS):
        arrivals._tick()
    assert task.cancelling() == 0
    arrivals._tick()
    with pytest.raises(GatewayError, match="did not arrive"):
        await task
