"""Callbacks, their secrets and their deliveries."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from behaviours.stage import Stage, behaviour, raises, unique
from hfgateway.v1.callback_service_pb2 import (
    DELIVERY_PROBLEM_CONNECTION,
    DELIVERY_STATE_DELIVERED,
    DELIVERY_STATE_FAILED,
)
from hfgateway_client import CreatedCallback, errors
from hfgateway_client.requests import new_idempotency_key


def unreachable_url() -> str:
    """Return a URL on a port where no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/hook"


@asynccontextmanager
async def created(stage: Stage, **options: Any) -> AsyncGenerator[CreatedCallback, None]:
    """Create a callback that matches no generation, and delete it afterwards, because a tenant has a limit of them."""
    new = await stage.client.create_callback(unreachable_url(), **{"labels": {"run": unique("nothing")}, **options})
    yield new
    await stage.client.delete_callback(new.id)


@behaviour
async def create_callback(stage: Stage) -> None:
    labels = {"run": unique("nothing")}
    async with created(stage, every_change=True, labels=labels) as first:
        assert (first.secret[:6], first.replayed, first.callback.every_change) == ("whsec_", False, True)
        second = await stage.client.create_callback(
            first.callback.url, every_change=True, labels=labels, idempotency_key=first.idempotency_key
        )
        assert (second.id, second.replayed, second.secret) == (first.id, True, "")


@behaviour
async def lost_callback_secret(stage: Stage) -> None:
    url = f"{stage.harness}/receive?{uuid.uuid4()}"
    await stage.client.check()  # there is a connection to lose
    assert (await stage.control("lose", callback_url=url))["connections"] > 0
    new = await stage.client.create_callback(url, labels={"run": unique("nothing")})
    try:
        assert (new.replayed, new.secret[:6]) == (True, "whsec_")
        assert (await stage.client.test_callback(new.id)).state == DELIVERY_STATE_DELIVERED
        assert await stage.control("verify", secret=new.secret) == {"valid": True}
    finally:
        await stage.client.delete_callback(new.id)


@behaviour
async def get_callback(stage: Stage) -> None:
    async with created(stage) as new:
        assert await stage.client.get_callback(new.id) == new.callback
        async with stage.another(api_key=stage.other_api_key) as other:
            with raises(errors.NotFound, "NOT_FOUND"):
                await other.get_callback(new.id)


@behaviour
async def list_callbacks(stage: Stage) -> None:
    async with created(stage) as first, created(stage) as second:
        found = [callback.id async for callback in stage.client.list_callbacks(page_size=1)]
        assert found[:2] == [second.id, first.id], found


@behaviour
async def update_callback(stage: Stage) -> None:
    async with created(stage) as new:
        for paused in (True, False):
            changed = await stage.client.update_callback(new.id, paused=paused)
            assert (changed.paused, changed.filter) == (paused, new.callback.filter)


@behaviour
async def delete_callback(stage: Stage) -> None:
    async with created(stage) as new:
        await stage.client.delete_callback(new.id)
        with raises(errors.NotFound, "NOT_FOUND"):
            await stage.client.get_callback(new.id)


@behaviour
async def rotate_callback_secret(stage: Stage) -> None:
    async with created(stage) as new:
        secret = await stage.client.rotate_callback_secret(new.id)
        assert secret.startswith("whsec_")
        assert secret != new.secret
        assert (await stage.client.get_callback(new.id)).HasField("old_secrets_expire_time")


@behaviour
async def test_callback(stage: Stage) -> None:
    async with created(stage) as new:
        delivery = await stage.client.test_callback(new.id)
        assert delivery.state == DELIVERY_STATE_FAILED
        assert (delivery.problem, delivery.http_status) == (DELIVERY_PROBLEM_CONNECTION, 0)


@behaviour
async def list_deliveries(stage: Stage) -> None:
    async with created(stage) as new:
        assert [delivery async for delivery in stage.client.list_deliveries(new.id)] == []
    with raises(errors.InvalidInput, "INVALID_INPUT"):
        _ = [delivery async for delivery in stage.client.list_deliveries("")]


@behaviour
async def redeliver_delivery(stage: Stage) -> None:
    with raises(errors.NotFound, "NOT_FOUND"):
        await stage.client.redeliver(new_idempotency_key())
