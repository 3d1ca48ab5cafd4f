"""Clock jumps: irreversible decisions use true ages, or wait.

Higgsfield's clock is right, and the machine's monotonic clock runs evenly, as in reality. The wall clock is set
forward or back by hours, while the gateway runs or is down.
"""

from __future__ import annotations

import pytest

from gateway.generations import clock
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.recovery.conftest import Start
from tests.support.running import Generation, name_of, soul
from tests.support.timeline import Timed

HOUR, DAY = 3_600.0, 86_400.0
LEAP = 5 * HOUR
COARSE = 60.0
STORED = pb.WAIT_FOR_STORED
JUMPS = pytest.mark.parametrize("jump", [LEAP, -LEAP], ids=["forward", "back"])
UNCERTAIN_TIMEOUT = 3 * HOUR
"""The default of HFGATEWAY_UNCERTAIN_TIMEOUT, in seconds."""
LATE = clock.SETTLED_AFTER + 2 * 60.0
"""Seconds by which a clock jump may delay a decision."""


async def set_clock(running: Timed, jump: float, *, restart: bool) -> None:
    """Set the wall clock, during a restart or while the gateway runs."""
    if restart:
        await running.stop_gateway()
    running.time.wall_is_ahead += jump
    if restart:
        await running.start_gateway()
    await running.wait_until_idle()


async def uncertain(running: Timed) -> Generation:
    running.plan(on="submit", kind="500", processed=True)
    stored = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(1.0)
    return stored


# -- LOST --------------------------------------------------------------------------------------------------------------


@JUMPS
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
async def test_an_uncertain_generation_is_given_up_at_its_true_age(start: Start, jump: float, restart: bool) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    stored = await uncertain(running)
    await set_clock(running, jump, restart=restart)
    await running.advance(UNCERTAIN_TIMEOUT - 60.0, step=COARSE)
    assert name_of(await running.get(stored.id)) == "UNCERTAIN"
    late = (
        LEAP if restart else LATE
    )  # after a restart with a wrong clock the gateway waits until it cannot be too early
    await running.advance(60.0 + late, step=COARSE)
    assert name_of(await running.get(stored.id)) == "LOST"
    assert len(running.ledger.submissions) == 1


async def test_a_clock_corrected_after_the_start_loses_nothing(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    stored = await uncertain(running)
    await set_clock(running, LEAP, restart=True)
    await running.advance(HOUR, step=COARSE)
    await set_clock(running, -LEAP, restart=False)
    await running.advance(UNCERTAIN_TIMEOUT - HOUR - 60.0, step=COARSE)
    assert name_of(await running.get(stored.id)) == "UNCERTAIN"


async def test_nothing_is_given_up_while_higgsfield_is_unreachable(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="off")
    stored = await uncertain(running)
    await running.stop_higgsfield()
    await running.advance(UNCERTAIN_TIMEOUT + HOUR, step=COARSE)
    assert name_of(await running.get(stored.id)) == "UNCERTAIN"
    await running.restart_higgsfield()
    await running.advance(120.0)
    assert name_of(await running.get(stored.id)) == "LOST"


@JUMPS
async def test_a_clock_jump_does_not_give_up_a_forgotten_generation(start: Start, jump: float) -> None:
    running = await start(queue_seconds=30 * DAY)
    forgotten = await running.submit(soul("forgotten", wait_for=STORED))
    await running.submit(soul("known", wait_for=STORED))
    running.plan(on="status", prompt="forgotten", status=404, body={"detail": "Not found"}, times=10**9)
    await running.advance(60.0, step=COARSE)
    await set_clock(running, 10 * jump, restart=True)
    await running.advance(3 * HOUR, step=60.0)
    assert name_of(await running.get(forgotten.id)) == "QUEUED"


# -- Start timeout -----------------------------------------------------------------------------------------------------


@JUMPS
async def test_a_start_timeout_counts_true_seconds(start: Start, jump: float) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1, queue_seconds=30 * DAY)
    await running.submit(soul("the one that runs", wait_for=STORED))
    waiting = await running.submit(soul("waits", start_timeout={"seconds": int(HOUR)}, wait_for=STORED))
    await set_clock(running, jump, restart=False)
    await running.advance(HOUR - 60.0, step=COARSE)
    assert name_of(await running.get(waiting.id)) == "PENDING"
    await running.advance(60.0 + LATE, step=COARSE)
    ended = await running.get(waiting.id)
    assert (name_of(ended), ended.failure.reason) == ("CANCELED", error_pb2.ERROR_REASON_START_TIMEOUT_EXCEEDED)
    assert len(running.ledger.submissions) == 1


async def test_no_timeout_fires_right_after_a_clock_jump(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1, queue_seconds=30 * DAY)
    await running.submit(soul("the one that runs", wait_for=STORED))
    waiting = await running.submit(soul("waits", start_timeout={"seconds": 300}, wait_for=STORED))
    await running.advance(290.0, step=5.0)
    await set_clock(running, 2 * clock.DISAGREEMENT, restart=False)
    await running.advance(60.0)
    assert name_of(await running.get(waiting.id)) == "PENDING"


# -- Retention ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
async def test_retention_counts_true_age_when_the_clock_jumps(start: Start, restart: bool) -> None:
    running = await start(RETENTION="10h")
    stored = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(60.0)
    await set_clock(running, 50 * DAY, restart=restart)
    await running.advance(9 * HOUR, step=60.0)
    assert name_of(await running.get(stored.id)) == "COMPLETED"


async def test_retention_ends_despite_a_clock_jump(start: Start) -> None:
    running = await start(RETENTION="10h")
    stored = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(60.0)
    await set_clock(running, LEAP, restart=False)
    await running.advance(12 * HOUR, step=60.0)
    listed = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())
    assert stored.id not in [one.id for one in listed.generations]


# -- Polls and retries -------------------------------------------------------------------------------------------------


@JUMPS
@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
async def test_polls_and_retries_continue_after_a_clock_jump(start: Start, jump: float, restart: bool) -> None:
    running = await start(queue_seconds=20.0)
    running.plan(on="submit", kind="500", processed=True, prompt="lost")
    ids = [(await running.submit(soul(name, wait_for=STORED))).id for name in ("known", "lost")]
    await running.advance(0.5)
    await set_clock(running, jump, restart=restart)
    await running.advance(60.0)
    states = [name_of(await running.get(one)) for one in ids]
    lost = "UNCERTAIN" if restart and jump > 0 else "COMPLETED"  # its retry window may have closed: it stays uncertain
    assert states == ["COMPLETED", lost]
    assert running.ledger.double_charged_prompts == {}
    assert running.ledger.status_calls.total() < 60
