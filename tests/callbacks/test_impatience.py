"""Calls that time out during a slow commit: the commit takes effect as if the caller had waited."""

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
    """Hold all commits until the end of the block."""
    go_on = threading.Event()

    def hold(_: Any) -> tuple[None, None]:
        go_on.wait()
        return None, None

    held = running.database.writer.write(None, hold)
    try:
        yield
    finally:
        go_on.set()
        await held
        await running.gateway._core.store.change_log.announced()


async def timed_out(running: Running, method: str, request: Any) -> None:
    """Make a call whose deadline expires before its commit."""
    async with slow_store(running):
        with pytest.raises(RpcFailure) as raised:
            await running.grpc.call(method, request, timeout=2.0)
        assert raised.value.code == "DEADLINE_EXCEEDED"
        await running.calls_open(method, 0, "CallbackService")


async def listed(running: Running) -> list[Any]:
    return list((await running.grpc.call("ListCallbacks", pb.ListCallbacksRequest())).callbacks)


async def test_a_callback_of_a_timed_out_call_gets_deliveries(running: Running, receiver: Receiver) -> None:
    await timed_out(running, "CreateCallback", pb.CreateCallbackRequest(url=receiver.url, idempotency_key="one"))
    assert len(await listed(running)) == 1
    await finished(running, "a fox")
    await receiver.gets(1)


async def test_a_rotation_of_a_timed_out_call_takes_effect(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await timed_out(running, "RotateCallbackSecret", pb.RotateCallbackSecretRequest(id=made.callback.id))
    assert (await state_of(running, made.callback.id)).HasField("old_secrets_expire_time")


async def test_an_update_of_a_timed_out_call_takes_effect(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await timed_out(running, "UpdateCallback", pb.UpdateCallbackRequest(id=made.callback.id, paused=True))
    assert (await state_of(running, made.callback.id)).paused


async def test_a_deletion_of_a_timed_out_call_takes_effect(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await timed_out(running, "DeleteCallback", pb.DeleteCallbackRequest(id=made.callback.id))
    assert await listed(running) == []


async def test_a_redelivery_of_a_timed_out_call_takes_effect(running: Running, receiver: Receiver) -> None:
    made = await create(running, receiver.url)
    await finished(running, "a fox")
    (delivery,) = await settles(running, made.callback.id, 1)
    await timed_out(running, "RedeliverDelivery", pb.RedeliverDeliveryRequest(id=delivery.id))
    first, second = await receiver.gets(2)
    assert first.id == second.id
