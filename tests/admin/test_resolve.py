"""ResolveGeneration: each resolution of UNCERTAIN, and its preconditions."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2

from gateway.generations import follower
from gateway.generations.model import GenerationId, Source, State, StatusReport
from gateway.generations.polling import missing
from gateway.generations.state import Reported
from gateway.generations.watching.feed import Entry
from hfgateway.v1 import error_pb2, generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.admin.conftest import Start, resolve, submit_and_lose
from tests.support.elsewhere import request_elsewhere
from tests.support.running import CREDENTIALS, WAIT_TIMEOUT, Running, eventually, name_of, public_url, sized, soul
from tests.support.timeline import run_timed
from tests.support.transports import RpcFailure
from tests.support.webhooks import path_of, post, request_of, webhook_body

RESUBMIT: dict[str, Any] = {"resubmit": {}}
TWICE: dict[str, Any] = {"resubmit": {"may_charge_twice": True}}
LOST: dict[str, Any] = {"lost": {}}
DAY = 86_400.0
OPERATOR = generation_pb2.CHANGE_SOURCE_OPERATOR


class Refused(Exception):  # noqa: N818 - the refusal of a call
    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code().name
        self.failure = error_pb2.Failure()
        packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        assert isinstance(packed, bytes)
        for detail in status_pb2.Status.FromString(packed).details:
            detail.Unpack(self.failure)
        super().__init__(error.details())


async def refused(running: Running, generation_id: str, **resolution: Any) -> str:
    """Return the invalid field of a refused resolution, after checking that it changed nothing."""
    before = await running.gateway._core.store.generations.any(generation_id)
    charges = len(running.ledger.charges)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await resolve(running, generation_id, **resolution)
    refusal = Refused(raised.value)
    assert refusal.code == "INVALID_ARGUMENT", refusal
    assert await running.gateway._core.store.generations.any(generation_id) == before
    assert len(running.ledger.charges) == charges
    (violation,) = refusal.failure.field_violations
    return str(violation.field)


# -- Binding a request -------------------------------------------------------------------------------------------------


async def test_a_generation_resolved_with_its_request_continues(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    bound = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert (bound.id, name_of(bound)) == (uncertain.id, "QUEUED")
    assert bound.upstream.last_change_source == OPERATOR
    assert not bound.HasField("input")
    again = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert again.revision == bound.revision
    done = await running.finish(uncertain.id)
    assert done.outputs
    assert len(running.ledger.charges) == 1


async def test_a_request_id_is_accepted_in_any_uuid_form(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    bound = await resolve(running, uncertain.id, request_id=request_of(running, "a fox").upper())
    assert bound.upstream.request_id == request_of(running, "a fox")


async def test_an_invalid_request_id_is_refused_without_an_upstream_call(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    for wrong in ("", "nonsense", "../../cancel", "\u2603"):
        assert await refused(running, uncertain.id, request_id=wrong) == "request_id"
    assert running.ledger.status_calls.total() == 0


async def test_a_request_unknown_to_higgsfield_is_refused(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    assert await refused(running, uncertain.id, request_id=str(uuid.uuid4())) == "request_id"


async def test_a_request_of_another_generation_is_refused(running: Running) -> None:
    other = await running.submit(soul("an owl"))
    uncertain = await submit_and_lose(running, "a fox")
    assert await refused(running, uncertain.id, request_id=other.upstream.request_id) == "request_id"


async def test_a_generation_with_a_request_is_not_rebound(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    queued = await running.submit(soul("an owl"))
    assert await refused(running, queued.id, request_id=request_of(running, "a fox")) == "id"
    assert name_of(await running.get(uncertain.id)) == "UNCERTAIN"


async def test_a_forgotten_generation_keeps_its_request(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "GIVE_UP_MISSING", 0.0)
    monkeypatch.setattr(missing, "CONFIRM_MISSING", 0.0)
    monkeypatch.setattr(missing, "CONFIRMATIONS", 0)
    forgotten = await running.submit(soul("a fox"))
    await running.submit(soul("an owl"))
    running.plan(on="status", prompt="a fox", status=404, body={"detail": "Not found"}, times=1000)
    await running.until(forgotten.id, "LOST")
    other = await request_elsewhere(running, "a wolf")
    assert await refused(running, forgotten.id, request_id=other) == "id"


async def test_an_unconfirmed_request_is_not_bound_during_an_outage(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    running.plan(on="status", kind="503")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await running.get(uncertain.id) == uncertain


async def test_a_request_that_is_found_while_another_one_is_bound_is_canceled(start: Start) -> None:
    running = await start(honour_keys=False, queue_seconds=1000.0, POLL_MIN=30, POLL_MAX=30, **public_url())
    uncertain = await submit_and_lose(running, "a fox")
    running.plan(on="submit", kind="500", processed=True)
    await resolve(running, uncertain.id, **TWICE)
    await eventually(lambda: len(running.ledger.charges) == 2)
    first, second = (charge.request_id for charge in running.ledger.charges)
    with running.held(on="status"):
        finding = asyncio.create_task(resolve(running, uncertain.id, request_id=first))
        await eventually(lambda: running.ledger.status_calls[first] == 1)
        await post(path_of(running, "a fox"), webhook_body(second))
        await running.until(uncertain.id, "QUEUED")
    assert (await finding).upstream.request_id == second
    await eventually(lambda: [one.request_id for one in running.ledger.refunds] == [first])
    assert running.gateway._core.sender.repeats_off(running.gateway._core.upstream.default.account)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "INTERNAL", "UPSTREAM_CREDENTIALS_REFUSED"),
        (403, "UNAVAILABLE", "UPSTREAM_UNAVAILABLE"),
        (422, "UNAVAILABLE", "UPSTREAM_UNAVAILABLE"),
        (423, "UNAVAILABLE", "UPSTREAM_UNAVAILABLE"),
    ],
)
async def test_a_refused_lookup_of_a_request_has_a_documented_reason(
    running: Running, status: int, code: str, reason: str
) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    running.plan(on="status", status=status, body={"detail": "no"})
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    refusal = Refused(raised.value)
    assert (refusal.code, error_pb2.ErrorReason.Name(refusal.failure.reason)) == (code, f"ERROR_REASON_{reason}")
    assert await running.get(uncertain.id) == uncertain


# -- Requests found after LOST -----------------------------------------------------------------------------------------


async def test_a_request_of_a_lost_generation_becomes_a_new_one(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    given_up = await resolve(running, uncertain.id, **LOST)
    found = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert found.id != uncertain.id
    assert name_of(found) == "QUEUED"
    assert dict(found.labels) == {"of": "a-fox"}
    assert (await running.get(uncertain.id)).revision == given_up.revision
    done = await running.finish(found.id)
    assert done.outputs
    assert (await running.get(found.id)).input == uncertain.input
    assert len(running.ledger.charges) == len(running.ledger.submissions) == 1


async def test_binding_the_same_request_again_returns_the_same_generation(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    await resolve(running, uncertain.id, **LOST)
    found = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    again = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert (again.id, again.upstream.request_id) == (found.id, found.upstream.request_id)


async def test_a_request_that_is_adopted_meanwhile_leaves_no_second_generation(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    await resolve(running, uncertain.id, **LOST)
    request_id = request_of(running, "a fox")
    with running.held(on="status"):
        finding = asyncio.create_task(refused(running, uncertain.id, request_id=request_id))
        await eventually(lambda: running.ledger.status_calls[request_id] == 1)
        adoption: pb.AdoptGenerationResponse = await running.grpc.call(
            "AdoptGeneration", pb.AdoptGenerationRequest(upstream_request_id=request_id)
        )
    assert await finding == "request_id"
    listed: pb.ListGenerationsResponse = await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())
    assert [one.id for one in listed.generations] == [adoption.generation.id, uncertain.id]


async def test_a_lost_generation_cannot_have_two_requests(running: Running) -> None:
    first, second = await submit_and_lose(running, "a fox"), await submit_and_lose(running, "an owl")
    await resolve(running, first.id, **LOST)
    found = await resolve(running, first.id, request_id=request_of(running, "a fox"))
    assert await refused(running, first.id, request_id=request_of(running, "an owl")) == "id"
    assert (await running.get(found.id)).upstream.request_id == request_of(running, "a fox")
    stored = await running.gateway._core.store.generations.any(found.id)
    assert stored is not None
    assert stored.stray_request_id == ""
    bound = await resolve(running, second.id, request_id=request_of(running, "an owl"))
    assert bound.id == second.id


async def test_callers_cannot_use_the_key_of_a_recovered_generation(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    await resolve(running, uncertain.id, **LOST)
    found = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("an owl", key=found.idempotency_key))
    assert raised.value.fields == ["idempotency_key"]


async def test_a_request_found_by_webhook_after_lost_can_be_recovered(start: Start) -> None:
    running = await start(**public_url())
    uncertain = await submit_and_lose(running, "a fox")
    await resolve(running, uncertain.id, **LOST)
    await post(path_of(running, "a fox"), webhook_body(request_of(running, "a fox")))
    await running.metric_becomes("hfgateway_webhooks_stray_total", 1)
    found = await resolve(running, uncertain.id, request_id=request_of(running, "a fox"))
    assert name_of(await running.finish(found.id)) == "COMPLETED"


# -- LOST --------------------------------------------------------------------------------------------------------------


async def test_declaring_lost_twice_changes_nothing(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    given_up = await resolve(running, uncertain.id, **LOST)
    assert (name_of(given_up), given_up.done) == ("LOST", True)
    assert given_up.upstream.last_change_source == OPERATOR
    assert given_up.failure.reason == error_pb2.ERROR_REASON_SUBMISSION_UNRESOLVED
    again = await resolve(running, uncertain.id, **LOST)
    assert again.revision == given_up.revision
    story = await running.grpc.call("ExplainGeneration", pb.ExplainGenerationRequest(id=uncertain.id))
    assert story.events[-1].source == OPERATOR
    assert "operator" in story.events[-1].description


async def test_only_uncertain_generations_can_be_resolved(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=2)
    done = await running.submit(soul("done"))
    await running.finish(done.id)
    queued = await running.submit(soul("queued"))
    await running.submit(soul("another"))
    waiting = await running.submit(soul("waiting", wait_for=pb.WAIT_FOR_STORED))
    for one in (done, queued, waiting):
        for resolution in (LOST, RESUBMIT, TWICE):
            assert await refused(running, one.id, **resolution) == "id"
    assert len(running.ledger.submissions) == 3


async def test_a_404_does_not_lose_a_generation_whose_account_can_be_asked(running: Running) -> None:
    queued = await running.submit(soul("a fox"))
    running.plan(on="status", prompt="a fox", times=10**9, status=404, body={"detail": "Not found"})
    generations = running.gateway._core.store.generations
    async with asyncio.timeout(WAIT_TIMEOUT):
        while (stored := await generations.any(queued.id)) is None or stored.missing_since is None:
            await asyncio.sleep(0.01)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await resolve(running, queued.id, **LOST)
    assert Refused(raised.value).code == "INVALID_ARGUMENT"
    running.sandbox.state.plan.clear()
    assert (await running.finish(queued.id)).outputs


@pytest.mark.parametrize(
    "response",
    [{"status": 403}, {"status": 404}, {"status": 500}, {"body": {"id": 1}}, {"patch": {"status": "expired"}}],
    ids=str,
)
async def test_what_has_no_status_for_a_day_can_be_declared_lost(tmp_path: Path, response: dict[str, Any]) -> None:
    async with run_timed(tmp_path, queue_seconds=10 * DAY, POLL_MAX=3_600) as running:
        odd = await running.submit(soul("odd"))
        other = await running.submit(soul("other"))
        await running.advance(DAY - 3_600.0, step=600.0)
        running.plan(on="status", prompt="odd", times=10**9, **response)
        assert await refused(running, odd.id, **LOST) == "id", "its status was known less than a day after it was sent"
        await running.advance(7_200.0, step=600.0)
        assert await refused(running, other.id, **LOST) == "id", "Higgsfield reports it"
        assert name_of(await resolve(running, odd.id, **LOST)) == "LOST"
        assert name_of(await running.get(other.id)) == "QUEUED"


async def test_what_is_found_while_its_status_is_asked_for_is_not_declared_lost(tmp_path: Path) -> None:
    async with run_timed(tmp_path, queue_seconds=10 * DAY, POLL_MAX=3_600) as running:
        odd = await running.submit(soul("odd"))
        running.plan(on="status", prompt="odd", times=10**9, status=404)
        await running.advance(DAY + 3_600.0, step=600.0)
        running.sandbox.state.plan.clear()
        core = running.gateway._core
        with running.held(on="status", status=404):
            declaring = asyncio.create_task(resolve(running, odd.id, **LOST))
            await eventually(lambda: len(running.sandbox.state.plan) == 0)
            generation = core.feed.entries[GenerationId(odd.id)].generation
            report = StatusReport(generation.request_id, "in_progress", State.IN_PROGRESS)
            await core.service.observe(generation, Reported(report, Source.WEBHOOK))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await declaring
        assert Refused(raised.value).code == "INVALID_ARGUMENT"
        assert name_of(await running.get(odd.id)) == "IN_PROGRESS"


async def test_a_batch_with_an_unknown_status_for_a_day_can_be_declared_lost(tmp_path: Path) -> None:
    """Its state stays IN_PROGRESS, because another job has ended."""
    async with run_timed(tmp_path, queue_seconds=10 * DAY, POLL_MAX=3_600) as running:
        batch = await running.submit(sized("a fox"))
        jobs = [
            {"id": str(uuid.UUID(int=1)), "status": "completed"},
            {"id": str(uuid.UUID(int=2)), "status": "expired"},
        ]
        running.plan(on="status", prompt="a fox", times=10**9, patch={"jobs": jobs})
        await running.advance(DAY + 3_600.0, step=600.0)
        assert name_of(await running.get(batch.id)) == "IN_PROGRESS"
        assert name_of(await resolve(running, batch.id, **LOST)) == "LOST"


# -- Resubmission ------------------------------------------------------------------------------------------------------


async def test_a_resubmission_without_keys_requires_accepting_a_charge(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox", processed=False)
    assert await refused(running, uncertain.id, **RESUBMIT) == "resubmit"
    sending = await resolve(running, uncertain.id, **TWICE)
    assert (sending.id, name_of(sending)) == (uncertain.id, "UNCERTAIN")
    queued = await running.until(uncertain.id, "QUEUED")
    first, second = running.ledger.submissions
    assert (first.idempotency_key, first.prompt) == (second.idempotency_key, second.prompt)
    assert len(running.ledger.charges) == 1
    assert await refused(running, queued.id, **TWICE) == "id"


async def test_a_resubmission_with_keys_needs_no_acceptance_of_a_charge(start: Start) -> None:
    running = await start(UPSTREAM_IDEMPOTENCY="v2")
    next(iter(running.gateway._core._tasks)).cancel()  # the follower, which would repeat it too
    uncertain = await submit_and_lose(running, "a fox")
    sending = await resolve(running, uncertain.id, **RESUBMIT)
    assert (sending.id, name_of(sending)) == (uncertain.id, "UNCERTAIN")
    queued = await running.until(uncertain.id, "QUEUED")
    first, second = running.ledger.submissions
    assert (first.idempotency_key, second.replayed) == (second.idempotency_key, True)
    assert queued.upstream.request_id == request_of(running, "a fox")
    assert len(running.ledger.charges) == 1


async def test_a_resubmission_needs_acceptance_if_repeats_are_turned_off_while_its_age_is_checked(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stray request is found while the gateway asks for Higgsfield's time, which may take a minute."""
    running = await start(UPSTREAM_IDEMPOTENCY="v2")
    core = running.gateway._core
    next(iter(core._tasks)).cancel()  # the follower, which would repeat it too
    uncertain = await submit_and_lose(running, "a fox")
    is_open = core.trusted_time.is_open

    async def turn_off_first(*of: Any) -> bool | None:
        core.sender._repeats_off.add(CREDENTIALS.account)
        return await is_open(*of)

    monkeypatch.setattr(core.trusted_time, "is_open", turn_off_first)
    assert await refused(running, uncertain.id, **RESUBMIT) == "resubmit"
    assert len(running.ledger.submissions) == 1


