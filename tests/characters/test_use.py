"""Generations with characters: known errors are refused before a charge, and without an upstream call."""

from __future__ import annotations

import asyncio

import pytest

from hfgateway.v1 import character_service_pb2 as pb
from hfgateway.v1 import generation_input_pb2 as inputs
from hfgateway.v1 import generation_service_pb2
from tests.characters.conftest import StartStudio, Studio
from tests.support.running import eventually, model, soul
from tests.support.transports import RpcFailure, Transport

UNKNOWN = "0199aaaa-0000-4000-8000-000000000000"
V1, V2 = inputs.SOUL_VERSION_V1, inputs.SOUL_VERSION_V2
FIELD = "input.soul.character_id"


def picture(character_id: str, version: int = V1, key: str = "") -> generation_service_pb2.SubmitGenerationRequest:
    request = soul("a portrait", key)
    request.input.soul.character_id = character_id
    request.input.soul.version = version  # type: ignore[assignment]
    return request


async def refused_here(studio: Studio, request: generation_service_pb2.SubmitGenerationRequest, field: str) -> str:
    calls = studio.ledger.character_calls.total()
    refused = await studio.refused("SubmitGeneration", request)
    assert (refused.code, refused.reason, refused.fields) == ("INVALID_ARGUMENT", "INVALID_INPUT", [field])
    assert studio.ledger.submissions == []
    assert studio.ledger.character_calls.total() == calls
    return refused.message


async def test_a_trained_character_is_used_with_its_own_version_only(studio: Studio) -> None:
    character = (await studio.create(version=V2)).character
    studio.clock.advance(60)
    await studio.show(character.id)
    assert "Soul 2" in await refused_here(studio, picture(character.id, V1), FIELD)
    generation = await studio.submit(picture(character.id.upper(), V2))
    assert generation.upstream.request_id


@pytest.mark.parametrize("seen", [True, False])
async def test_a_character_known_to_be_in_training_is_refused(studio: Studio, seen: bool) -> None:
    character_id = (await studio.create()).character.id if seen else await studio.create_directly("Anna")
    if not seen:
        await studio.names()
    assert "not ended" in await refused_here(studio, picture(character_id), FIELD)
    studio.ahead += 15
    studio.clock.advance(60)
    assert (await studio.submit(picture(character_id))).upstream.request_id


async def test_a_list_that_was_read_before_the_end_of_training_does_not_undo_it(studio: Studio) -> None:
    character = (await studio.create()).character
    with studio.held(on="characters", processed=True):
        listing = asyncio.create_task(studio.names())
        await eventually(lambda: not len(studio.sandbox.state.plan))
        studio.clock.advance(60)
        assert (await studio.show(character.id)).done
    assert await listing == ["Anna"]
    assert (await studio.submit(picture(character.id))).upstream.request_id


async def test_a_character_of_an_unknown_status_is_left_to_higgsfield(studio: Studio) -> None:
    character = (await studio.create()).character
    studio.clock.advance(60)
    studio.plan(on="character", patch={"status": "paused"}, processed=True)
    assert (await studio.show(character.id)).state == pb.CHARACTER_STATE_UNSPECIFIED
    assert (await studio.submit(picture(character.id))).upstream.request_id


async def test_a_failed_character_is_refused(studio: Studio) -> None:
    character = (await studio.create("[fail] Anna")).character
    studio.clock.advance(60)
    await studio.show(character.id)
    studio.ahead += 100
    assert "failed" in await refused_here(studio, picture(character.id), FIELD)

    await studio.call_higgsfield("DELETE", f"/{character.id}")
    assert (await studio.refused("GetCharacter", pb.GetCharacterRequest(id=character.id))).code == "NOT_FOUND"
    assert (await studio.refused("SubmitGeneration", picture(character.id))).reason == "INPUT_REFUSED"


async def test_a_deleted_character_is_refused_before_and_after_a_restart(studio: Studio) -> None:
    character = (await studio.create()).character
    await studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character.id))
    assert "deleted" in await refused_here(studio, picture(character.id), FIELD)
    assert "deleted" in await refused_here(studio, picture(character.id.replace("-", "")), FIELD)
    await studio.stop_gateway()
    await studio.start_gateway()
    assert "deleted" in await refused_here(studio, picture(character.id), FIELD)


async def test_a_repeat_after_its_character_was_deleted_is_replayed(studio: Studio) -> None:
    character = (await studio.create()).character
    studio.clock.advance(60)
    await studio.show(character.id)
    made = await studio.submit(picture(character.id, key="one"))
    await studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character.id))
    assert (await studio.submit(picture(character.id, key="one"))).id == made.id


