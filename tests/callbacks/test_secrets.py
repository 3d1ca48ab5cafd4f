"""Secrets: returned once, rotated without a gap and never exposed; repeats, limits and pages of the RPCs."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Sequence

import pytest

from gateway.access.identity import DEFAULT_TENANT
from gateway.callbacks.model import Callback
from gateway.callbacks.service import MAX_CALLBACKS, MAX_SECRETS, OLD_SECRETS_SIGN_FOR
from gateway.generations.stores import UnknownCommitError
from gateway.rpc.messages import page_tokens
from gateway.rpc.messages.pages import binding_of
from gateway.store.sqlite.callbacks import SqliteCallbacks
from hfgateway.v1 import callback_service_pb2 as pb
from tests.callbacks.receiver import CLOSE, Receiver, change, create, finished, settles, state_of
from tests.support.commits import commits, lose_responses
from tests.support.running import Running, soul
from tests.support.timeline import Timed
from tests.support.transports import RpcFailure


async def rotate(running: Running, callback_id: str) -> pb.RotateCallbackSecretResponse:
    answer: pb.RotateCallbackSecretResponse = await running.grpc.call(
        "RotateCallbackSecret", pb.RotateCallbackSecretRequest(id=callback_id)
    )
    return answer


async def end_one(timed: Timed, prompt: str) -> None:
    stored = await timed.submit(soul(prompt))
    await timed.advance(60.0, until=lambda: stored.id not in timed.live())
    await timed.wait_until_idle()


async def test_both_secrets_sign_for_a_day_and_then_only_the_new_one(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    old = made.secret
    assert not made.callback.HasField("old_secrets_expire_time")
    rotated = await rotate(timed, made.callback.id)
    new = rotated.secret
    assert new != old
    until = rotated.callback.old_secrets_expire_time.ToMicroseconds() / 1e6
    assert until == pytest.approx(timed.time.wall() + OLD_SECRETS_SIGN_FOR, abs=1.0)

    await end_one(timed, "a fox")
    await timed.stop_gateway()
    await timed.start_gateway()
    await end_one(timed, "an owl")
    await timed.advance(OLD_SECRETS_SIGN_FOR, step=600.0)
    await end_one(timed, "a hare")
    signed = [(got.signed_by(old), got.signed_by(new)) for got in receiver.got]
    assert signed == [(True, True), (True, True), (False, True)]
    assert len(receiver.got[0].headers["webhook-signature"].split()) == 2
    assert not (await state_of(timed, made.callback.id)).HasField("old_secrets_expire_time")


async def test_the_published_verifier_accepts_either_secret_in_a_rotation(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    new = (await rotate(running, made.callback.id)).secret
    await finished(running, "a fox")
    (got,) = await receiver.gets(1)
    assert got.verify(made.secret) == got.verify(new)


async def test_the_number_of_signing_secrets_is_limited(timed: Timed, receiver: Receiver) -> None:
    made = await create(timed, receiver.url)
    for _ in range(MAX_SECRETS - 1):
        await rotate(timed, made.callback.id)
        await timed.advance(3_600.0, step=600.0)
    with pytest.raises(RpcFailure) as refused:
        await rotate(timed, made.callback.id)
    assert (refused.value.code, refused.value.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert 0 < refused.value.failure.retry_delay.seconds <= OLD_SECRETS_SIGN_FOR - (MAX_SECRETS - 1) * 3_600.0
    assert refused.value.failure.retryable
    await timed.advance(OLD_SECRETS_SIGN_FOR, step=600.0)
    assert (await rotate(timed, made.callback.id)).secret


async def test_a_repeated_create_returns_the_callback_without_its_secret(running: Running, receiver: Receiver) -> None:
    first = await create(running, receiver.url, labels={"team": "red"})
    await change(running, first.callback.id, paused=True)
    again = await create(running, receiver.url, labels={"team": "red"})
    assert (first.replayed, again.replayed, again.secret) == (False, True, "")
    assert (again.callback.id, again.callback.paused) == (first.callback.id, True)
    with pytest.raises(RpcFailure) as refused:
        await create(running, receiver.url, labels={"team": "blue"})
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert refused.value.failure.metadata == {"callback_id": first.callback.id}
    await running.stop_gateway()
    await running.start_gateway()
    assert (await create(running, receiver.url, labels={"team": "red"})).callback.id == first.callback.id
    await running.grpc.call("DeleteCallback", pb.DeleteCallbackRequest(id=first.callback.id))
    assert (await create(running, receiver.url)).secret


async def test_a_callback_that_a_failed_call_has_stored_is_served(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = SqliteCallbacks.add_callback

    async def add_and_lose(self: SqliteCallbacks, callback: Callback) -> bool:
        await add(self, callback)
        raise UnknownCommitError("the answer was lost")

    await create(running, f"{receiver.url}&another", key="another", labels={"team": "red"})
    before = running.gateway._core.dispatcher.queues.copy()
    monkeypatch.setattr(SqliteCallbacks, "add_callback", add_and_lose)
    with pytest.raises(RpcFailure):
        await create(running, receiver.url)
    monkeypatch.undo()
    again = await create(running, receiver.url)
    assert running.gateway._core.dispatcher.queues.items() > before.items(), "the state of the others is kept"
    assert (again.replayed, again.secret) == (True, "")
    await finished(running, "a fox")
    await receiver.gets(1)


async def test_a_callback_that_is_deleted_while_all_are_read_is_served_no_more(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = await create(running, f"{receiver.url}&deleted", key="deleted")
    store = running.gateway._core.store.callbacks
    read = store.callbacks

    async def read_and_delete() -> Sequence[Callback]:
        found = await read()
        await running.grpc.call("DeleteCallback", pb.DeleteCallbackRequest(id=deleted.callback.id))
        return found

    monkeypatch.setattr(store, "callbacks", read_and_delete)
    lose_responses(store, "add_callback", 1, stored=True)
    made = await create(running, receiver.url)
    listed = (await running.grpc.call("ListCallbacks", pb.ListCallbacksRequest())).callbacks
    assert [callback.id for callback in listed] == [made.callback.id]


@pytest.mark.parametrize("stored", [True, False])
async def test_changes_with_an_unknown_outcome_are_confirmed(
    running: Running, receiver: Receiver, *, stored: bool
) -> None:
    def lose(method: str) -> None:
        lose_responses(running.gateway._core.store.callbacks, method, 1, stored=stored)

    lose("add_callback")
    made = await create(running, receiver.url)
    assert made.secret
    lose("change_callback")
    rotated = await rotate(running, made.callback.id)
    await finished(running, "a fox")
    (got,) = await receiver.gets(1)
    assert got.signed_by(rotated.secret)
    lose("redeliver")
    await running.grpc.call("RedeliverDelivery", pb.RedeliverDeliveryRequest(id=got.id))
    await receiver.gets(2)
    lose("delete_callback")
    await running.grpc.call("DeleteCallback", pb.DeleteCallbackRequest(id=made.callback.id))
    assert not (await running.grpc.call("ListCallbacks", pb.ListCallbacksRequest())).callbacks


async def test_callbacks_of_a_tenant_are_limited_and_listed_in_pages(running: Running, receiver: Receiver) -> None:
    made = [(await create(running, receiver.url, key=str(number))).callback.id for number in range(MAX_CALLBACKS - 1)]
    with commits("callback") as held:
        held.hold()
        calls = [asyncio.create_task(create(running, receiver.url, key=f"last-{number}")) for number in range(2)]
        await held.reached()
        await running.calls_open("CreateCallback", 2, "CallbackService")
        held.release()
        last = await asyncio.gather(*calls, return_exceptions=True)
    made += [one.callback.id for one in last if not isinstance(one, BaseException)]
    (refused,) = [one for one in last if isinstance(one, RpcFailure)]
    assert (refused.reason, refused.failure.metadata["limit"]) == ("QUOTA_EXCEEDED", "callbacks")
    assert not refused.failure.retryable
    listed: list[str] = []
    token = ""
    while True:
        page = await running.grpc.call("ListCallbacks", pb.ListCallbacksRequest(page_size=7, page_token=token))
        listed += [callback.id for callback in page.callbacks]
        token = page.next_page_token
        if not token:
            break
    assert listed == made[::-1]


async def test_deliveries_are_listed_in_pages(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url, every_change=True)
    done = await finished(running, "a fox")
    await settles(running, made.callback.id, done.revision)
    seen: list[int] = []
    request = pb.ListDeliveriesRequest(callback_id=made.callback.id, page_size=1, generation_id=done.id)
    while True:
        page = await running.grpc.call("ListDeliveries", request)
        seen += [one.revision for one in page.deliveries]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
        assert len(page.deliveries) == 1
    assert seen == list(range(done.revision, 0, -1))
    request.page_token = (await running.grpc.call("ListCallbacks", pb.ListCallbacksRequest())).next_page_token or "x"
    with pytest.raises(RpcFailure) as refused:
        await running.grpc.call("ListDeliveries", request)
    assert refused.value.fields == ["page_token"]


@pytest.mark.parametrize("place", ["1.0 g 9223372036854775808", "1.0 g -1", "nan g 1", "1.0 g 1 1", "x g 1"])
async def test_a_page_token_that_was_not_issued_is_refused(running: Running, receiver: Receiver, place: str) -> None:
    made = await create(running, receiver.url)
    request = pb.ListDeliveriesRequest(callback_id=made.callback.id)
    request.page_token = page_tokens.page_token(place, binding_of(request, DEFAULT_TENANT))
    with pytest.raises(RpcFailure) as refused:
        await running.grpc.call("ListDeliveries", request)
    assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", ["page_token"])


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.CreateCallbackRequest(url="https://example.com/"), ["idempotency_key"]),
        (pb.ListCallbacksRequest(page_size=-1), ["page_size"]),
        (pb.ListDeliveriesRequest(), ["callback_id"]),
        (pb.GetCallbackRequest(), ["id"]),
    ],
    ids=["no key", "page size", "no callback", "no id"],
)
async def test_missing_fields_are_named(running: Running, request_: object, fields: list[str]) -> None:
    method = type(request_).__name__.removesuffix("Request")
    with pytest.raises(RpcFailure) as refused:
        await running.grpc.call(method, request_)  # type: ignore[arg-type]
    assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", fields)


async def test_a_callback_filter_accepts_only_labels_models_and_states(running: Running, receiver: Receiver) -> None:
    with pytest.raises(RpcFailure) as refused:
        await create(running, receiver.url, ids=["x"], idempotencyKey="y", labels={"a": "b"})
    assert sorted(refused.value.fields) == ["filter.idempotency_key", "filter.ids"]


async def test_secrets_and_urls_are_in_no_log_metric_or_response(
    running: Running, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.usual = CLOSE
    url = receiver.url + "&token=canary-of-a-token"
    made = await create(running, url)
    new = (await rotate(running, made.callback.id)).secret
    await finished(running, "a fox")
    await receiver.gets(1)
    tested = await running.grpc.call("TestCallback", pb.TestCallbackRequest(id=made.callback.id))
    texts = [str(await state_of(running, made.callback.id)), str(tested), await running.metrics()]
    texts += [str(record.__dict__) for record in caplog.records]
    canaries = [made.secret.removeprefix("whsec_"), new.removeprefix("whsec_")]
    assert [canary for canary in canaries if any(canary in text for text in texts)] == []
    assert [text for text in texts[1:] if "canary-of-a-token" in text] == []
    assert "hfgateway_callbacks_failed_total" in texts[2]


async def test_only_the_gateways_user_reads_the_store(running: Running, receiver: Receiver) -> None:
    await create(running, receiver.url)
    files = sorted(running.store_path.parent.glob("store.db*"))
    open_to_others = [file.name for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077]
    assert [name for name in open_to_others if not name.endswith((".lock", ".admin"))] == []
