"""The wall clock is set wrong or right during a restart: irreversible decisions use Higgsfield's time.

In each test the wall clock misleads: a gateway that believed it would charge twice, give up, cancel or forget.
"""

from __future__ import annotations

import pytest

from gateway.errors import Failure, GatewayError, Reason
from gateway.generations.model import Source, State, StatusReport
from gateway.generations.state import Expired, Missing, Reported
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.recovery.conftest import Start
from tests.support.running import Generation, name_of, public_url, soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure
from tests.support.webhooks import path_of, post, request_of, webhook_body

HOUR, DAY = 3_600.0, 86_400.0
STORED = pb.WAIT_FOR_STORED
COARSE = 60.0
RARELY = 600
"""Seconds between polls while all generations are unknown for a day."""
FORGOTTEN = {"on": "status", "status": 404, "body": {"detail": "Not found"}, "times": 10**9}


async def down(running: Timed, seconds: float, *, clock_set: float) -> None:
    """Stop the gateway for `seconds`, and set the wall clock forward or back before it starts again."""
    await running.stop_gateway()
    running.clock.advance(seconds)
    running.time.wall_is_ahead += clock_set
    await running.start_gateway()
    await running.wait_until_idle()


async def uncertain(running: Timed, **terms: object) -> Generation:
    """Submit a generation that Higgsfield charges and whose response is lost."""
    running.plan(on="submit", kind="lost")
    stored = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(1.0)
    assert name_of(await running.get(stored.id)) == "UNCERTAIN"
    return stored


async def refusal(running: Timed, request: pb.SubmitGenerationRequest) -> str:
    with pytest.raises(RpcFailure) as raised:
        await running.submit(request)
    return raised.value.reason


# -- Charged twice -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [3 * DAY, 3 * DAY - 60.0, 10 * DAY], ids=["all of it", "nearly", "more"])
async def test_a_clock_set_back_does_not_reopen_a_retry_window(start: Start, back: float) -> None:
    running = await start()
    sent = await uncertain(running)
    await down(running, 3 * DAY, clock_set=-back)
    await running.advance(600.0, step=5.0)
    assert len(running.ledger.submissions) == 1
    assert name_of(await running.get(sent.id)) == "UNCERTAIN"
    running.time.wall_is_ahead = 0.0
    await down(running, 60.0, clock_set=0.0)
    await running.advance(600.0, step=5.0)
    assert len(running.ledger.submissions) == 1, "the window stays closed, whatever the wall clock says later"


async def test_correcting_a_fast_clock_does_not_reopen_a_retry_window(start: Start) -> None:
    running = await start()
    running.time.wall_is_ahead = 10 * DAY
    await down(running, 1.0, clock_set=0.0)
    await uncertain(running)
    await down(running, 9 * DAY, clock_set=-10 * DAY)
    await running.advance(600.0, step=5.0)
    assert len(running.ledger.submissions) == 1


async def test_a_restarted_process_repeats_nothing_before_it_knows_the_time(start: Start) -> None:
    running = await start()
    sent = await uncertain(running)
    await running.stop_gateway()
    await running.stop_higgsfield()
    await running.start_gateway()
    await running.advance(120.0)
    await running.restart_higgsfield()
    await running.advance(60.0)
    assert name_of(await running.get(sent.id)) == "COMPLETED"
    assert running.ledger.double_charged_prompts == {}
    assert len(running.ledger.submissions) == 2


async def test_an_operator_cannot_reopen_a_retry_window(start: Start) -> None:
    running = await start()
    sent = await uncertain(running)
    await down(running, 3 * DAY, clock_set=-3 * DAY)
    resolver = running.gateway._core.resolver
    with pytest.raises(GatewayError) as raised:
        await resolver.resubmit(sent.id, may_charge_twice=False)
    assert raised.value.failure.reason is Reason.INPUT_REFUSED or raised.value.failure.violations
    assert len(running.ledger.submissions) == 1


