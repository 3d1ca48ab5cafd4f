"""An outage of ten minutes, of any kind: a minute after it, every accepted generation has ended.

Higgsfield is not overrun when it returns.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest

from gateway import due_times
from gateway.generations.admission import admission
from gateway.generations.inputs import SoulInput
from gateway.generations.model import Generation, RunTime, State, StatusReport
from gateway.generations.polling import rate_limit
from gateway.generations.service import Submission
from gateway.generations.state import Accepted, advance
from gateway.sandbox.accounts.account import SubmitRequest
from gateway.sandbox.catalog.models import MODELS
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.contract.store import examples
from tests.recovery.conftest import Start
from tests.support.running import eventually, model, name_of, public_url, sized, soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure

OUTAGE, WITHIN = 600.0, 60.0
"""Seconds of the outage, and seconds after it within which every generation ends."""
COARSE = 1.0
"""Seconds of a step while little happens."""
MANY = {"concurrency_limit": 100_000, "credits": Decimal(10**7)}


async def submitted(running: Timed, count: int, of: str = "picture") -> list[str]:
    """Submit `count` generations and return their ids; if Higgsfield is reachable, it has accepted them."""
    service, few = running.gateway._core.service, asyncio.Semaphore(200)

    async def one(number: int) -> str:
        async with few:
            wanted = Submission(SoulInput(f"{of} {number}"), b"", f"{of}-{number}", {})
            return (await service.submit("default", wanted))[0].id

    ids = await asyncio.gather(*map(one, range(count)))
    await running.wait_until_idle()
    return ids


async def in_flight(running: Timed, count: int) -> None:
    """Add `count` accepted generations to the gateway's store and to the sandbox."""
    account = running.sandbox.state.accounts["sandbox:sandbox"]
    soul_model = MODELS["higgsfield-ai/soul/standard"]
    core = running.gateway._core
    requests = [account.submit(SubmitRequest(soul_model, {"prompt": f"{n}"}))[0].request_id for n in range(count)]

    async def one(request_id: str) -> None:
        spec = replace(
            examples.generation().spec,
            tenant="default",
            account=core.upstream.default.account,
            origin=running.sandbox.url,
        )
        now = core.clock.moment()
        report = StatusReport(request_id, "queued", State.QUEUED)
        accepted = advance(Generation(spec, update_time=now.wall), Accepted(report), now)
        assert accepted is not None
        await core.store.claims.claim(examples.claim(accepted))

    for start in range(0, count, 500):
        await asyncio.gather(*map(one, requests[start : start + 500]))


async def all_end(running: Timed) -> float:
    """Return the seconds until no generation is live."""
    return await running.advance(WITHIN + 30.0, until=lambda: not running.gateway._core.feed.entries)


async def all_accepted(running: Timed) -> float:
    """Return the seconds until Higgsfield has accepted every pending generation."""
    return await running.advance(WITHIN + 30.0, until=lambda: "PENDING" not in running.live().values())


# -- Every kind of outage ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def higgsfield_is_away(running: Timed) -> AsyncIterator[None]:
    """Higgsfield does not listen."""
    await running.stop_higgsfield()
    yield
    await running.restart_higgsfield()


@asynccontextmanager
async def higgsfield_fails(running: Timed) -> AsyncIterator[None]:
    """Higgsfield answers every status call with a 503."""
    running.plan(on="status", kind="503", times=10**6)
    yield
    running.sandbox.state.plan.clear()


@asynccontextmanager
async def higgsfield_has_forgotten(running: Timed) -> AsyncIterator[None]:
    """Higgsfield answers every status call with a 404."""
    running.plan(on="status", status=404, body={"detail": "Not found"}, times=10**6)
    yield
    running.sandbox.state.plan.clear()


@asynccontextmanager
async def higgsfield_limits_calls(running: Timed) -> AsyncIterator[None]:
    """Higgsfield answers every status call with a 429."""
    running.plan(on="status", kind="429", headers={"Retry-After": "20"}, times=10**6)
    yield
    running.sandbox.state.plan.clear()


@asynccontextmanager
async def the_gateway_is_down(running: Timed) -> AsyncIterator[None]:
    """The gateway is stopped and then restarted on its store."""
    await running.stop_gateway()
    yield
    await running.start_gateway()


@asynccontextmanager
async def the_gateway_starts_while_higgsfield_is_away(running: Timed) -> AsyncIterator[None]:
    """Both are down, and Higgsfield returns last."""
    await running.stop_higgsfield()
    await running.stop_gateway()
    await running.start_gateway()
    yield
    await running.restart_higgsfield()


