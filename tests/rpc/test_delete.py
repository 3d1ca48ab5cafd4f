"""DeleteGeneration: an ended generation is removed from the store, and at Higgsfield if it exists there."""

from __future__ import annotations

import asyncio

import pytest

from gateway.generations import removals
from hfgateway.v1 import generation_service_pb2 as pb
from tests.rpc.conftest import Start
from tests.support.commits import commits
from tests.support.running import Running, eventually, soul
from tests.support.transports import RpcFailure, Transport


async def delete(client: Transport, generation_id: str) -> bool:
    answer: pb.DeleteGenerationResponse = await client.call(
        "DeleteGeneration", pb.DeleteGenerationRequest(id=generation_id)
    )
    return answer.removed_upstream


async def refused(running: Running, generation_id: str) -> RpcFailure:
    with pytest.raises(RpcFailure) as raised:
        await running.get(generation_id)
    return raised.value


def removed(running: Running) -> bool:
    """Return true if Higgsfield has confirmed all removals."""
    return not running.database.rows("read_removals")


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat removals without a pause."""
    monkeypatch.setattr(removals, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(removals, "MAX_PAUSE", 0.01)


async def completed(running: Running, prompt: str = "a fox") -> str:
    stored = await running.submit(soul(prompt, "one-key"))
    await running.finish(stored.id)
    return stored.id


async def test_a_deletion_removes_the_generation_here_and_at_higgsfield(running: Running, client: Transport) -> None:
    generation_id = await completed(running)
    assert await delete(client, generation_id)
    assert (await refused(running, generation_id)).reason == "NOT_FOUND"
    assert not (await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations
    assert [one.outcome for one in running.ledger.deletes] == ["200"]


async def test_deleting_twice_is_ok_with_the_same_response(running: Running, grpc: Transport) -> None:
    generation_id = await completed(running)
    assert await delete(grpc, generation_id)
    assert await delete(grpc, generation_id)
    assert len(running.ledger.deletes) == 1


async def test_deleting_again_after_a_restart_is_ok(running: Running) -> None:
    generation_id = await completed(running)
    await delete(running.grpc, generation_id)
    await running.stop_gateway()
    await running.start_gateway()
    assert await delete(running.grpc, generation_id)


async def test_a_404_of_higgsfield_counts_as_removed(running: Running) -> None:
    generation_id = await completed(running)
    running.plan(on="delete", status=404, body={"detail": "Not found"})
    assert await delete(running.grpc, generation_id)


async def test_a_refused_generation_is_deleted_here_only(running: Running, grpc: Transport) -> None:
    running.plan(on="submit", status=422, body={"detail": "no"})
    with pytest.raises(RpcFailure) as raised:
        await running.submit(soul("a fox"))
    generation_id = raised.value.failure.metadata["generation_id"]
    assert not await delete(grpc, generation_id)
    assert not await delete(grpc, generation_id)
    assert running.ledger.deletes == []
    assert (await refused(running, generation_id)).reason == "NOT_FOUND"


async def test_a_generation_that_was_never_sent_is_deleted_here_only(start: Start) -> None:
    running = await start(UPSTREAM_CONCURRENCY=1)
    await running.submit(soul("the first"))
    waiting = await running.submit(soul("the second", wait_for=pb.WAIT_FOR_STORED))
    await running.grpc.call("CancelGeneration", pb.CancelGenerationRequest(id=waiting.id))
    assert not await delete(running.grpc, waiting.id)
    assert not await delete(running.grpc, waiting.id)


async def test_the_key_of_a_deleted_generation_stays_used(running: Running, grpc: Transport) -> None:
    await delete(grpc, await completed(running))
    with pytest.raises(RpcFailure) as raised:
        await grpc.call("SubmitGeneration", soul("a fox", "one-key"))
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(running.ledger.charges) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "500"},
        {"kind": "html"},
        {"kind": "close", "times": 2},  # a kept-alive connection that closes proves nothing: the client retries once
        {"kind": "lost", "times": 2},
        {"status": 400, "body": {"detail": "Request is not finished"}},
        {"status": 401, "body": {"detail": "Invalid credentials"}},
    ],
    ids=str,
)
async def test_an_unconfirmed_deletion_hides_the_generation_and_is_repeatable(
    running: Running, answer: dict[str, object]
) -> None:
    generation_id = await completed(running)
    running.plan(on="delete", **answer)
    with pytest.raises(RpcFailure) as raised:
        await delete(running.grpc, generation_id)
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert (await refused(running, generation_id)).reason == "NOT_FOUND"
    assert await delete(running.grpc, generation_id)


async def test_the_gateway_retries_an_unconfirmed_deletion_by_itself(
    running: Running, grpc: Transport, short_pauses: None
) -> None:
    generation_id = await completed(running)
    running.plan(on="delete", kind="500", times=4, headers={"Retry-After": "0"})
    with pytest.raises(RpcFailure):
        await delete(grpc, generation_id)
    await eventually(lambda: removed(running))
    assert await delete(grpc, generation_id)
    assert len(running.ledger.deletes) == 5


async def test_a_call_whose_caller_leaves_ends_and_the_gateway_retries_its_removal(
    running: Running, grpc: Transport, short_pauses: None
) -> None:
    generation_id = await completed(running)
    core = running.gateway._core
    with running.held(on="delete"):
        call = asyncio.create_task(delete(grpc, generation_id))
        await eventually(lambda: not len(running.sandbox.state.plan))  # the DELETE has arrived
        call.cancel()
        await running.calls_open("DeleteGeneration", 0)
        assert not len(core.sender.tasks)
    await eventually(lambda: removed(running))
    assert await delete(grpc, generation_id)


async def test_nothing_is_deleted_at_higgsfield_before_the_store_has_recorded_it(
    running: Running, grpc: Transport
) -> None:
    generation_id = await completed(running)
    with commits("delete") as deletions:
        deletions.fail_from(1)
        with pytest.raises(RpcFailure) as raised:
            await delete(grpc, generation_id)
        assert raised.value.reason == "GATEWAY_UNAVAILABLE"
        assert running.ledger.deletes == []
    assert (await running.get(generation_id)).outputs
    assert await delete(grpc, generation_id)


async def test_a_removal_whose_confirmation_is_not_stored_is_repeated(
    running: Running, grpc: Transport, short_pauses: None
) -> None:
    generation_id = await completed(running)
    with commits("removal") as confirmations:
        confirmations.fail_from(1)
        with pytest.raises(RpcFailure) as raised:
            await delete(grpc, generation_id)
        assert raised.value.reason == "GATEWAY_UNAVAILABLE"
        await confirmations.reached(2)
    await eventually(lambda: removed(running))
    assert await delete(grpc, generation_id)


async def test_an_unconfirmed_deletion_is_repeated_after_a_restart(running: Running) -> None:
    generation_id = await completed(running)
    running.plan(on="delete", kind="lost", times=2)
    with pytest.raises(RpcFailure):
        await delete(running.grpc, generation_id)
    await running.stop_gateway()
    await running.start_gateway()
    await eventually(lambda: removed(running))
    assert (await refused(running, generation_id)).reason == "NOT_FOUND"
    assert await delete(running.grpc, generation_id)
