"""Callbacks whose secret was lost with the response."""

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway
from hfgateway.v1 import callback_service_pb2 as pb
from hfgateway_client import AsyncClient

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
