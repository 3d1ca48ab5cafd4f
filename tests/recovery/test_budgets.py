"""Budgets while days pass: they begin by Higgsfield's time, and prices are asked for again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from hfgateway.admin.v1 import admin_service_pb2 as admin_pb
from hfgateway.v1 import generation_service_pb2 as pb
from tests.recovery.conftest import Start
from tests.support.operator import ask
from tests.support.running import soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure

HOUR, DAY = 3_600.0, 86_400.0


async def set_limits(running: Timed, **limits: Any) -> None:
    await ask(running, "SetLimits", admin_pb.SetLimitsRequest(tenant="default", limits=admin_pb.Limits(**limits)))


async def used(running: Timed) -> admin_pb.Use:
    found: admin_pb.ListLimitsResponse = await ask(running, "ListLimits", admin_pb.ListLimitsRequest())
    return found.limits[0].use


async def test_no_day_begins_by_the_clock_of_the_machine(start: Start) -> None:
    running = await start(wall_is_ahead=40 * DAY)
    await running.stop_higgsfield()
    await set_limits(running, in_flight=5)
    await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    now = await used(running)
    assert (now.day, now.in_flight) == ("", 1)
    await running.restart_higgsfield()
    await running.advance(60.0)
    await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    await running.wait_until_idle()
    today = parsedate_to_datetime(running.time.true_date()).astimezone(UTC)
    assert (await used(running)).day == today.strftime("%Y-%m-%d")


async def test_the_first_limits_begin_with_the_day_of_higgsfield(start: Start) -> None:
    running = await start(wall_is_ahead=40 * DAY)
    await set_limits(running, credits_per_day="9")
    today = parsedate_to_datetime(running.time.true_date()).astimezone(UTC)
    assert (await used(running)).day == today.strftime("%Y-%m-%d")


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 01 Jan 0999 00:00:00 GMT"])
async def test_a_date_that_no_day_follows_begins_no_day(
    start: Start, date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await start()
    with monkeypatch.context() as wrong:
        wrong.setattr("aiohttp.web_response.rfc822_formatted_time", lambda: date)
        await set_limits(running, credits_per_day="9", credits_per_month="9")
        await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
        now = await used(running)
        assert (now.day, now.reserved_today) == ("", "0.05")
    await running.advance(60.0)
    await running.submit(soul("an owl", wait_for=pb.WAIT_FOR_STORED))
    today = parsedate_to_datetime(running.time.true_date()).astimezone(UTC)
    assert (await used(running)).day == today.strftime("%Y-%m-%d")


async def test_a_minute_and_the_time_of_a_retry_are_those_of_higgsfield(start: Start) -> None:
    running = await start(wall_is_ahead=40 * DAY)
    await set_limits(running, submissions_per_minute=1)
    await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("an owl"))
    failure = raised.value.failure
    now = parsedate_to_datetime(running.time.true_date())
    left = datetime.fromisoformat(failure.metadata["resets_at"]) - now
    assert abs(left) < timedelta(minutes=2)
    assert abs(failure.retry_delay.ToTimedelta() - left) < timedelta(seconds=3)  # dates have whole seconds


async def test_the_use_of_a_day_and_cached_prices_end(start: Start) -> None:
    running = await start()
    await set_limits(running, credits_per_day="9", submissions_per_minute=9)
    await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    now = await used(running)
    assert (now.reserved_today, now.submissions_this_minute) == ("0.05", 1)
    await running.advance(DAY, step=HOUR)
    now = await used(running)
    assert (now.reserved_today, now.spent_today, now.submissions_this_minute) == ("0", "0", 0)
    running.plan(on="estimate", status=200, body={"credits": "0.2"})
    await running.submit(soul("a fox", key="another", wait_for=pb.WAIT_FOR_STORED))
    assert (await used(running)).reserved_today == "0.2"
