"""`hfgateway characters`: upload, create once, follow, show."""

import json
from pathlib import Path

from clients.python.tests.scripted_gateway import ScriptedGateway, refusal
from clients.python.tests.test_characters import change, character, created
from hfgateway.v1 import character_service_pb2 as pb
from hfgateway.v1.generation_input_pb2 import SOUL_VERSION_V2
from hfgateway.v1.upload_service_pb2 import UploadMediaResponse
from tests.cli.conftest import Command

URL = "https://cdn.test/a.jpg"


async def test_create_uploads_files_and_prints_the_id(
    gateway: ScriptedGateway, hfgateway: Command, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    gateway.on("UploadMedia", UploadMediaResponse(url="https://cdn.test/uploaded"))
    gateway.on("CreateCharacter", created())

    ended = await hfgateway("characters", "create", "Anna", URL, str(photo), "--version", "v2", "--key", "mine")

    assert (ended.code, ended.out) == (0, "c1\n")
    (request,) = gateway.requests["CreateCharacter"]
    assert list(request.image_urls) == [URL, "https://cdn.test/uploaded"]
    assert (request.name, request.version, request.idempotency_key) == ("Anna", SOUL_VERSION_V2, "mine")
    (parts,) = gateway.requests["UploadMedia"]
    assert (parts[0].header.content_type, parts[1].chunk) == ("image/jpeg", b"a photo")


async def test_create_with_wait_follows_the_training(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [change("QUEUED"), change("IN_PROGRESS"), change("COMPLETED")])
    ended = await hfgateway("characters", "create", "Anna", URL, "--wait")
    assert (ended.code, ended.out) == (0, "c1\n")
    assert [line.split()[0] for line in ended.err.splitlines()] == ["QUEUED", "IN_PROGRESS", "COMPLETED"]


async def test_a_training_that_cannot_be_followed_is_not_called_refused(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on(
        "WatchCharacter", [change("QUEUED"), refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS", "the key was revoked")]
    )
    ended = await hfgateway("characters", "create", "Anna", URL, "--wait", "--key", "mine")
    assert (ended.code, ended.out) == (5, "")
    assert "Idempotency key: mine" in ended.err
    assert ended.err.endswith("The training continues. Watch it with: hfgateway characters watch c1\n")


async def test_a_training_of_a_deleted_character_has_ended(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [change("QUEUED"), refusal("NOT_FOUND", "NOT_FOUND", "there is no character c1")])
    ended = await hfgateway("characters", "create", "Anna", URL, "--wait")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.endswith("error: the character was deleted\n")


async def test_a_refused_repetition_of_a_lost_order_is_no_refusal(gateway: ScriptedGateway, hfgateway: Command) -> None:
    revoked = refusal("UNAUTHENTICATED", "INVALID_CREDENTIALS", "the API key was revoked")
    gateway.on("CreateCharacter", refusal("UNAVAILABLE", "GATEWAY_UNAVAILABLE", "is stopping"), revoked)
    ended = await hfgateway("characters", "create", "Anna", URL, "--key", "mine")
    assert ended.code == 5
    assert ended.err.endswith("--key mine\n")


async def test_json_prints_one_line_per_change(gateway: ScriptedGateway, hfgateway: Command) -> None:
    gateway.on("CreateCharacter", created())
    gateway.on("WatchCharacter", [change("QUEUED"), change("FAILED")])
    ended = await hfgateway("characters", "create", "Anna", URL, "--wait", "--json")
    assert ended.code == 1
    states = [json.loads(line)["state"] for line in ended.out.splitlines()]
    assert states == ["CHARACTER_STATE_QUEUED", "CHARACTER_STATE_FAILED"]


async def test_an_unresolved_creation_prints_the_command_to_repeat(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    unresolved = refusal("ABORTED", "SUBMISSION_UNRESOLVED", "nobody knows", retry_delay=60)
    gateway.on("CreateCharacter", unresolved)
    ended = await hfgateway("characters", "create", "Anna B", URL, "--key", "mine")
    assert ended.code == 5
    assert f"hfgateway characters create 'Anna B' {URL} --key mine" in ended.err


async def test_a_creation_whose_response_was_lost_prints_the_command_to_repeat(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    """The first response was lost, and then Higgsfield could not be asked for what the key has created."""
    away = refusal("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", "no usable response", retry_delay=60)
    gateway.on("CreateCharacter", gateway.cut, away)
    ended = await hfgateway("characters", "create", "Anna", URL)
    assert ended.code == 8
    key = gateway.requests["CreateCharacter"][0].idempotency_key
    assert f"hfgateway characters create Anna {URL} --key {key}" in ended.err


async def test_a_file_that_is_no_image_is_refused_before_any_upload(
    gateway: ScriptedGateway, hfgateway: Command, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    (tmp_path / "notes.txt").write_text("x")
    for wrong in ("notes.txt", "missing.jpg"):
        ended = await hfgateway("characters", "create", "Anna", str(tmp_path / "photo.jpg"), str(tmp_path / wrong))
        assert (ended.code, wrong in ended.err) == (2, True)
    assert gateway.requests == {}


async def test_list_prints_columns_and_get_prints_lines(gateway: ScriptedGateway, hfgateway: Command) -> None:
    one = character("QUEUED", version=SOUL_VERSION_V2, create_time={"seconds": 1_700_000_000})
    strange = character("COMPLETED")
    strange.name = "\x1b[31mred"
    gateway.on("ListCharacters", pb.ListCharactersResponse(characters=[one, strange]))
    ended = await hfgateway("characters", "list", "--limit", "7")
    assert [line.split("\t") for line in ended.out.splitlines()] == [
        ["c1", "QUEUED", "v2", "2023-11-14 22:13:20Z", "Anna"],
        ["c1", "COMPLETED", "", "", r"\x1b[31mred"],
    ]
    assert gateway.requests["ListCharacters"][0].page_size == 7

    gateway.on("GetCharacter", pb.GetCharacterResponse(character=one))
    shown = dict(line.split(maxsplit=1) for line in (await hfgateway("characters", "get", "c1")).out.splitlines())
    assert (shown["state"], shown["name"]) == ("QUEUED", "Anna")


async def test_watch_follows_a_training_and_delete_reports_failures(
    gateway: ScriptedGateway, hfgateway: Command
) -> None:
    gateway.on("GetCharacter", pb.GetCharacterResponse(character=character()))
    gateway.on("WatchCharacter", [change("QUEUED"), change("COMPLETED")])
    assert (await hfgateway("characters", "watch", "c1")).out == "c1\n"

    gateway.on("DeleteCharacter", pb.DeleteCharacterResponse(), refusal("NOT_FOUND", "NOT_FOUND", "no such character"))
    ended = await hfgateway("characters", "delete", "c1", "c2")
    assert (ended.code, "no such character" in ended.err) == (3, True)
    assert [request.id for request in gateway.requests["DeleteCharacter"]] == ["c1", "c2"]