async def test_a_repeat_waits_for_the_pause_after_a_resubmission_that_came_first(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's attempt is the second one, so that the next one comes a minute later at the earliest."""
    monkeypatch.setattr(follower, "MARK_RETRY_DELAY", 0.05)
    running = await start(UPSTREAM_IDEMPOTENCY="v2")
    core = running.gateway._core
    is_open, asked, go_on = core.trusted_time.is_open, asyncio.Event(), asyncio.Event()

    async def wait_first(*of: Any) -> bool | None:
        if not asked.is_set():
            asked.set()
            await go_on.wait()
        return await is_open(*of)

    monkeypatch.setattr(core.trusted_time, "is_open", wait_first)
    uncertain = await submit_and_lose(running, "a fox")
    await asked.wait()
    running.plan(on="submit", kind="500")
    await resolve(running, uncertain.id, **RESUBMIT)
    await eventually(lambda: not core.sender.is_attempting(uncertain.id))
    assert len(running.ledger.submissions) == 2
    take, taken = core.follower._take_step, asyncio.Event()

    async def take_again(entry: Entry) -> None:
        await take(entry)
        taken.set()

    monkeypatch.setattr(core.follower, "_take_step", take_again)
    go_on.set()
    async with asyncio.timeout(WAIT_TIMEOUT):
        await taken.wait()  # after MARK_RETRY_DELAY
    await eventually(lambda: not core.sender.is_attempting(uncertain.id))
    assert len(running.ledger.submissions) == 2


async def test_concurrent_resubmissions_are_sent_once(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox", processed=False)
    with running.held(on="submit"):
        await resolve(running, uncertain.id, **TWICE)
        await eventually(lambda: len(running.ledger.charges) == 1)
        for resolution in (TWICE, RESUBMIT, LOST):
            assert await refused(running, uncertain.id, **resolution) == "id"
    await running.until(uncertain.id, "QUEUED")
    assert len(running.ledger.submissions) == 2


async def test_a_resubmission_is_refused_while_an_attempt_may_be_open(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    uncertain = await submit_and_lose(running, "a fox")
    assert await refused(running, uncertain.id, **TWICE) == "resubmit"


async def test_a_resubmission_with_other_credentials_is_refused(start: Start) -> None:
    running = await start()
    uncertain = await submit_and_lose(running, "a fox")
    clients = running.gateway._core.upstream._clients
    clients["another"] = clients.pop(running.gateway._core.upstream.default.account)
    assert await refused(running, uncertain.id, **TWICE) == "id"


# -- The call ----------------------------------------------------------------------------------------------------------


async def test_resolving_an_unknown_generation_is_not_found(running: Running) -> None:
    for resolution in (LOST, TWICE, {"request_id": str(uuid.uuid4())}):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await resolve(running, "unknown", **resolution)
        assert Refused(raised.value).code == "NOT_FOUND"


async def test_an_id_and_a_resolution_are_required(running: Running) -> None:
    uncertain = await submit_and_lose(running, "a fox")
    assert await refused(running, uncertain.id) == "resolution"
    assert await refused(running, "", **LOST) == "id"