async def test_without_keys_unknown_characters_are_passed_to_higgsfield(studio: Studio) -> None:
    refused = await studio.refused("SubmitGeneration", picture(UNKNOWN))
    assert (refused.reason, refused.fields) == ("INPUT_REFUSED", [FIELD])
    elsewhere = await studio.create_directly("Anna")
    studio.clock.advance(60)
    assert (await studio.submit(picture(elsewhere))).upstream.request_id


async def red_has_a_character(start: StartStudio) -> tuple[Studio, Transport, Transport, str]:
    """Return a studio, the callers of the tenants red and blue, and the id of a trained character of red."""
    studio = await start(AUTH="keys")
    red, blue = [studio.caller("grpc", await studio.key(tenant)) for tenant in ("red", "blue")]
    character_id = (await studio.create(by=red)).character.id
    studio.clock.advance(60)
    await studio.show(character_id, red)
    return studio, red, blue, character_id


async def test_another_tenants_character_is_reported_as_unknown(start: StartStudio) -> None:
    studio, red, blue, character_id = await red_has_a_character(start)

    descriptions = set()
    for name in (character_id, character_id.upper(), UNKNOWN, "not-an-id"):
        for request, field in (
            (picture(name, V2), FIELD),
            (
                model("higgsfield-ai/soul/standard", {"prompt": "x", "custom_reference_id": name}, "m"),
                "input.model.parameters.custom_reference_id",
            ),
            (
                model("acme/new/model", {"people": [{"who": {"custom_reference_id": name}}]}, "n"),
                "input.model.parameters.people[0].who.custom_reference_id",
            ),
        ):
            with pytest.raises(RpcFailure) as refused:
                await blue.call("SubmitGeneration", request)
            assert (refused.value.code, refused.value.fields) == ("INVALID_ARGUMENT", [field])
            descriptions.add(refused.value.failure.field_violations[0].description)
    for name in (character_id, character_id.upper(), f"urn:uuid:{character_id}", character_id.replace("-", "")):
        request = model("v1/text2image/soul", {"prompt": "x", "custom_reference": {"id": [name]}}, "o")
        request.input.model.api_version = inputs.API_VERSION_V1
        with pytest.raises(RpcFailure) as refused:
            await blue.call("SubmitGeneration", request)
        assert refused.value.fields == ["input.model.parameters.custom_reference.id[0]"]
        descriptions.add(refused.value.failure.field_violations[0].description)
    assert descriptions == {"no such character"}
    assert studio.ledger.submissions == []
    assert (await red.call("SubmitGeneration", picture(character_id.upper()))).generation.upstream.request_id


async def test_an_estimate_validates_characters_as_a_submission_does(start: StartStudio) -> None:
    _, red, blue, character_id = await red_has_a_character(start)
    picture_of = picture(character_id)
    raw = model("acme/new/model", {"who": character_id}, "n")

    for client, request, field in (
        (blue, picture_of, FIELD),
        (blue, raw, "input.model.parameters.who"),
        (red, picture(character_id, V2), FIELD),
    ):
        with pytest.raises(RpcFailure) as refused:
            await client.call(
                "EstimateGeneration", generation_service_pb2.EstimateGenerationRequest(input=request.input)
            )
        assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", [field])

    estimate = generation_service_pb2.EstimateGenerationRequest(input=picture_of.input)
    assert (await red.call("EstimateGeneration", estimate)).cost.credits


async def test_a_freed_key_gives_no_access_to_another_tenants_character(start: StartStudio) -> None:
    studio, _, blue, character_id = await red_has_a_character(start)
    with pytest.raises(RpcFailure) as refused:
        await blue.call("SubmitGeneration", soul("a portrait [http=422]", "one"))
    assert refused.value.reason == "INPUT_REFUSED"
    sent = len(studio.ledger.submissions)

    with pytest.raises(RpcFailure) as refused:
        await blue.call("SubmitGeneration", picture(character_id, key="one"))

    assert (refused.value.reason, refused.value.fields) == ("INVALID_INPUT", [FIELD])
    assert len(studio.ledger.submissions) == sent


async def test_a_repeat_of_a_deleted_generation_is_a_reused_key(studio: Studio) -> None:
    character = (await studio.create()).character
    studio.clock.advance(60)
    await studio.show(character.id)
    made = await studio.submit(picture(character.id, key="one"))
    await studio.finish(made.id)
    await studio.grpc.call("DeleteGeneration", generation_service_pb2.DeleteGenerationRequest(id=made.id))
    await studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character.id))

    refused = await studio.refused("SubmitGeneration", picture(character.id, key="one"))

    assert refused.reason == "IDEMPOTENCY_KEY_REUSED"
