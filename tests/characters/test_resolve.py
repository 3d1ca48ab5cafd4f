"""Unresolved characters: an operator lists and resolves them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.characters.lookup import CREATION_TIMEOUT
from hfgateway.admin.v1 import admin_service_pb2 as pb
from tests.characters.conftest import Studio, order
from tests.support import operator
from tests.support.commits import commits
from tests.support.running import WAIT_TIMEOUT, eventually

TENANT = "default"


async def unresolved(studio: Studio, *, taken: bool) -> None:
    """Leave the creation of Anna unresolved: its response was lost, and the lookup fails."""
    studio.plan(on="train", kind="504", processed=taken)
    if taken:
        studio.plan(on="characters", kind="")
        studio.plan(on="characters", kind="502", times=3)
    assert (await studio.refused("CreateCharacter", order())).reason == "SUBMISSION_UNRESOLVED"


async def listed(studio: Studio) -> list[tuple[str, str, str]]:
    answer = await operator.ask(studio, "ListUnresolved", pb.ListUnresolvedRequest())
    return [(one.tenant, one.idempotency_key, one.name) for one in answer.characters]


def resolution(**how: object) -> pb.ResolveCharacterRequest:
    return pb.ResolveCharacterRequest(tenant=TENANT, idempotency_key="key-of-Anna", **how)  # type: ignore[arg-type]


async def test_a_character_resolved_as_not_taken_can_be_created_again(studio: Studio) -> None:
    await unresolved(studio, taken=False)
    assert await listed(studio) == [(TENANT, "key-of-Anna", "Anna")]
    await operator.ask(studio, "ResolveCharacter", resolution(not_taken={}))
    assert await listed(studio) == []
    answer = await studio.create()
    assert not answer.replayed
    assert studio.paid == [answer.character.id]


async def test_a_repeat_that_waits_for_a_resolution_is_not_answered_from_the_freed_record(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator is wrong: the repeat would find the character, and bind it to a record that no longer exists."""
    await unresolved(studio, taken=True)
    assert studio.gateway._core.characters is not None
    creator = studio.gateway._core.characters._creator
    free, freeing, may_free = creator._store.free, asyncio.Event(), asyncio.Event()

    async def free_late(creation_id: str) -> None:
        freeing.set()
        await may_free.wait()
        await free(creation_id)

    monkeypatch.setattr(creator._store, "free", free_late)
    async with asyncio.timeout(WAIT_TIMEOUT):
        resolving = asyncio.create_task(operator.ask(studio, "ResolveCharacter", resolution(not_taken={})))
        await freeing.wait()
        repeating = asyncio.create_task(studio.refused("CreateCharacter", order()))
        await eventually(lambda: bool(creator._in_progress))
        may_free.set()
        await resolving
        assert (await repeating).reason == "GATEWAY_UNAVAILABLE"
    created = await studio.create()
    await studio.stop_gateway()
    await studio.start_gateway()
    again = await studio.create()
    assert (again.replayed, again.character.id) == (True, created.character.id)


