"""One timer bounds how long all calls wait for their requests."""

import asyncio

import pytest

from gateway.rpc import limits
from gateway.rpc.arrivals import Arrivals

PATIENCE = 10.0


async def test_what_arrives_is_returned() -> None:
    arrivals = Arrivals()
    assert await arrivals.within(asyncio.sleep(0, "here")) == "here"


async def test_each_wait_ends_also_one_that_begins_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_WITHIN", 0.02)
    arrivals = Arrivals()

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            await arrivals.within(asyncio.Event().wait())

    async with asyncio.timeout(PATIENCE):
        first = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.gather(first, wait())
        await wait()  # after the timer found nothing more to wait for
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_call_that_is_canceled_while_it_waits_stays_canceled() -> None:
    arrivals = Arrivals()
    task = asyncio.create_task(arrivals.within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_is_canceled_as_its_time_is_up_stays_canceled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_WITHIN", 0.0)
    arrivals = Arrivals()
    task = asyncio.create_task(arrivals.within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    arrivals._sweep()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