# -- Ended too early ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wall_clock", ["ahead at the restart", "behind before it"])
async def test_a_wrong_clock_does_not_end_a_wait(start: Start, wall_clock: str) -> None:
    before, after = (0.0, 2 * DAY) if wall_clock == "ahead at the restart" else (-2 * DAY, 2 * DAY)
    running = await start(wall_is_ahead=before, UPSTREAM_CONCURRENCY=1, queue_seconds=30 * DAY)
    await running.submit(soul("the one that runs", wait_for=STORED))
    patient = await running.submit(soul("patient", wait_for=STORED))
    hasty = await running.submit(soul("hasty", start_timeout={"seconds": int(HOUR)}, wait_for=STORED))
    await running.advance(1.0)
    await down(running, 60.0, clock_set=after)
    await running.advance(HOUR - 180.0, step=COARSE)
    assert [name_of(await running.get(one.id)) for one in (patient, hasty)] == ["PENDING", "PENDING"]
    await running.advance(360.0, step=COARSE)
    ended = await running.get(hasty.id)
    assert (name_of(ended), ended.failure.reason) == ("CANCELED", error_pb2.ERROR_REASON_START_TIMEOUT_EXCEEDED)
    assert name_of(await running.get(patient.id)) == "PENDING"
    await running.advance(DAY, step=10 * COARSE)
    assert name_of(await running.get(patient.id)) == "FAILED"
    assert len(running.ledger.submissions) == 1


async def test_a_pending_generation_is_sent_although_the_clock_is_fast(start: Start) -> None:
    running = await start()
    await running.stop_higgsfield()
    waiting = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(1.0)
    await down(running, 1.0, clock_set=2 * DAY)
    await running.advance(60.0)
    await running.restart_higgsfield()
    await running.advance(120.0)
    assert name_of(await running.get(waiting.id)) == "COMPLETED"


async def test_a_pending_generation_is_sent_after_a_failed_call_for_the_time(start: Start) -> None:
    """The clock was wrong at the restart, so the generation looks two days old without Higgsfield's time."""
    running = await start(UPSTREAM_CONCURRENCY=1, queue_seconds=2 * HOUR)
    await running.submit(soul("the one that runs", wait_for=STORED))
    patient = await running.submit(soul("patient", wait_for=STORED))
    hasty = await running.submit(soul("hasty", start_timeout={"seconds": int(HOUR)}, wait_for=STORED))
    await running.advance(1.0)
    await down(running, 60.0, clock_set=2 * DAY)
    await running.stop_higgsfield()
    await running.advance(HOUR - 30.0, step=COARSE)
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=hasty.id))
    await running.restart_higgsfield()
    await running.advance(4 * HOUR, step=COARSE)
    assert name_of(await running.get(patient.id)) == "COMPLETED"


async def test_a_fast_clock_does_not_cancel_a_queued_generation(start: Start) -> None:
    running = await start(queue_seconds=30 * DAY)
    queued = await running.submit(soul("a fox", start_timeout={"seconds": int(HOUR)}, wait_for=STORED))
    await running.advance(1.0)
    await down(running, 60.0, clock_set=5 * HOUR)
    await running.advance(HOUR - 120.0, step=COARSE)
    assert name_of(await running.get(queued.id)) == "QUEUED"
    assert running.ledger.cancels == []
    await running.advance(180.0, step=5.0)
    assert name_of(await running.get(queued.id)) == "CANCELED"


async def test_correcting_a_slow_clock_does_not_lose_an_uncertain_generation(start: Start) -> None:
    running = await start(wall_is_ahead=-40 * DAY, UPSTREAM_IDEMPOTENCY="off")
    sent = await uncertain(running)
    await down(running, 60.0, clock_set=40 * DAY)
    await running.advance(3 * HOUR - 180.0, step=COARSE)
    assert name_of(await running.get(sent.id)) == "UNCERTAIN"
    await running.advance(360.0, step=COARSE)
    assert name_of(await running.get(sent.id)) == "LOST"


