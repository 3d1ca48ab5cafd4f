"""`hfgateway upload`, and files as inputs of `generate` and `estimate`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clients.python.tests.scripted_gateway import ScriptedGateway, generation, refusal
from gateway.cli import connection
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.character_service_pb2 import CreateCharacterResponse
from hfgateway.v1.upload_service_pb2 import UploadMediaResponse
from tests.cli.conftest import Command

URL = "https://media.test/1"
STORED = UploadMediaResponse(url=URL, size=7, expire_time={"seconds": 1})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "start.png"
    path.write_bytes(b"picture")
    return path


async def test_upload_prints_only_the_url(gateway: ScriptedGateway, hfgateway: Command, picture: Path) -> None:
    gateway.on("UploadMedia", refusal("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", retry_delay=0.01), STORED, STORED)

    plain = await hfgateway("upload", str(picture))
    as_json = await hfgateway("upload", str(picture), "--type", "image/webp", "--json")

    assert (plain.code, plain.out, plain.err) == (0, f"{URL}\n", "")
    assert json.loads(as_json.out) == {"url": URL, "size": "7", "expireTime": "1970-01-01T00:00:01Z"}
    headers = [parts[0].header for parts in gateway.requests["UploadMedia"]]
    assert [(header.content_type, header.size) for header in headers] == [
        ("image/png", 7), ("image/png", 7), ("image/webp", 7),
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["upload", "generate", "characters"])
async def test_an_upload_is_repeated_after_the_delay_that_the_gateway_asks_for(
    gateway: ScriptedGateway, hfgateway: Command, picture: Path, command: str
) -> None:
    """It is longer than the time after which a gateway counts as unavailable."""
    away = refusal("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", retry_delay=connection._RESPONSE_TIMEOUT + 0.1)
    gateway.on("UploadMedia", away, STORED)
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=generation("COMPLETED", 2)))
    gateway.on("CreateCharacter", CreateCharacterResponse(character={"id": "c1"}))
    arguments = {"generate": ("zoom in", "--dop", "--image"), "characters": ("create", "Ann")}

    ended = await hfgateway(command, *arguments.get(command, ()), str(picture))

    assert (ended.code, len(gateway.requests["UploadMedia"])) == (0, 2)


async def test_a_key_that_may_not_read_may_upload(gateway: ScriptedGateway, hfgateway: Command, picture: Path) -> None:
    gateway.unscripted["ListGenerations"] = refusal("PERMISSION_DENIED", "NOT_ALLOWED")
    gateway.on("UploadMedia", STORED)
    assert (await hfgateway("upload", str(picture))).out == f"{URL}\n"


async def test_a_refused_upload_prints_one_line(gateway: ScriptedGateway, hfgateway: Command, tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.write_bytes(b"words")
    ended = await hfgateway("upload", str(strange))
    assert (ended.code, ended.out) == (2, "")
    assert "--type" in ended.err

    gateway.on("UploadMedia", refusal("INVALID_ARGUMENT", "INPUT_REFUSED", "no such type"))
    ended = await hfgateway("upload", str(strange), "--type", "text/plain")
    assert (ended.code, ended.out, ended.err) == (3, "", "error: INPUT_REFUSED: no such type\n")

    assert (await hfgateway("upload", str(tmp_path / "none.png"))).code == 2


async def test_generate_uploads_its_input_files(gateway: ScriptedGateway, hfgateway: Command, picture: Path) -> None:
    gateway.on("UploadMedia", STORED)
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=generation("COMPLETED", 2)))

    ended = await hfgateway("generate", "zoom in", "--dop", "--image", str(picture), "--image", "https://a.test/2")

    assert ended.code == 0
    assert f"uploaded {picture} as {URL}" in ended.err
    (request,) = gateway.requests["SubmitGeneration"]
    assert list(request.input.dop.image_urls) == [URL, "https://a.test/2"]


async def test_an_unresolved_submission_asks_to_repeat_with_the_links(
    gateway: ScriptedGateway, hfgateway: Command, picture: Path
) -> None:
    gateway.on("UploadMedia", STORED)
    gateway.on("SubmitGeneration", refusal("ABORTED", "SUBMISSION_UNRESOLVED", "no answer", retry_delay=60))

    ended = await hfgateway("generate", "x", "--image", str(picture), "--key", "order-7")

    assert ended.code == 5
    assert "repeat this command with --key order-7, with the URLs in place of the files" in ended.err


async def test_a_failed_upload_submits_nothing(gateway: ScriptedGateway, hfgateway: Command, picture: Path) -> None:
    gateway.on("UploadMedia", refusal("INVALID_ARGUMENT", "INPUT_REFUSED", "no such type"))

    ended = await hfgateway("generate", "x", "--image", str(picture))

    assert (ended.code, ended.out) == (3, "")
    assert "SubmitGeneration" not in gateway.requests


async def test_estimate_uploads_its_input_files(gateway: ScriptedGateway, hfgateway: Command, picture: Path) -> None:
    gateway.on("UploadMedia", STORED, STORED)
    gateway.on("EstimateGeneration", pb.EstimateGenerationResponse(description="free"))

    speech = picture.with_suffix(".wav")
    speech.write_bytes(b"speech")
    ended = await hfgateway("estimate", "x", "--speak", "--image", str(picture), "--audio", str(speech))

    assert (ended.code, ended.out) == (0, "free\n")
    assert gateway.requests["EstimateGeneration"][0].input.speak.audio_url == URL


async def test_a_file_of_another_kind_is_not_uploaded(
    gateway: ScriptedGateway, hfgateway: Command, picture: Path
) -> None:
    speech = picture.with_suffix(".wav")
    speech.write_bytes(b"speech")
    for image, audio, complaint in (
        (picture, picture, "has the name of a file of image/png"),
        (speech, speech, "has the name of a file of audio/"),
    ):
        ended = await hfgateway("generate", "x", "--speak", "--image", str(image), "--audio", str(audio))
        assert (ended.code, ended.out) == (2, "")
        assert complaint in " ".join(ended.err.split())
    assert gateway.requests == {}


async def test_a_missing_input_file_is_a_usage_error(hfgateway: Command) -> None:
    encoded = "iVBORw0KGgo" * 100  # an image itself in place of its file, which is too long for the name of one
    for arguments in (
        ("generate", "x", "--image", "no-such-file.png"),
        ("generate", "x", "--image", encoded),
        ("characters", "create", "Anna", encoded),
    ):
        ended = await hfgateway(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert "Traceback" not in ended.err
        assert re.search("neither a (URL nor a )?file", ended.err)
