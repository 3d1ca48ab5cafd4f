"""Callbacks whose secret was lost with the response."""

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway_client import AsyncClient, errors

REPLAYED = pb.CreateCallbackResponse(callback=pb.Callback(id="cb1"), replayed=True)


@pytest.mark.parametrize(("key", "secret", "rotations"), [(None, "whsec_new", 1), ("mine-7", "", 0)])
async def test_a_lost_secret_is_replaced_unless_the_caller_may_have_it(
    gateway: ScriptedGateway, client: AsyncClient, key: str | None, secret: str, rotations: int
) -> None:
    gateway.on("CreateCallback", gateway.cut, REPLAYED)
    gateway.on("RotateCallbackSecret", pb.RotateCallbackSecretResponse(secret="whsec_new"))

    made = await client.create_callback("https://a.test/hook", idempotency_key=key)

    assert (made.id, made.secret) == ("cb1", secret)
    assert "whsec" not in repr(made)
    assert [request.id for request in gateway.requests["RotateCallbackSecret"]] == ["cb1"] * rotations


async def test_the_error_of_a_secret_that_cannot_be_replaced_has_the_key_of_the_creation(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("CreateCallback", REPLAYED)
    gateway.on("RotateCallbackSecret", refusal("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"))
    with pytest.raises(errors.QuotaExceeded) as raised:
        await client.create_callback("https://a.test/hook")
    (request,) = gateway.requests["CreateCallback"]
    assert raised.value.idempotency_key == request.idempotency_key != ""


async def test_the_error_of_a_function_that_fails_before_a_lost_secret_is_replaced_has_the_key_of_the_creation(
    gateway: ScriptedGateway,
) -> None:
    gateway.on("CreateCallback", REPLAYED)
    async with AsyncClient(gateway.address, api_key=["hfg_create"].pop) as client:
        with pytest.raises(errors.GatewayError) as raised:
            await client.create_callback("https://a.test/hook")
        with pytest.raises(IndexError):  # nothing was sent
            await client.create_callback("https://a.test/hook")
    (request,) = gateway.requests["CreateCallback"]
    assert raised.value.idempotency_key == request.idempotency_key != ""
    assert isinstance(raised.value.__cause__, IndexError)
