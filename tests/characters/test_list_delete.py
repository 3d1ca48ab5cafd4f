"""ListCharacters with its pages, DeleteCharacter, and the isolation of tenants."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import ResourceInfo

from gateway.characters.model import Character
from gateway.characters.ports import Listing
from gateway.higgsfield.characters import HiggsfieldCharacters
from hfgateway.v1 import character_service_pb2 as pb
from tests.characters.conftest import StartStudio, Studio, order
from tests.support.commits import commits
from tests.support.running import soul
from tests.support.transports import Transport

UNKNOWN = "0199aaaa-0000-4000-8000-000000000000"


async def several(studio: Studio, count: int) -> list[str]:
    ids = []
    for number in range(count):
        ids.append(await studio.create_directly(f"character {number}"))
        studio.clock.advance(1)
    return ids


async def test_a_list_has_pages_newest_first(studio: Studio, client: Transport) -> None:
    ids = await several(studio, 5)
    request, seen = pb.ListCharactersRequest(page_size=2), []
    for size in (2, 2, 1):
        page = await client.call("ListCharacters", request)
        assert len(page.characters) == size
        seen += [character.id for character in page.characters]
        request.page_token = page.next_page_token
    assert seen == ids[::-1]
    assert request.page_token == ""


async def test_a_page_has_at_most_2_mib(studio: Studio, client: Transport) -> None:
    ids = [f"0199aaaa-0000-4000-8000-{number:012d}" for number in range(60)]
    items = [{"id": id, "name": "Anna", "status": "completed", "notes": "x" * 45_000} for id in ids]
    for page in (items[:20], items[20:40], items[40:]):
        studio.plan(on="characters", patch={"items": page, "total": 60, "total_pages": 3})
    request, pages = pb.ListCharactersRequest(page_size=500), []
    while True:
        page = await client.call("ListCharacters", request)
        pages.append(page)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [len(page.characters) for page in pages] == [46, 14]
    assert [page.total_size for page in pages] == [60, 60]
    assert [character.id for page in pages for character in page.characters] == ids[::-1]


async def test_each_page_has_the_number_of_the_tenants_characters(start: StartStudio) -> None:
    studio = await start(AUTH="keys")
    red, blue = [studio.caller("grpc", await studio.key(tenant)) for tenant in ("red", "blue")]
    for name in ("one", "two", "three"):
        await studio.create(name, f"key of {name}".replace(" ", "-"), red)
    await studio.create("four", by=blue)
    for client, total in ((red, 3), (blue, 1)):
        request = pb.ListCharactersRequest(page_size=2)
        while True:
            page = await client.call("ListCharacters", request)
            assert page.total_size == total
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token


async def test_other_values_of_a_character_are_kept(studio: Studio, client: Transport) -> None:
    character = (await studio.create()).character
    # The sandbox's date would be kept as well if it had no milliseconds: messages have it without zeros at the end.
    dates = {"created_at": "2026-11-20T09:00:00.125Z", "in_progress_at": "2026-11-20T09:00:00Z"}
    usage = {"images": 12, "credits": "40.0", "serial": 2**60 + 1}
    studio.plan(on="character", patch=dates | {"usage": usage}, processed=True)
    seen = (await client.call("GetCharacter", pb.GetCharacterRequest(id=character.id))).character
    assert MessageToDict(seen.extra) == {
        "usage": {"images": 12.0, "credits": "40.0", "serial": "1152921504606846977"},
        "in_progress_at": "2026-11-20T09:00:00Z",
    }


async def test_the_upstream_list_is_read_in_pages_and_cached_briefly(studio: Studio) -> None:
    await several(studio, 45)
    assert len(await studio.names()) == 45
    await studio.create_directly("the 46th")
    assert len(await studio.names()) == 45
    studio.ahead += 5
    assert (await studio.names())[0] == "the 46th"
    studio.clock.advance(1)
    await studio.create("the 47th")
    assert (await studio.names())[0] == "the 47th"


async def test_an_upstream_list_that_changes_during_a_read_is_read_again(studio: Studio) -> None:
    await several(studio, 3)
    studio.plan(on="characters", patch={"total": 4})
    assert len(await studio.names()) == 3


async def test_an_upstream_list_with_one_character_twice_misses_another_and_is_read_again(studio: Studio) -> None:
    await several(studio, 2)
    listed = await studio.call_higgsfield("GET", "/list")
    studio.plan(on="characters", body=listed | {"items": [listed["items"][0]] * 2})
    assert len(await studio.names()) == 2


async def test_calls_that_need_the_list_at_once_share_one_request(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    await several(studio, 1)
    read, reads = HiggsfieldCharacters.listing, []

    async def counted(self: HiggsfieldCharacters) -> Listing:
        reads.append(self)
        return await read(self)

    monkeypatch.setattr(HiggsfieldCharacters, "listing", counted)
    with studio.held(on="characters"):
        listing = [asyncio.create_task(studio.names()) for _ in range(3)]
        await studio.calls_open("ListCharacters", 3, "CharacterService")
    assert [len(names) for names in await asyncio.gather(*listing)] == [1, 1, 1]
    assert len(reads) == 1


async def test_an_upstream_list_that_keeps_changing_is_unavailable(studio: Studio) -> None:
    studio.plan(on="characters", patch={"total": 4}, times=3)
    refused = await studio.refused("ListCharacters", pb.ListCharactersRequest())
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert await studio.names() == []


async def test_invalid_page_fields_are_refused(studio: Studio) -> None:
    for request, field in (
        (pb.ListCharactersRequest(page_size=-1), "page_size"),
        (pb.ListCharactersRequest(page_token="AAAA"), "page_token"),
    ):
        assert (await studio.refused("ListCharacters", request)).fields == [field]


async def test_malformed_items_do_not_hide_the_others(studio: Studio) -> None:
    item = {
        "id": UNKNOWN.upper(),
        "name": "a\u0000b \ud800",
        "status": "paused",
        "model_version": "v7",
        "created_at": 5,
    }
    items = [item, {"id": "../list"}, {"id": 7}, None, {"id": "list"}]
    studio.plan(on="characters", body={"items": items, "total": 5}, processed=True)
    (found,) = (await studio.grpc.call("ListCharacters", pb.ListCharactersRequest())).characters
    assert (found.id, found.name, found.state, found.version) == (UNKNOWN, "a\u0000b ?", 0, 0)
    assert not found.done


async def test_a_deleted_character_is_not_found_and_its_key_stays_used(studio: Studio, client: Transport) -> None:
    character = (await studio.create(by=client)).character
    request = pb.DeleteCharacterRequest(id=character.id)
    for _ in range(2):
        await client.call("DeleteCharacter", request)
    gone = await studio.refused("GetCharacter", pb.GetCharacterRequest(id=character.id), client)
    assert (gone.code, gone.reason) == ("NOT_FOUND", "NOT_FOUND")
    assert gone.detail(ResourceInfo).resource_type == "hfgateway.v1.SoulCharacter"
    assert await studio.names(client) == []
    assert (await studio.call_higgsfield("GET", "/list"))["total"] == 0

    reused = await studio.refused("CreateCharacter", order(), client)
    assert (reused.code, reused.reason) == ("FAILED_PRECONDITION", "IDEMPOTENCY_KEY_REUSED")
    assert studio.sent == ["Anna"]


async def test_a_deleted_character_that_higgsfield_still_lists_is_not_listed(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    listed = await studio.call_higgsfield("GET", "/list")
    await studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character_id))
    studio.plan(on="characters", body=listed)
    page = await studio.grpc.call("ListCharacters", pb.ListCharactersRequest())
    assert (list(page.characters), page.total_size) == ([], 0)


async def test_deleting_again_is_ok_after_a_restart(studio: Studio) -> None:
    elsewhere, here = await studio.create_directly("Bo"), (await studio.create()).character.id
    for character_id in (elsewhere, here):
        await studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character_id))
    await studio.stop_gateway()
    await studio.start_gateway()
    for character_id in (elsewhere, here):
        await studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character_id))
        assert (await studio.refused("GetCharacter", pb.GetCharacterRequest(id=character_id))).code == "NOT_FOUND"


async def test_a_deletion_with_a_lost_response_can_be_repeated(studio: Studio) -> None:
    for character_id in (await studio.create_directly("Bo"), (await studio.create()).character.id):
        studio.ahead += 15
        studio.plan(on="delete_character", kind="502", processed=True)
        request = pb.DeleteCharacterRequest(id=character_id)
        assert (await studio.refused("DeleteCharacter", request)).code == "UNAVAILABLE"
        await studio.grpc.call("DeleteCharacter", request)


async def test_a_deletion_that_fails_after_another_one_does_not_undo_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    character_id = await studio.create_directly("Bo")
    assert await studio.names() == ["Bo"]
    request, find = pb.DeleteCharacterRequest(id=character_id), HiggsfieldCharacters.find

    async def find_before_another_deletion(self: HiggsfieldCharacters, character_id: str) -> Character | None:
        monkeypatch.undo()
        found = await find(self, character_id)
        await studio.grpc.call("DeleteCharacter", request)
        studio.plan(on="delete_character", kind="500")
        return found

    monkeypatch.setattr(HiggsfieldCharacters, "find", find_before_another_deletion)
    assert (await studio.refused("DeleteCharacter", request)).code == "UNAVAILABLE"
    assert await studio.names() == []


async def test_a_deletion_whose_caller_leaves_during_the_commit_takes_effect(studio: Studio) -> None:
    character_id = (await studio.create()).character.id
    with commits("character gone") as held:
        held.hold()
        deleting = asyncio.create_task(studio.grpc.call("DeleteCharacter", pb.DeleteCharacterRequest(id=character_id)))
        await held.reached()
        deleting.cancel()
        await studio.calls_open("DeleteCharacter", 0, "CharacterService")
    await studio.gateway._core.characters.drained()
    picture = soul("a portrait")
    picture.input.soul.character_id = character_id
    assert "was deleted" in (await studio.refused("SubmitGeneration", picture)).message


async def test_a_deletion_that_fails_at_higgsfield_is_not_reported_as_done(studio: Studio) -> None:
    character = (await studio.create()).character
    studio.plan(on="delete_character", kind="500")
    request = pb.DeleteCharacterRequest(id=character.id)
    assert (await studio.refused("DeleteCharacter", request)).code == "UNAVAILABLE"
    assert (await studio.show(character.id)).id == character.id
    assert (await studio.create()).replayed


async def test_a_new_character_that_higgsfield_does_not_show_yet_is_not_deleted(studio: Studio) -> None:
    character = (await studio.create()).character
    studio.plan(on="delete_character", kind="404")
    request = pb.DeleteCharacterRequest(id=character.id)
    refused = await studio.refused("DeleteCharacter", request)
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")
    assert await studio.names() == ["Anna"]
    await studio.grpc.call("DeleteCharacter", request)
    assert (await studio.call_higgsfield("GET", "/list"))["total"] == 0


async def test_deleting_an_unknown_character_is_not_found_each_time(studio: Studio) -> None:
    for _ in range(2):
        for name in (UNKNOWN, "list", "../requests", "x" * 500):
            refused = await studio.refused("DeleteCharacter", pb.DeleteCharacterRequest(id=name))
            assert (refused.code, refused.reason) == ("NOT_FOUND", "NOT_FOUND")
    assert (await studio.refused("DeleteCharacter", pb.DeleteCharacterRequest())).fields == ["id"]


async def test_an_html_404_of_a_proxy_is_not_a_missing_character(studio: Studio) -> None:
    character = (await studio.create()).character
    studio.plan(on="character", kind="html", status=404)
    refused = await studio.refused("GetCharacter", pb.GetCharacterRequest(id=character.id))
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")


async def test_a_response_about_another_character_is_not_believed(studio: Studio) -> None:
    character = (await studio.create()).character
    studio.plan(on="character", patch={"id": UNKNOWN}, processed=True)
    refused = await studio.refused("GetCharacter", pb.GetCharacterRequest(id=character.id))
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "UPSTREAM_UNAVAILABLE")


async def test_without_keys_all_characters_of_the_account_are_shown(studio: Studio) -> None:
    made = await studio.create_directly("from the console")
    assert (await studio.show(made)).name == "from the console"
    await studio.create("Anna")
    assert set(await studio.names()) == {"from the console", "Anna"}


async def test_with_keys_a_tenant_sees_only_its_characters(start: StartStudio) -> None:
    studio = await start(AUTH="keys")
    red, blue = [studio.caller("grpc", await studio.key(tenant)) for tenant in ("red", "blue")]
    made = await studio.create_directly("from the console")
    his = (await studio.create("Anna", "one", red)).character
    hers = (await studio.create("Anna", "one", blue)).character
    assert his.id != hers.id
    assert [await studio.names(caller) for caller in (red, blue)] == [["Anna"], ["Anna"]]
    calls = studio.ledger.character_calls.total()
    for name in (made, his.id, his.id.upper()):
        for method, request in (
            ("GetCharacter", pb.GetCharacterRequest(id=name)),
            ("DeleteCharacter", pb.DeleteCharacterRequest(id=name)),
        ):
            assert (await studio.refused(method, request, blue)).code == "NOT_FOUND"
    assert studio.ledger.character_calls.total() == calls
    await studio.stop_gateway()
    await studio.start_gateway()
    red, blue = [studio.caller("grpc", await studio.key(tenant)) for tenant in ("red", "blue")]
    assert (await studio.show(his.id, red)).name == "Anna"
    assert (await studio.refused("GetCharacter", pb.GetCharacterRequest(id=his.id), blue)).code == "NOT_FOUND"
