"""EstimateGeneration: checks the input like a submission and returns a price, without side effects."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Running, model, soul
from tests.support.transports import RpcFailure, Transport


async def estimate(client: Transport, request: pb.SubmitGenerationRequest) -> pb.EstimateGenerationResponse:
    answer: pb.EstimateGenerationResponse = await client.call(
        "EstimateGeneration", pb.EstimateGenerationRequest(input=request.input)
    )
    return answer


async def test_the_price_is_returned_as_higgsfield_gives_it(running: Running, client: Transport) -> None:
    request = soul("a fox")
    request.input.soul.batch_size = 4
    answer = await estimate(client, request)
    assert (answer.cost.credits, answer.cost.usd, answer.description) == ("0.200", "0.013", "")


async def test_a_metered_model_has_a_description_and_no_cost(running: Running, grpc: Transport) -> None:
    parameters = {"prompt": "a fox", "image_urls": ["https://files.example/a.png"]}
    answer = await estimate(grpc, model("bytedance/seedance-2.0/reference-to-video", parameters, "k"))
    assert not answer.HasField("cost")
    assert "credits per second" in answer.description


async def test_an_estimate_stores_and_charges_nothing(running: Running, grpc: Transport) -> None:
    await estimate(grpc, soul("a fox"))
    assert running.ledger.submissions == []
    assert running.ledger.charges == []
    assert not (await grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations


async def test_an_estimate_refuses_what_a_submission_would_refuse(running: Running, grpc: Transport) -> None:
    for model_id, reason in (("no/such-model", "MODEL_UNKNOWN"), ("../models", "INVALID_INPUT")):
        with pytest.raises(RpcFailure) as raised:
            await estimate(grpc, model(model_id, {"prompt": "a fox"}, "k"))
        assert raised.value.reason == reason


async def test_a_price_description_has_its_secrets_removed(running: Running, grpc: Transport) -> None:
    said = "asked as sandbox:sandbox, see https://files.example/?token=canary"
    running.plan(on="estimate", body={"type": "description", "pricing_description": said})
    answer = await estimate(grpc, soul("a fox"))
    assert answer.description == "asked as [removed], see https://files.example/?[removed]"


@pytest.mark.parametrize("status", [402, 403])
async def test_an_estimate_refused_for_lack_of_credits_is_reported_like_a_submission(
    running: Running, status: int
) -> None:
    running.plan(on="estimate", status=status, body={"detail": "not_enough_credits"})
    with pytest.raises(RpcFailure) as raised:
        await estimate(running.grpc, soul("a fox"))
    assert (raised.value.code, raised.value.reason) == ("RESOURCE_EXHAUSTED", "INSUFFICIENT_CREDITS")


async def test_a_discount_is_reported_beside_the_net_price(running: Running, client: Transport) -> None:
    answer = await estimate(client, model("kling-video/v3.0/std/text-to-video", {"prompt": "a fox"}, "k"))
    assert (answer.cost.credits, answer.cost.usd) == ("5.544", "0.347")
    discount = MessageToDict(answer.extra)["discount"]
    assert discount == {"percentage": "45.00", "credits": "4.536", "usd": "0.284"}


@pytest.mark.parametrize("body", [{}, {"detail": "try later"}, {"status": "error", "error": "busy"}])
async def test_an_error_with_the_status_200_is_not_a_missing_price(running: Running, body: dict[str, str]) -> None:
    """With a budget, a missing price is cached, and may be allowed to cost nothing."""
    running.plan(on="estimate", body=body)
    with pytest.raises(RpcFailure) as raised:
        await estimate(running.grpc, soul("a fox"))
    assert raised.value.reason == "UPSTREAM_UNAVAILABLE"


@pytest.mark.parametrize("credits", ["NaN", "-Infinity", "-5", "1,5", "1e400", "free", "9" * 400])
async def test_what_is_no_amount_is_not_reported_as_a_price(running: Running, credits: str) -> None:
    running.plan(on="estimate", body={"type": "estimate", "credits": credits, "usd": "0.004"})
    answer = await estimate(running.grpc, soul("a fox"))
    assert (answer.cost.credits, answer.cost.usd) == ("", "0.004")
    assert MessageToDict(answer.extra)["credits"] == credits


@pytest.mark.parametrize(("credits", "shown"), [("0", "0"), (".5", ".5"), (5, "5"), (0.05, "0.05"), ("1.50", "1.50")])
async def test_an_amount_may_be_a_text_or_a_number(running: Running, credits: object, shown: str) -> None:
    running.plan(on="estimate", body={"type": "estimate", "credits": credits, "usd": None})
    assert (await estimate(running.grpc, soul("a fox"))).cost.credits == shown