async def test_a_generation_sent_before_the_first_date_is_given_up_on_time(start: Start) -> None:
    running = await start(wall_is_ahead=-40 * DAY, UPSTREAM_IDEMPOTENCY="off")
    running.plan(on="status", kind="lost", times=10**9)
    await down(running, 1.0, clock_set=0.0)
    sent = await uncertain(running)
    running.sandbox.state.plan.clear()
    await down(running, 60.0, clock_set=40 * DAY)
    await running.advance(3 * HOUR - 180.0, step=COARSE)
    assert name_of(await running.get(sent.id)) == "UNCERTAIN"
    await running.advance(360.0, step=COARSE)
    assert name_of(await running.get(sent.id)) == "LOST"


# -- Forgotten too early -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("deleted", [False, True], ids=["kept", "deleted"])
async def test_correcting_a_slow_clock_does_not_expire_a_key(start: Start, restart: bool, deleted: bool) -> None:
    running = await start(wall_is_ahead=-40 * DAY)
    first = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(60.0)
    assert name_of(await running.get(first.id)) == "COMPLETED"
    if deleted:
        await running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=first.id))
    if restart:
        await down(running, 60.0, clock_set=40 * DAY)
    else:
        running.time.wall_is_ahead = 0.0
    await running.advance(2 * HOUR, step=COARSE)
    if deleted:
        assert await refusal(running, soul("a fox", wait_for=STORED)) == "IDEMPOTENCY_KEY_REUSED"
    else:
        assert (await running.submit(soul("a fox", wait_for=STORED))).id == first.id
    await running.advance(60.0)
    assert len(running.ledger.charges) == 1


async def test_correcting_a_fast_clock_does_not_close_the_gate_for_hours(start: Start) -> None:
    running = await start()
    await down(running, 0.0, clock_set=6 * HOUR)
    running.plan(on="submit", kind="429", times=10**9)
    await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(4 * HOUR, step=COARSE)
    running.sandbox.state.plan.clear()
    await down(running, 0.0, clock_set=-6 * HOUR)
    later = await running.submit(soul("an owl", wait_for=STORED))
    await running.advance(900.0, step=COARSE)
    assert name_of(await running.get(later.id)) != "PENDING"


async def test_a_key_expires_at_its_true_age(start: Start) -> None:
    running = await start(wall_is_ahead=-40 * DAY, RETENTION="1d")
    first = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(60.0)
    await down(running, 60.0, clock_set=40 * DAY)
    await running.advance(7 * DAY - HOUR, step=10 * COARSE)
    with pytest.raises(RpcFailure):
        await running.get(first.id)
    assert await refusal(running, soul("a fox", wait_for=STORED)) == "IDEMPOTENCY_KEY_REUSED"
    await running.advance(3 * HOUR, step=10 * COARSE)
    assert (await running.submit(soul("a fox", wait_for=STORED))).id != first.id


# -- A day of 404 ------------------------------------------------------------------------------------------------------


async def test_no_generation_is_lost_if_all_are_unknown_for_a_day(start: Start) -> None:
    running = await start(queue_seconds=30 * DAY, POLL_MAX=RARELY)
    live = [await running.submit(soul(f"fox {number}", wait_for=STORED)) for number in range(5)]
    await running.advance(60.0, step=1.0)
    running.plan(**FORGOTTEN)
    await running.advance(DAY + 3 * HOUR, step=10 * COARSE)
    assert [name_of(await running.get(one.id)) for one in live] == ["QUEUED"] * 5
    running.sandbox.state.plan.clear()
    await running.advance(60.0, step=1.0)
    assert set(running.live()) == {one.id for one in live}


async def test_a_generation_unknown_for_a_day_is_lost_if_others_are_known(start: Start) -> None:
    running = await start(queue_seconds=30 * DAY)
    forgotten = await running.submit(soul("forgotten", wait_for=STORED))
    known = await running.submit(soul("known", wait_for=STORED))
    running.plan(prompt="forgotten", **FORGOTTEN)
    await running.advance(DAY - HOUR, step=COARSE)
    assert name_of(await running.get(forgotten.id)) == "QUEUED"
    await running.advance(3 * HOUR, step=COARSE)
    assert [name_of(await running.get(one.id)) for one in (forgotten, known)] == ["LOST", "QUEUED"]