@asynccontextmanager
async def the_store_is_locked(running: Timed) -> AsyncIterator[None]:
    """Another program locks the store's file, so that the gateway cannot write."""
    connected = closing(sqlite3.connect(running.store_path, isolation_level=None))
    with connected as other, patch("gateway.store.sqlite.writer.BUSY_TIMEOUT_MS", 1):
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


Outage = Callable[[Timed], AbstractAsyncContextManager[None]]
OUTAGES: list[Outage] = [
    higgsfield_is_away,
    higgsfield_fails,
    higgsfield_has_forgotten,
    higgsfield_limits_calls,
    the_gateway_is_down,
    the_gateway_starts_while_higgsfield_is_away,
    the_store_is_locked,
]


@pytest.mark.parametrize("outage", OUTAGES)
async def test_everything_ends_within_a_minute_after_an_outage(start: Start, outage: Outage) -> None:
    running = await start(queue_seconds=300.0, **MANY)
    ids = await submitted(running, 15)
    await running.advance(60.0, step=COARSE)
    async with outage(running):
        await running.advance(OUTAGE, step=COARSE)
        assert set(running.live()) == set(ids)
    assert await all_end(running) <= WITHIN
    assert [name_of(await running.get(one)) for one in ids] == ["COMPLETED"] * len(ids)
    summary = running.ledger.summary()
    assert summary["charge_count"] == summary["submissions_seen"] == len(ids)
    assert summary["ignored_retry_after"] == 0


async def test_an_end_during_a_locked_store_is_noticed_among_many_that_do_not_change(start: Start) -> None:
    running = await start(image_seconds=3600.0, video_seconds=100.0, **MANY)
    await submitted(running, 150)
    film = await running.submit(model("kling-video/v2.5-turbo/pro/text-to-video", {"prompt": "a fox"}, "film"))
    await running.advance(60.0, step=COARSE)
    async with the_store_is_locked(running):
        await running.advance(OUTAGE, step=COARSE)
        assert running.live()[film.id] == "IN_PROGRESS"
    assert await running.advance(WITHIN + 30.0, until=lambda: film.id not in running.live()) <= WITHIN


async def test_an_acceptance_during_a_locked_store_is_not_lost(start: Start) -> None:
    running = await start()
    running.plan(on="submit", delay=0.3)
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    async with the_store_is_locked(running):
        await running.advance(OUTAGE, step=COARSE)
        assert name_of(await running.get(stored.id)) == "PENDING"
        assert len(running.ledger.charges) == 1
    assert await all_end(running) <= WITHIN
    done = await running.get(stored.id)
    assert (name_of(done), done.upstream.request_id) == ("COMPLETED", running.ledger.charges[0].request_id)
    assert len(running.ledger.submissions) == 1


async def test_after_errors_a_generation_is_polled_as_often_as_before(start: Start) -> None:
    running = await start(image_seconds=1_000.0)
    await running.submit(soul("a fox"))
    running.plan(on="status", kind="503", times=5)
    await running.advance(300.0, until=lambda: len(running.sandbox.state.plan) == 0)
    calls = running.ledger.status_calls
    await running.advance(60.0, until=lambda: calls.total() > 5)
    before = calls.total()
    await running.advance(60.0)
    assert calls.total() - before >= 3, "every 10 to 14 s at its age, and not every 30 s as during the errors"


# -- No thundering herd ------------------------------------------------------------------------------------------------


async def test_five_thousand_generations_are_polled_once_each_and_spread(start: Start) -> None:
    running = await start(queue_seconds=300.0, **MANY)
    await in_flight(running, 5_000)
    async with higgsfield_is_away(running):
        await running.advance(OUTAGE, step=COARSE)
        before = running.ledger.status_calls.total()
        running.sandbox.state.ledger.peak_calls_per_second = 0
    assert await all_end(running) <= WITHIN
    assert running.ledger.status_calls.total() - before == 5_000
    assert running.ledger.peak_calls_per_second <= 2 * rate_limit.RATE_AFTER_BREAK
    assert running.ledger.ignored_retry_after == 0


def most_in_a_second(running: Timed, after: float = 0.0) -> int:
    """Return the largest number of submissions within one second."""
    return max(Counter(int(one.at) for one in running.ledger.submissions if one.at > after).values())


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
async def test_retries_of_simultaneous_submissions_are_spread(start: Start, restart: bool) -> None:
    running = await start(**MANY)
    count = 23
    running.plan(on="submit", kind="hang" if restart else "lost", times=count)
    service = running.gateway._core.service
    wanted = [Submission(SoulInput(f"fox {number}"), b"", f"fox-{number}", {}) for number in range(count)]
    with patch("gateway.generations.admission.admission.SILENT_IN_A_ROW", 1_000):
        await asyncio.gather(*(service.submit("default", one) for one in wanted))
        await eventually(lambda: len(running.ledger.submissions) + len(running.sandbox.state.plan) >= count)
        if restart:
            await running.stop_gateway()
            await running.start_gateway()
        sent = running.time.now
        assert await all_end(running) <= WITHIN
    assert len(running.ledger.charges) == count
    assert most_in_a_second(running, after=sent + 1.0) <= count / 2