async def test_a_repeat_that_waits_for_a_resolution_is_answered_with_the_character(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    await unresolved(studio, taken=True)
    (paid,) = studio.paid
    assert studio.gateway._core.characters is not None
    creator = studio.gateway._core.characters._creator
    bind, binding, may_bind = creator._store.bind, asyncio.Event(), asyncio.Event()

    async def bind_late(creation_id: str, character_id: str) -> None:
        binding.set()
        await may_bind.wait()
        await bind(creation_id, character_id)

    monkeypatch.setattr(creator._store, "bind", bind_late)
    async with asyncio.timeout(WAIT_TIMEOUT):
        resolving = asyncio.create_task(operator.ask(studio, "ResolveCharacter", resolution(character_id=paid)))
        await binding.wait()
        repeating = asyncio.create_task(studio.create())
        await eventually(lambda: bool(creator._in_progress))
        may_bind.set()
        await resolving
        answer = await repeating
    assert (answer.replayed, answer.character.id) == (True, paid)


@pytest.mark.parametrize("bound", [True, False])
async def test_of_two_resolutions_at_once_the_later_one_is_refused(studio: Studio, bound: bool) -> None:
    """It would free the key of a bound character, and a repeat would be charged again."""
    await unresolved(studio, taken=True)
    (paid,) = studio.paid
    creator = studio.gateway._core.characters._creator
    first = resolution(character_id=paid) if bound else resolution(not_taken={})
    with commits("character bound", "character freed") as writes:
        writes.hold()
        resolving = asyncio.create_task(operator.ask(studio, "ResolveCharacter", first))
        await writes.reached()
        late = asyncio.create_task(operator.refused(studio, "ResolveCharacter", resolution(not_taken={})))
        await eventually(lambda: len(creator._tasks) == 2)
        writes.release()
        await resolving
        assert await late == "INVALID_ARGUMENT"
    assert (await studio.create()).replayed is bound


async def test_a_resolution_whose_call_is_canceled_during_its_commit_frees_the_key(studio: Studio) -> None:
    await unresolved(studio, taken=False)
    with commits("character freed") as frees:
        frees.hold()
        resolving = asyncio.create_task(studio.gateway._core.characters.resolve(TENANT, "key-of-Anna", None))
        await frees.reached()
        resolving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resolving
        frees.release()
    await eventually(lambda: not studio.gateway._core.characters.unresolved())
    assert not (await studio.create()).replayed


async def test_a_character_resolved_with_an_id_is_bound(studio: Studio) -> None:
    await unresolved(studio, taken=True)
    (paid,) = studio.paid
    await operator.ask(studio, "ResolveCharacter", resolution(character_id=paid))
    assert await listed(studio) == []
    answer = await studio.create()
    assert (answer.replayed, answer.character.id) == (True, paid)
    assert studio.paid == [paid]


async def test_contradictory_character_resolutions_are_refused(studio: Studio) -> None:
    before = await studio.create_directly("Anna")
    await unresolved(studio, taken=False)
    other = await studio.create("Berta")
    studio.ahead += CREATION_TIMEOUT + 1
    later = await studio.create("Anna", "later")
    elsewhere = await studio.create_directly("Clara")
    refused = [
        await operator.refused(studio, "ResolveCharacter", request)
        for request in (
            resolution(),
            resolution(character_id=before),
            resolution(character_id=other.character.id),
            resolution(character_id=later.character.id),
            resolution(character_id=elsewhere),
            resolution(character_id="unknown-id"),
            resolution(character_id="no/such"),
            pb.ResolveCharacterRequest(tenant=TENANT, idempotency_key="key-of-Berta", not_taken={}),
            pb.ResolveCharacterRequest(tenant="another", idempotency_key="key-of-Anna", not_taken={}),
        )
    ]
    assert refused == ["INVALID_ARGUMENT"] * 8 + ["NOT_FOUND"]
    assert await listed(studio) == [(TENANT, "key-of-Anna", "Anna")]


async def test_a_character_is_resolved_by_the_command_line(studio: Studio) -> None:
    await unresolved(studio, taken=False)
    done = await operator.command(studio, "unresolved", "list")
    assert done.out.split("\t")[:3] == ["character", TENANT, "key-of-Anna"]
    done = await operator.command(studio, "unresolved", "character", TENANT, "key-of-Anna", "--not-taken")
    assert (done.code, done.out) == (0, "resolved\n")
    assert await listed(studio) == []


async def test_the_command_line_prints_a_character_on_one_line(studio: Studio) -> None:
    """A caller chooses the name, and the operator's terminal must not obey it."""
    studio.plan(on="train", kind="504", processed=False)
    await studio.refused("CreateCharacter", order("Anna\x1b[2J\ncharacter\tother", "k"))
    done = await operator.command(studio, "unresolved", "list")
    assert done.out.splitlines()[0].split("\t")[-1] == r"Anna\x1b[2J\ncharacter\tother"
    assert done.out.count("\n") == 1
