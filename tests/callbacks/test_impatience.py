"""Callers who leave while the store takes its time: what it has kept is what holds, as if they had waited."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hfgateway.v1 import callback_service_pb2 as pb
from tests.callbacks.receiver import Receiver, create, finished, settles, state_of
from tests.support.running import Running
from tests.support.transports import RpcFailure


@asynccontextmanager
async def slow_store(running: Running) -> AsyncIterator[None]:
    """What is written meanwhile is committed afterwards."""
    store, go_on = running.gateway._core.store, threading.Event()

    def hold(_: Any) -> tuple[None, None]:
        go_on.wait()
        return None, None

    held = store.writer.write(None, hold)
    try:
        yield
    finally:
        go_on.set()
        await held
        await store.announced()


async def impatient(running: Running, method: str, request: Any) -> None:
    """Call, and leave before the store has answered."""
    async with slow_store(running):
        with pytest.raises(RpcFailure) as raised:
            await running.grpc.call(method, request, timeout=2.0)
        assert raised.value.code == "DEADLINE_EXCEEDED"
        await running.calls_open(method, 0, "CallbackService")


async def listed(running: Running) -> list[Any]:
    return list((await running.grpc.call("ListCallbacks", pb.ListCallbacksRequest())).callbacks)


async def test_a_callback_that_was_kept_is_told(running: Running, receiver: Receiver) -> None:
    await impatient(running, "CreateCallback", pb.CreateCallbackRequest(url=receiver.url, idempotency_key="one"))
    assert len(await listed(running)) == 1
    await finished(running, "a fox")
    await receiver.gets(1)


async def test_a_new_secret_that_was_kept_signs(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await impatient(running, "RotateCallbackSecret", pb.RotateCallbackSecretRequest(id=made.callback.id))
    assert (await state_of(running, made.callback.id)).HasField("old_secrets_expire_time")


async def test_a_change_that_was_kept_holds(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await impatient(running, "UpdateCallback", pb.UpdateCallbackRequest(id=made.callback.id, paused=True))
    assert (await state_of(running, made.callback.id)).paused


async def test_a_deleted_callback_is_told_nothing_more(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await impatient(running, "DeleteCallback", pb.DeleteCallbackRequest(id=made.callback.id))
    assert await listed(running) == []


async def test_a_delivery_that_is_to_be_made_again_is(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await finished(running, "a fox")
    (delivery,) = await settles(running, made.callback.id, 1)
    await impatient(running, "RedeliverDelivery", pb.RedeliverDeliveryRequest(id=delivery.id))
    first, second = await receiver.gets(2)
    assert first.id == second.id
