"""Characters and their training."""

from __future__ import annotations

from behaviours.stage import TIMEOUT, Stage, behaviour, raises, read_to_end, read_until, unique
from hfgateway_client import SoulCharacter, character_state_name, errors
from hfgateway_client.requests import new_idempotency_key

FACES = ["https://example.com/face-1.png", "https://example.com/face-2.png"]


async def in_training(stage: Stage) -> SoulCharacter:
    """Create a character, whose training has not ended."""
    return (await stage.client.create_character(unique("Ann"), FACES)).character


@behaviour
async def create_character(stage: Stage) -> None:
    name = unique("Ann")
    first = await stage.client.create_character(name, FACES, version="v2")
    assert (first.character.name, first.character.done, first.replayed) == (name, False, False)
    key = first.idempotency_key
    second = await stage.client.create_character(name, FACES, version="v2", idempotency_key=key)
    assert (second.id, second.replayed) == (first.id, True)
    with raises(errors.KeyReused, "IDEMPOTENCY_KEY_REUSED") as raised:
        await stage.client.create_character(unique("Ben"), FACES, version="v2", idempotency_key=key)
    assert raised.error.idempotency_key == key
    assert (await stage.control("charges", prompt=name))["charges"] == 1


@behaviour
async def get_character(stage: Stage) -> None:
    made = await in_training(stage)
    found = await stage.client.get_character(made.id)
    assert (found.id, found.name) == (made.id, made.name)
    async with stage.another(api_key=stage.other_api_key) as other:
        for client, unknown in ((stage.client, new_idempotency_key()), (other, made.id)):
            with raises(errors.NotFound, "NOT_FOUND"):
                await client.get_character(unknown)


@behaviour
async def list_characters(stage: Stage) -> None:
    first, second = await in_training(stage), await in_training(stage)
    found = [character.id async for character in stage.client.list_characters(page_size=1)]
    assert found[:2] == [second.id, first.id], found


@behaviour
async def watch_character(stage: Stage) -> None:
    seen: list[SoulCharacter] = []
    watch = stage.client.watch_character((await in_training(stage)).id, timeout=TIMEOUT)
    present = await read_until(watch, lambda _: True, seen)
    assert character_state_name(present) in ("NOT_READY", "QUEUED"), character_state_name(present)
    await stage.advance(1.5)
    await read_until(watch, lambda character: character_state_name(character) == "IN_PROGRESS", seen)
    await stage.advance(3600)
    await read_to_end(watch, seen)
    assert [one.state for one in seen] == sorted({one.state for one in seen}), seen
    assert (character_state_name(seen[-1]), seen[-1].done) == ("COMPLETED", True)


@behaviour
async def delete_character(stage: Stage) -> None:
    made = await in_training(stage)
    for _ in range(2):
        await stage.client.delete_character(made.id)
        with raises(errors.NotFound, "NOT_FOUND"):
            await stage.client.get_character(made.id)