@pytest.mark.parametrize("restart", [False, True])
async def test_no_generation_is_lost_while_its_webhook_cannot_be_checked(start: Start, restart: bool) -> None:
    """The webhook was answered, so Higgsfield does not send it again."""
    running = await start(UPSTREAM_IDEMPOTENCY="off", **public_url())
    running.plan(on="webhook", kind="lose")
    running.plan(on="submit", kind="500", processed=True)
    stored = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(1.0)
    for call in ("status", "time"):
        running.plan(on=call, status=401, body={"detail": "Invalid credentials"}, times=10**9)
    await running.advance(60.0, step=10.0)
    answer = await post(path_of(running, "a fox"), webhook_body(request_of(running, "a fox")))
    assert answer.status == 200
    if restart:
        await down(running, 4 * HOUR, clock_set=0.0)
    await running.advance(COARSE if restart else 4 * HOUR, step=COARSE)
    assert name_of(await running.get(stored.id)) == "UNCERTAIN"
    running.sandbox.state.plan.clear()
    await running.advance(300.0, step=10.0)
    assert name_of(await running.get(stored.id)) == "COMPLETED"


async def test_an_outage_does_not_count_towards_the_day_of_404s(start: Start) -> None:
    running = await start(queue_seconds=30 * DAY, POLL_MAX=RARELY)
    blinked = await running.submit(soul("blinked", wait_for=STORED))
    other = await running.submit(soul("other", wait_for=STORED))
    await running.advance(60.0, step=1.0)
    running.plan(**FORGOTTEN)
    await running.advance(DAY + HOUR, step=10 * COARSE)
    running.sandbox.state.plan.clear()
    running.plan(prompt="blinked", **FORGOTTEN)
    await running.advance(HOUR / 2, step=10 * COARSE)
    running.sandbox.state.plan.clear()
    await running.advance(HOUR, step=10 * COARSE)
    assert [name_of(await running.get(one.id)) for one in (blinked, other)] == ["QUEUED", "QUEUED"]


async def test_the_404s_before_a_generation_was_known_again_do_not_count(start: Start) -> None:
    running = await start(queue_seconds=30 * DAY, POLL_MAX=120)
    blinked = await running.submit(soul("blinked", wait_for=STORED))
    await running.submit(soul("other", wait_for=STORED))
    for _ in range(2):
        running.plan(prompt="blinked", **FORGOTTEN)
        await running.advance(DAY + HOUR / 2, step=2 * COARSE)
        assert name_of(await running.get(blinked.id)) == "QUEUED"
        running.sandbox.state.plan.clear()
        await running.advance(HOUR / 2, step=2 * COARSE)
    assert name_of(await running.get(blinked.id)) == "QUEUED"


# -- Obsolete decisions ------------------------------------------------------------------------------------------------


async def test_a_loss_is_not_applied_to_a_generation_seen_since(start: Start) -> None:
    running = await start(queue_seconds=30 * DAY)
    service, entries = running.gateway._core.service, running.gateway._core.feed.entries
    stored = await running.submit(soul("a fox", wait_for=STORED))
    await running.advance(1.0)
    missing = await service.observe(entries[stored.id].generation, Missing())
    assert missing.missing_since is not None
    report = StatusReport(missing.request_id, "queued", State.QUEUED)
    await service.observe(missing, Reported(report, Source.POLL))
    after = await service.observe(missing, Missing(given_up_since=missing.missing_since))
    assert (after.state, after.missing_since) == (State.QUEUED, None)


async def test_an_expiry_is_not_applied_after_another_attempt(start: Start) -> None:
    running = await start()
    sent = await uncertain(running)
    service, entries = running.gateway._core.service, running.gateway._core.feed.entries
    before = entries[sent.id].generation
    running.plan(on="submit", kind="lost")
    await running.advance(30.0)
    assert entries[sent.id].generation.sends == before.sends + 1
    end = Failure(Reason.SUBMISSION_UNRESOLVED, "too late")
    after = await service.observe(before, Expired(end, version=before.version))
    assert after.state is State.UNCERTAIN
