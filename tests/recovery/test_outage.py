"""Ten minutes of trouble: whatever it was, a minute after it everything that was accepted has come to its end.

And Higgsfield, when it is back, is not overrun by all who have waited for it.
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

from gateway.generations import admission, follower, poll_limit
from gateway.generations.inputs import SoulInput
from gateway.generations.model import Generation, State, StatusReport
from gateway.generations.service import Submission
from gateway.generations.state import Accepted, advance
from gateway.sandbox.accounts.account import SubmitRequest
from gateway.sandbox.catalog.models import MODELS
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.contract.store import examples
from tests.recovery.conftest import Start
from tests.support.running import eventually, name_of, public_url, sized, soul
from tests.support.timeline import Timed

OUTAGE, WITHIN = 600.0, 60.0
"""Seconds that it lasts, and seconds after it in which all has ended."""
COARSE = 1.0
"""Seconds of a step where nothing much happens."""
MANY = {"concurrency_limit": 100_000, "credits": Decimal(10**7)}


async def submitted(running: Timed, count: int, of: str = "picture") -> list[str]:
    """The ids of so many, stored and, as far as that goes, handed to Higgsfield."""
    service, few = running.gateway._core.service, asyncio.Semaphore(200)

    async def one(number: int) -> str:
        async with few:
            wanted = Submission(SoulInput(f"{of} {number}"), b"", f"{of}-{number}", {})
            return (await service.submit("default", wanted))[0].id

    ids = await asyncio.gather(*map(one, range(count)))
    await running.settled()
    return ids


async def in_flight(running: Timed, count: int) -> None:
    """So many that both sides know of, as if they had been submitted one after the other."""
    account = running.sandbox.state.accounts["sandbox:sandbox"]
    soul_model = MODELS["higgsfield-ai/soul/standard"]
    core = running.gateway._core
    requests = [account.submit(SubmitRequest(soul_model, {"prompt": f"{n}"}))[0].request_id for n in range(count)]

    async def one(request_id: str) -> None:
        spec = replace(
            examples.generation().spec, tenant="default", account=core.upstream.account, origin=running.sandbox.url
        )
        now = core.clock.moment()
        told = StatusReport(request_id, "queued", State.QUEUED)
        accepted = advance(Generation(spec, update_time=now.wall), Accepted(told), now)
        assert accepted is not None
        await core.store.claim(examples.claim(accepted))

    for start in range(0, count, 500):
        await asyncio.gather(*map(one, requests[start : start + 500]))


async def all_end(running: Timed) -> float:
    """The seconds until nothing is open any more."""
    return await running.passes(WITHIN + 30.0, until=lambda: not running.live())


async def all_accepted(running: Timed) -> float:
    """The seconds until Higgsfield has taken all that waited."""
    return await running.passes(WITHIN + 30.0, until=lambda: "PENDING" not in running.live().values())


# -- Every trouble -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def higgsfield_is_away(running: Timed) -> AsyncIterator[None]:
    """Nobody listens there."""
    await running.higgsfield_goes()
    yield
    await running.higgsfield_comes_back()


@asynccontextmanager
async def higgsfield_fails(running: Timed) -> AsyncIterator[None]:
    """It answers every status call with a 503."""
    running.plan(on="status", kind="503", times=10**6)
    yield
    running.sandbox.state.plan.clear()


@asynccontextmanager
async def higgsfield_has_forgotten(running: Timed) -> AsyncIterator[None]:
    """It says of every request that there is none."""
    running.plan(on="status", status=404, body={"detail": "Not found"}, times=10**6)
    yield
    running.sandbox.state.plan.clear()


@asynccontextmanager
async def higgsfield_limits_calls(running: Timed) -> AsyncIterator[None]:
    """It answers every status call with a 429."""
    running.plan(on="status", kind="429", headers={"Retry-After": "20"}, times=10**6)
    yield
    running.sandbox.state.plan.clear()


@asynccontextmanager
async def the_gateway_is_down(running: Timed) -> AsyncIterator[None]:
    """It is stopped, and started again over its store."""
    await running.stop_gateway()
    yield
    await running.start_gateway()


@asynccontextmanager
async def the_gateway_starts_while_higgsfield_is_away(running: Timed) -> AsyncIterator[None]:
    """Both are down, and Higgsfield comes back last."""
    await running.higgsfield_goes()
    await running.stop_gateway()
    await running.start_gateway()
    yield
    await running.higgsfield_comes_back()


@asynccontextmanager
async def the_store_is_held(running: Timed) -> AsyncIterator[None]:
    """Another program holds the file: what is learned cannot be written down."""
    connected = closing(sqlite3.connect(running.store_path, isolation_level=None))
    with connected as other, patch("gateway.store.writer.PATIENCE", 1):
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


Trouble = Callable[[Timed], AbstractAsyncContextManager[None]]
TROUBLES: list[Trouble] = [
    higgsfield_is_away,
    higgsfield_fails,
    higgsfield_has_forgotten,
    higgsfield_limits_calls,
    the_gateway_is_down,
    the_gateway_starts_while_higgsfield_is_away,
    the_store_is_held,
]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_minute_after_ten_minutes_of_trouble_all_has_ended(start: Start, trouble: Trouble) -> None:
    running = await start(queue_seconds=300.0, **MANY)
    ids = await submitted(running, 15)
    await running.passes(60.0, step=COARSE)
    async with trouble(running):
        await running.passes(OUTAGE, step=COARSE)
        assert set(running.live()) == set(ids)
    assert await all_end(running) <= WITHIN
    assert [name_of(await running.get(one)) for one in ids] == ["COMPLETED"] * len(ids)
    summary = running.ledger.summary()
    assert summary["charge_count"] == summary["submissions_seen"] == len(ids)
    assert summary["ignored_retry_after"] == 0


async def test_what_was_accepted_while_the_store_was_held_is_not_forgotten(start: Start) -> None:
    running = await start()
    running.plan(on="submit", delay=0.3)
    stored = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    async with the_store_is_held(running):
        await running.passes(OUTAGE, step=COARSE)
        assert name_of(await running.get(stored.id)) == "PENDING"
        assert len(running.ledger.charges) == 1
    assert await all_end(running) <= WITHIN
    done = await running.get(stored.id)
    assert (name_of(done), done.upstream.request_id) == ("COMPLETED", running.ledger.charges[0].request_id)
    assert len(running.ledger.submissions) == 1


# -- No herd -----------------------------------------------------------------------------------------------------------


async def test_of_five_thousand_each_is_asked_for_once_and_no_second_has_many_calls(start: Start) -> None:
    running = await start(queue_seconds=300.0, **MANY)
    await in_flight(running, 5_000)
    async with higgsfield_is_away(running):
        await running.passes(OUTAGE, step=COARSE)
        before = running.ledger.status_calls.total()
        running.sandbox.state.ledger.peak_calls_per_second = 0
    assert await all_end(running) <= WITHIN
    assert running.ledger.status_calls.total() - before == 5_000
    assert running.ledger.peak_calls_per_second <= 2 * poll_limit.AFTER_A_BREAK
    assert running.ledger.ignored_retry_after == 0


def most_in_a_second(running: Timed, after: float = 0.0) -> int:
    """Submissions."""
    return max(Counter(int(one.at) for one in running.ledger.submissions if one.at > after).values())


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
async def test_what_was_unanswered_at_once_is_not_repeated_at_once(start: Start, restart: bool) -> None:
    running = await start(**MANY)
    count = 23
    running.plan(on="submit", kind="hang" if restart else "lost", times=count)
    service = running.gateway._core.service
    wanted = [Submission(SoulInput(f"fox {number}"), b"", f"fox-{number}", {}) for number in range(count)]
    with patch("gateway.generations.admission.SILENCES", 1_000):
        await asyncio.gather(*(service.submit("default", one) for one in wanted))
        await eventually(lambda: len(running.ledger.submissions) + len(running.sandbox.state.plan) >= count)
        if restart:
            await running.stop_gateway()
            await running.start_gateway()
        sent = running.time.now
        assert await all_end(running) <= WITHIN
    assert len(running.ledger.charges) == count
    assert most_in_a_second(running, after=sent + 1.0) <= count / 2


async def test_the_heap_of_times_sheds_what_is_due_no_more(start: Start) -> None:
    running = await start(**MANY)
    busy = running.gateway._core.follower
    async with higgsfield_is_away(running):
        await submitted(running, 500)
        await running.passes(60.0, step=COARSE)
    assert await all_accepted(running) <= WITHIN
    await all_end(running)
    assert busy.following == 0
    assert len(busy._heap) <= follower.SPARE


async def test_what_waited_to_be_sent_does_not_go_all_at_once(start: Start) -> None:
    running = await start(**MANY)
    async with higgsfield_is_away(running):
        ids = await submitted(running, 500)
        await running.passes(OUTAGE, step=COARSE)
        assert set(running.live().values()) == {"PENDING"}
    assert await all_accepted(running) <= WITHIN
    summary = running.ledger.summary()
    assert summary["charge_count"] == summary["submissions_seen"] == len(ids)
    assert most_in_a_second(running) <= 1.3 * admission.SLOWLY


async def test_what_an_earlier_process_left_waiting_does_not_go_all_at_once(start: Start) -> None:
    running = await start(**MANY)
    await running.higgsfield_goes()
    await submitted(running, 300)
    await running.stop_gateway()
    await running.passes(10.0)
    await running.higgsfield_comes_back()
    await running.start_gateway()
    assert await all_accepted(running) <= WITHIN
    assert running.ledger.summary()["charge_count"] == 300
    assert most_in_a_second(running) <= 1.3 * admission.SLOWLY


# -- Retry-After -------------------------------------------------------------------------------------------------------

WAIT: dict[str, Any] = {"kind": "429", "headers": {"Retry-After": "7"}}


async def test_submissions_and_status_calls_are_not_repeated_before_higgsfield_said(start: Start) -> None:
    running = await start(**MANY)
    running.plan(on="submit", times=5, **WAIT)
    ids = await submitted(running, 30)
    for _ in range(6):
        running.plan(on="status", times=3, **WAIT)
        await running.passes(20.0)
    assert await all_end(running) <= WITHIN
    assert running.ledger.ignored_retry_after == 0
    assert len(running.ledger.charges) == len(ids)
    assert len(running.ledger.submissions) == len(ids) + 5
    assert len(running.sandbox.state.plan) == 0


async def test_a_cancel_is_not_repeated_before_higgsfield_said(start: Start) -> None:
    running = await start(queue_seconds=3600.0)
    running.plan(on="cancel", times=3, **WAIT)
    waiting = await running.submit(soul("a fox", start_timeout={"seconds": 5}, wait_for=pb.WAIT_FOR_STORED))
    assert await all_end(running) <= WITHIN
    assert name_of(await running.get(waiting.id)) == "CANCELED"
    assert [one.outcome for one in running.ledger.cancels] == ["429", "429", "429", "202"]
    assert running.ledger.ignored_retry_after == 0


async def test_the_hint_of_a_webhook_is_not_asked_about_before_higgsfield_said(start: Start) -> None:
    running = await start(POLL_MIN=30, POLL_MAX=30, **public_url())
    waiting = await running.submit(soul("a fox", wait_for=pb.WAIT_FOR_STORED))
    await running.passes(1.0)
    running.plan(on="status", times=3, **WAIT)
    await running.passes(6.0)
    await eventually(lambda: len(running.ledger.webhook_attempts) == 1)
    assert await all_end(running) <= WITHIN
    done = await running.get(waiting.id)
    assert done.upstream.last_change_source == generation_pb2.CHANGE_SOURCE_WEBHOOK
    assert running.ledger.ignored_retry_after == 0


# -- Room --------------------------------------------------------------------------------------------------------------


async def test_what_is_uncertain_gives_back_its_room_when_it_can_run_no_more(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=2, image_seconds=30.0)
    running.plan(on="submit", kind="lost", times=2)
    for number in range(2):
        await running.submit(sized(f"lost {number}", 1, wait_for=pb.WAIT_FOR_STORED))
        await running.passes(1.0)
    waiting = await running.submit(soul("third", wait_for=pb.WAIT_FOR_STORED))
    await running.passes(admission.LONGEST_RUN - 60.0, step=COARSE)
    assert sorted(running.live().values()) == ["PENDING", "UNCERTAIN", "UNCERTAIN"]
    await running.passes(120.0, step=COARSE)
    assert name_of(await running.get(waiting.id)) == "COMPLETED"
    assert sorted(running.live().values()) == ["UNCERTAIN", "UNCERTAIN"]


async def test_a_learned_run_time_gives_it_back_sooner(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1, image_seconds=30.0)
    prepared = running.gateway._core.upstream.prepare
    model_id = prepared(SoulInput("", width=1536, height=1152), "key", None, None).model_id
    running.gateway._core.follower._paces.learn_all([(model_id, float(seconds)) for seconds in range(20, 60)])
    running.plan(on="submit", kind="lost")
    await running.submit(sized("lost", 1, wait_for=pb.WAIT_FOR_STORED))
    await running.passes(1.0)
    waiting = await running.submit(soul("second", wait_for=pb.WAIT_FOR_STORED))
    await running.passes(50.0)
    assert name_of(await running.get(waiting.id)) == "PENDING"
    await running.passes(50.0)
    assert name_of(await running.get(waiting.id)) == "COMPLETED"