@pytest.mark.parametrize("status", [402, 429])
async def test_the_repeat_after_a_refused_one_waits_as_after_an_unknown_outcome(start: Start, status: int) -> None:
    running = await start()
    running.plan(on="submit", kind="lost")
    running.plan(on="submit", status=status, body={"detail": "not now"}, times=2)
    lost = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    await running.advance(900.0, until=lambda: not running.live())
    _, first, second, third = [one.at for one in running.ledger.submissions]
    assert second - first >= 60.0
    assert third - second >= 300.0
    assert name_of(await running.get(lost.id)) == "COMPLETED"
    assert len(running.ledger.charges) == 1


async def test_the_timer_heap_drops_obsolete_entries(start: Start) -> None:
    running = await start(**MANY)
    busy = running.gateway._core.follower
    async with higgsfield_is_away(running):
        await submitted(running, 500)
        await running.advance(60.0, step=COARSE)
    assert await all_accepted(running) <= WITHIN
    await all_end(running)
    assert len(busy._due) == 0
    assert len(busy._due._heap) <= due_times.MAX_OUTDATED


async def test_pending_submissions_are_sent_gradually_after_an_outage(start: Start) -> None:
    running = await start(**MANY)
    async with higgsfield_is_away(running):
        ids = await submitted(running, 500)
        await running.advance(OUTAGE, step=COARSE)
        assert set(running.live().values()) == {"PENDING"}
    assert await all_accepted(running) <= WITHIN
    summary = running.ledger.summary()
    assert summary["charge_count"] == summary["submissions_seen"] == len(ids)
    assert most_in_a_second(running) <= 1.3 * admission.RECOVERY_RATE


async def test_pending_submissions_are_sent_gradually_after_a_restart(start: Start) -> None:
    running = await start(**MANY)
    await running.stop_higgsfield()
    await submitted(running, 300)
    await running.stop_gateway()
    await running.advance(10.0)
    await running.restart_higgsfield()
    await running.start_gateway()
    assert await all_accepted(running) <= WITHIN
    assert running.ledger.summary()["charge_count"] == 300
    assert most_in_a_second(running) <= 1.3 * admission.RECOVERY_RATE


# -- Retry-After -------------------------------------------------------------------------------------------------------

WAIT: dict[str, Any] = {"kind": "429", "headers": {"Retry-After": "7"}}


async def test_submissions_and_status_calls_honour_retry_after(start: Start) -> None:
    running = await start(**MANY)
    running.plan(on="submit", times=5, **WAIT)
    ids = await submitted(running, 30)
    for _ in range(6):
        running.plan(on="status", times=3, **WAIT)
        await running.advance(20.0)
    assert await all_end(running) <= WITHIN
    assert running.ledger.ignored_retry_after == 0
    assert len(running.ledger.charges) == len(ids)
    assert len(running.ledger.submissions) == len(ids) + 5
    assert len(running.sandbox.state.plan) == 0


async def test_a_cancel_honours_retry_after(start: Start) -> None:
    running = await start(queue_seconds=3600.0)
    running.plan(on="cancel", times=3, **WAIT)
    waiting = await running.submit(soul("a fox", start_timeout={"seconds": 5}, wait_for=pb.WAIT_FOR_STORED))
    assert await all_end(running) <= WITHIN
    assert name_of(await running.get(waiting.id)) == "CANCELED"
    assert [one.outcome for one in running.ledger.cancels] == ["429", "429", "429", "202"]
    assert running.ledger.ignored_retry_after == 0


async def test_the_status_call_after_a_callers_cancel_honours_retry_after(start: Start) -> None:
    running = await start(queue_seconds=3600.0)
    ids = [(await running.submit(soul(prompt))).id for prompt in ("a fox", "an owl")]
    running.plan(on="status", **WAIT)
    with pytest.raises(RpcFailure) as limited:  # the status call of this cancel gets the 429
        await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=ids[0]))
    assert (limited.value.reason, limited.value.failure.retry_delay.seconds) == ("UPSTREAM_UNAVAILABLE", 7)

    await running.advance(2.0)
    for waiting in ids:
        with pytest.raises(RpcFailure, match="limits status calls") as early:
            await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=waiting))
        assert 4 <= early.value.failure.retry_delay.ToTimedelta().total_seconds() <= 5
    assert sum(running.ledger.status_calls.values()) == 1

    await running.advance(6.0)
    for waiting in ids:
        done = await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=waiting))
        assert name_of(done.generation) == "CANCELED"
    assert running.ledger.ignored_retry_after == 0


