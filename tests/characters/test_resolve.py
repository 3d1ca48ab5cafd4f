"""Characters of which nobody knows what came of them: an operator lists them, and says what did."""

from __future__ import annotations

from hfgateway.admin.v1 import admin_service_pb2 as pb
from tests.characters.conftest import Studio, order
from tests.support import operator

TENANT = "default"


async def unresolved(studio: Studio, *, taken: bool) -> None:
    """The order of Anna, whose answer was lost and which is not to be found."""
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


async def test_one_that_was_not_taken_may_be_ordered_again_under_its_key(studio: Studio) -> None:
    await unresolved(studio, taken=False)
    assert await listed(studio) == [(TENANT, "key-of-Anna", "Anna")]
    await operator.ask(studio, "ResolveCharacter", resolution(not_taken={}))
    assert await listed(studio) == []
    answer = await studio.create()
    assert not answer.replayed
    assert studio.paid == [answer.character.id]


async def test_one_that_was_taken_is_bound(studio: Studio) -> None:
    await unresolved(studio, taken=True)
    (paid,) = studio.paid
    await operator.ask(studio, "ResolveCharacter", resolution(character_id=paid))
    assert await listed(studio) == []
    answer = await studio.create()
    assert (answer.replayed, answer.character.id) == (True, paid)
    assert studio.paid == [paid]


async def test_what_stands_against_it_is_refused(studio: Studio) -> None:
    before = await studio.make_elsewhere("Anna")
    await unresolved(studio, taken=False)
    other = await studio.create("Berta")
    refused = [
        await operator.refused(studio, "ResolveCharacter", request)
        for request in (
            resolution(),
            resolution(character_id=before),
            resolution(character_id=other.character.id),
            resolution(character_id="nobody-knows-it"),
            pb.ResolveCharacterRequest(tenant=TENANT, idempotency_key="key-of-Berta", not_taken={}),
            pb.ResolveCharacterRequest(tenant="another", idempotency_key="key-of-Anna", not_taken={}),
        )
    ]
    assert refused == ["INVALID_ARGUMENT"] * 5 + ["NOT_FOUND"]
    assert await listed(studio) == [(TENANT, "key-of-Anna", "Anna")]


async def test_by_the_command_line(studio: Studio) -> None:
    await unresolved(studio, taken=False)
    done = await operator.command(studio, "unresolved", "list")
    assert done.out.split("\t")[:3] == ["character", TENANT, "key-of-Anna"]
    done = await operator.command(studio, "unresolved", "character", TENANT, "key-of-Anna", "--not-taken")
    assert (done.code, done.out) == (0, "resolved\n")
    assert await listed(studio) == []
