"""Characters: creation with lost responses, watches with broken streams, and training."""

import asyncio
from typing import Any

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from hfgateway.v1 import character_service_pb2 as pb
from hfgateway.v1.error_pb2 import ErrorReason
from hfgateway.v1.generation_input_pb2 import SOUL_VERSION_V2
from hfgateway_client import AsyncClient, Client, SoulCharacter, TrainingFailed, character_state_name, errors

DRAINING = refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "draining", retry_delay=0.05)
IMAGES = ["https://example.invalid/a.jpg"]


def character(state: str = "QUEUED", **fields: Any) -> SoulCharacter:
    number = pb.CharacterState.Value(f"CHARACTER_STATE_{state}")
    return SoulCharacter(id="c1", name="Anna", state=number, done=state in {"COMPLETED", "FAILED"}, **fields)


def created(state: str = "NOT_READY", *, replayed: bool = False) -> pb.CreateCharacterResponse:
    return pb.CreateCharacterResponse(character=character(state), replayed=replayed)


def change(state: str, **fields: Any) -> pb.WatchCharacterResponse:
    return pb.WatchCharacterResponse(character=character(state, **fields))


async def test_creation_is_retried_with_the_same_key_after_a_lost_response(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    unresolved = refusal("ABORTED", "SUBMISSION_UNRESOLVED", retry_delay=0.01)
    gateway.on("CreateCharacter", gateway.cut, unresolved, created(replayed=True))

    new = await client.create_character("Anna", iter(IMAGES), version="v2")

    first, *others = gateway.requests["CreateCharacter"]
    assert others == [first, first]
    assert (first.name, list(first.image_urls), first.version) == ("Anna", IMAGES, SOUL_VERSION_V2)
    assert first.idempotency_key == new.idempotency_key != ""
    assert (new.id, new.replayed) == ("c1", True)


async def test_a_refusal_is_not_retried_and_the_error_has_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("CreateCharacter", refusal("RESOURCE_EXHAUSTED", "INSUFFICIENT_CREDITS"))
    with pytest.raises(errors.InsufficientCredits) as caught:
        await client.create_character("Anna", IMAGES, idempotency_key="mine")
    assert caught.value.idempotency_key == "mine"
    assert len(gateway.requests["CreateCharacter"]) == 1


async def test_a_watch_resumes_broken_streams_and_yields_each_change_once(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    heartbeat = pb.WatchCharacterResponse()
    gateway.on(
        "WatchCharacter",
        [change("QUEUED"), heartbeat, DRAINING],
        [change("QUEUED"), change("IN_PROGRESS"), gateway.cut],
        [change("IN_PROGRESS"), change("COMPLETED")],
    )
    seen = [character_state_name(one) async for one in client.watch_character("c1")]
    assert seen == ["QUEUED", "IN_PROGRESS", "COMPLETED"]
    assert [request.id for request in gateway.requests["WatchCharacter"]] == ["c1"] * 3


async def test_a_watch_of_a_deleted_character_fails(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("WatchCharacter", [change("QUEUED"), refusal("NOT_FOUND", "NOT_FOUND")])
    with pytest.raises(errors.NotFound):
        assert [one async for one in client.watch_character("c1")] == []


async def test_train_character_waits_until_training_has_ended(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [change("NOT_READY"), change("IN_PROGRESS"), change("COMPLETED")])
    progress: list[str] = []

    trained = await client.train_character(
        "Anna", IMAGES, on_progress=lambda one: progress.append(character_state_name(one)), timeout=60
    )

    assert trained == character("COMPLETED")
    assert progress == ["NOT_READY", "IN_PROGRESS", "COMPLETED"]


async def test_failed_training_raises_an_error(gateway: ScriptedGateway, client: AsyncClient) -> None:
    failed = change("FAILED")
    failed.character.failure.message = "too few faces"
    failed.character.failure.reason = ErrorReason.ERROR_REASON_INPUT_REFUSED
    gateway.on("CreateCharacter", created(), created("FAILED"))
    gateway.on("WatchCharacter", [failed])
    with pytest.raises(TrainingFailed, match=r"INPUT_REFUSED: too few faces \(character c1\)") as caught:
        await client.train_character("Anna", IMAGES, idempotency_key="mine")
    assert (caught.value.character, caught.value.idempotency_key) == (failed.character, "mine")
    with pytest.raises(TrainingFailed, match="ended as FAILED") as unexplained:
        await client.train_character("Anna", IMAGES)
    assert unexplained.value.reason == ""


async def test_a_watch_that_ends_too_early_is_resumed(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [], [change("IN_PROGRESS")], [change("COMPLETED")])
    assert (await client.train_character("Anna", IMAGES)).done


async def test_train_character_ends_at_its_timeout_and_the_error_has_the_key(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [change("QUEUED"), gateway.hang])
    with pytest.raises(errors.DeadlineExceeded) as caught:
        await client.train_character("Anna", IMAGES, idempotency_key="mine", timeout=0.3)
    assert caught.value.idempotency_key == "mine"


async def test_a_character_whose_training_has_ended_is_not_watched(
    gateway: ScriptedGateway, client: AsyncClient
) -> None:
    gateway.on("CreateCharacter", created("COMPLETED", replayed=True))
    assert (await client.train_character("Anna", IMAGES)).done
    assert gateway.requests["WatchCharacter"] == []


async def test_list_get_and_delete(gateway: ScriptedGateway, client: AsyncClient) -> None:
    gateway.on(
        "ListCharacters",
        pb.ListCharactersResponse(characters=[character()] * 2, next_page_token="more"),
        pb.ListCharactersResponse(characters=[character()]),
    )
    gateway.on("GetCharacter", pb.GetCharacterResponse(character=character()))
    gateway.on("DeleteCharacter", pb.DeleteCharacterResponse())

    assert len([one async for one in client.list_characters(page_size=2)]) == 3
    assert await client.get_character("c1") == character()
    await client.delete_character("c1")

    pages = [(request.page_size, request.page_token) for request in gateway.requests["ListCharacters"]]
    assert pages == [(2, ""), (2, "more")]
    assert gateway.requests["DeleteCharacter"][0].id == "c1"


async def test_the_synchronous_client_trains_as_well(gateway: ScriptedGateway) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [change("IN_PROGRESS"), change("COMPLETED")])
    progress: list[str] = []

    def train() -> SoulCharacter:
        with Client(gateway.address, timeout=60.0) as client:
            return client.train_character(
                "Anna", IMAGES, on_progress=lambda one: progress.append(character_state_name(one))
            )

    assert await asyncio.to_thread(train) == character("COMPLETED")
    assert progress == ["NOT_READY", "IN_PROGRESS", "COMPLETED"]