async def test_the_status_call_after_a_webhook_honours_retry_after(start: Start) -> None:
    running = await start(POLL_MIN=30, POLL_MAX=30, **public_url())
    waiting = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    await running.advance(1.0)
    running.plan(on="status", times=3, **WAIT)
    await running.advance(6.0)
    await eventually(lambda: len(running.ledger.webhook_attempts) == 1)
    assert await all_end(running) <= WITHIN
    done = await running.get(waiting.id)
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK
    assert running.ledger.ignored_retry_after == 0


# -- Concurrency slots -------------------------------------------------------------------------------------------------


async def test_an_uncertain_generation_releases_its_slots_after_the_longest_run(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=2, image_seconds=30.0)
    running.plan(on="submit", kind="lost", times=2)
    for number in range(2):
        await running.submit(sized(f"lost {number}", 1, wait_for=pb.WAIT_FOR_STORED))
        await running.advance(1.0)
    waiting = await running.submit(soul("third", wait_for=pb.WAIT_FOR_STORED))
    await running.advance(admission.DEFAULT_MAX_RUN_TIME - 60.0, step=COARSE)
    assert sorted(running.live().values()) == ["PENDING", "UNCERTAIN", "UNCERTAIN"]
    await running.advance(120.0, step=COARSE)
    assert name_of(await running.get(waiting.id)) == "COMPLETED"
    assert sorted(running.live().values()) == ["UNCERTAIN", "UNCERTAIN"]


async def test_a_learned_run_time_releases_the_slot_of_an_uncertain_one_sooner(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1, image_seconds=30.0)
    core = running.gateway._core
    model_id = core.upstream.default.prepare(SoulInput("", width=1536, height=1152), "key", None, None).model_id
    core.follower._schedule._intervals.run_times.learn_all(
        RunTime(model_id, "", float(seconds)) for seconds in range(20, 60)
    )
    running.plan(on="submit", kind="lost")
    await running.submit(sized("lost", 1, wait_for=pb.WAIT_FOR_STORED))
    await running.advance(1.0)
    waiting = await running.submit(soul("second", wait_for=pb.WAIT_FOR_STORED))
    await running.advance(50.0)
    assert name_of(await running.get(waiting.id)) == "PENDING"
    await running.advance(50.0)
    assert name_of(await running.get(waiting.id)) == "COMPLETED"


async def test_a_probe_whose_webhook_comes_before_its_response_delays_no_others(start: Start) -> None:
    """Its response opens the gate, but changes nothing in the store that would let the next one be sent."""
    running = await start(**public_url())
    running.plan(on="submit", kind="429", headers={"Retry-After": "60"})
    probe = await running.submit(soul("probe", wait_for=pb.WAIT_FOR_STORED))
    await running.wait_until_idle()
    waiting = await running.submit(soul("second", wait_for=pb.WAIT_FOR_STORED))
    with running.held(on="submit", processed=True, prompt="probe"):
        running.time.step(running.time.now + 90.0, 90.0)  # `advance` would wait for the response
        await eventually(lambda: running.ledger.charges)
        running.time.step(running.time.now + 90.0, 90.0)
        await running.until(probe.id, "COMPLETED")
    await running.advance(60.0)
    assert name_of(await running.get(waiting.id)) == "COMPLETED"


async def test_requests_whose_status_calls_always_fail_delay_no_others(start: Start) -> None:
    """Ten failures in a row count as an outage, which has one probe every 10 s. It must not be one of theirs."""
    running = await start(concurrency_limit=100, image_seconds=200.0, POLL_MIN="1", POLL_MAX="30")
    for number in range(40):
        running.plan(on="status", kind="500", times=10_000, prompt=f"odd {number}")
    await submitted(running, 40, "odd")
    await running.advance(100.0, step=COARSE)
    others = await submitted(running, 3)
    took = await running.advance(900.0, until=lambda: not {*others} & {*running.live()}, step=COARSE)
    assert 200.0 <= took <= 200.0 + WITHIN


async def test_new_requests_whose_status_calls_fail_delay_no_earlier_ones(start: Start) -> None:
    """The probe is one whose calls have succeeded, not each of the new ones before it."""
    running = await start(concurrency_limit=100, image_seconds=200.0, POLL_MIN="1", POLL_MAX="30")
    others = await submitted(running, 3)
    await running.advance(50.0, step=COARSE)
    for number in range(60):
        running.plan(on="status", kind="500", times=10_000, prompt=f"odd {number}")
    await submitted(running, 60, "odd")
    took = await running.advance(900.0, until=lambda: not {*others} & {*running.live()}, step=COARSE)
    assert 150.0 <= took <= 150.0 + WITHIN
