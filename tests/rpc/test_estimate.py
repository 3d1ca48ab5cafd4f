"""EstimateGeneration: the input is checked as for a submission, priced, and nothing else."""

from __future__ import annotations

import pytest

from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Running, model, soul
from tests.support.transports import RpcFailure, Transport


async def estimate(client: Transport, request: pb.SubmitGenerationRequest) -> pb.EstimateGenerationResponse:
    answer: pb.EstimateGenerationResponse = await client.call(
        "EstimateGeneration", pb.EstimateGenerationRequest(input=request.input)
    )
    return answer


async def test_the_price_is_told_as_higgsfield_gives_it(running: Running, client: Transport) -> None:
    request = soul("a fox")
    request.input.soul.batch_size = 4
    answer = await estimate(client, request)
    assert (answer.cost.credits, answer.cost.usd, answer.description) == ("0.200", "0.013", "")


async def test_a_metered_model_has_a_description_and_no_cost(running: Running, grpc: Transport) -> None:
    parameters = {"prompt": "a fox", "image_urls": ["https://files.example/a.png"]}
    answer = await estimate(grpc, model("bytedance/seedance-2.0/reference-to-video", parameters, "k"))
    assert not answer.HasField("cost")
    assert "credits per second" in answer.description


async def test_nothing_is_stored_charged_or_reserved(running: Running, grpc: Transport) -> None:
    await estimate(grpc, soul("a fox"))
    assert running.ledger.submissions == []
    assert running.ledger.charges == []
    assert not (await grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations


async def test_what_a_submission_would_refuse_is_refused(running: Running, grpc: Transport) -> None:
    for model_id, reason in (("no/such-model", "MODEL_UNKNOWN"), ("../models", "INVALID_INPUT")):
        with pytest.raises(RpcFailure) as raised:
            await estimate(grpc, model(model_id, {"prompt": "a fox"}, "k"))
        assert raised.value.reason == reason


async def test_a_description_is_told_without_secrets(running: Running, grpc: Transport) -> None:
    said = "asked as sandbox:sandbox, see https://files.example/?token=canary"
    running.plan(on="estimate", body={"type": "description", "pricing_description": said})
    answer = await estimate(grpc, soul("a fox"))
    assert answer.description == "asked as [removed], see https://files.example/?[removed]"


@pytest.mark.parametrize("status", [402, 403])
async def test_an_account_without_credits_is_no_reason_to_know_no_price(running: Running, status: int) -> None:
    running.plan(on="estimate", status=status, body={"detail": "not_enough_credits"})
    with pytest.raises(RpcFailure) as raised:
        await estimate(running.grpc, soul("a fox"))
    assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
