"""Constructors of inputs and requests, and local media in inputs."""

import asyncio
import io
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clients.python.tests.scripted_gateway import ScriptedGateway, generation, refusal
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.character_service_pb2 import CreateCharacterResponse
from hfgateway.v1.upload_service_pb2 import UploadMediaResponse
from hfgateway_client import (
    AnyInput,
    AsyncClient,
    Client,
    GenerationInput,
    LocalInput,
    dop,
    errors,
    model,
    soul,
    speak,
)
from hfgateway_client.requests import generation_filter, timestamp

ROOT = Path(__file__).resolve().parents[3]


def test_dop_accepts_a_single_image() -> None:
    assert dop("zoom", "https://a.test/1.png") == dop("zoom", ["https://a.test/1.png"])


URL = "https://a.test/1.png"


def test_an_input_with_urls_only_is_a_message() -> None:
    for input in (soul("x", image_reference_url=URL), dop("x", [URL], end_image_url=URL), speak(URL, URL, "x")):
        assert isinstance(input, GenerationInput)
    assert dop("zoom", (url for url in [URL])) == dop("zoom", URL)


def test_parameters_can_be_keywords_or_a_mapping() -> None:
    parameters = {"prompt": "x", "with-dash": [1]}
    assert model("a/b", {"prompt": "x"}) == model("a/b", prompt="x")
    assert model("a/b", parameters, "v1") == model("a/b", "v1", **parameters)


def test_a_str_is_a_url_even_if_it_names_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(b"secret")
    for input in (dop("x", str(path)), soul("x", image_reference_url=str(path)), model("a/b", image_url=str(path))):
        assert isinstance(input, GenerationInput)


LOCAL: dict[str, tuple[Callable[[Any], AnyInput], int, GenerationInput]] = {
    "soul": (lambda media: soul("x", image_reference_url=media), 1, soul("x", image_reference_url="u1")),
    "dop": (lambda media: dop("x", media), 1, dop("x", "u1")),
    "dop of several": (
        lambda media: dop("x", [media, URL, media], end_image_url=media),
        3,
        dop("x", ["u1", URL, "u2"], end_image_url="u3"),
    ),
    "speak": (lambda media: speak(media, media, "x"), 2, speak("u1", "u2", "x")),
    "model": (
        lambda media: model("a/b", "v1", image_url=media, more={"list": [URL, media]}, number=1),
        2,
        model("a/b", "v1", image_url="u1", more={"list": [URL, "u2"]}, number=1),
    ),
}
MEDIA: dict[str, Any] = {
    "a path": Path("picture.png"),
    "bytes": b"picture",
    "an open file": io.BytesIO(b"picture"),
    "an image": Image.new("RGB", (2, 2)),
}


@pytest.mark.parametrize("media", MEDIA)
@pytest.mark.parametrize("name", LOCAL)
def test_an_input_with_local_media_becomes_a_message_after_their_upload(name: str, media: str) -> None:
    build, count, expected = LOCAL[name]
    input = build(MEDIA[media])
    assert isinstance(input, LocalInput)
    assert input.media == [MEDIA[media]] * count
    input.urls.update((number, f"u{number + 1}") for number in range(count))
    assert input.message() == input.message() == expected


async def test_local_media_are_uploaded_first_and_only_once(
    gateway: ScriptedGateway, client: AsyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"picture")
    away = refusal("UNAVAILABLE", "UPSTREAM_UNAVAILABLE", retry_delay=0.01)
    refused = refusal("INVALID_ARGUMENT", "INPUT_REFUSED")
    gateway.on("UploadMedia", UploadMediaResponse(url="u1"), away, UploadMediaResponse(url="u2"))
    gateway.on("EstimateGeneration", pb.EstimateGenerationResponse(description="free"))
    response = pb.SubmitGenerationResponse(generation=generation("QUEUED", 1))
    gateway.on("SubmitGeneration", refused, response)
    input = speak(path, b"RIFF\0\0\0\0WAVE", "x")

    await client.estimate(input)
    with pytest.raises(errors.InputRefused):
        await client.submit(input, idempotency_key="key")
    await client.submit(input, idempotency_key="key")

    expected = speak("u1", "u2", "x")
    assert [request.input for request in gateway.requests["SubmitGeneration"]] == [expected, expected]
    assert [request.input for request in gateway.requests["EstimateGeneration"]] == [expected]
    assert [parts[0].header.content_type for parts in gateway.requests["UploadMedia"]] == [
        "image/png", "audio/wav", "audio/wav",
    ]  # fmt: skip


async def test_generate_of_the_synchronous_client_uploads_local_media_first(gateway: ScriptedGateway) -> None:
    gateway.on("UploadMedia", UploadMediaResponse(url="u1"))
    done = generation("COMPLETED", 2)
    gateway.on("SubmitGeneration", pb.SubmitGenerationResponse(generation=done))
    with Client(gateway.address) as client:
        assert (await asyncio.to_thread(client.generate, dop("x", MEDIA["an image"]))) == done
    assert [request.input for request in gateway.requests["SubmitGeneration"]] == [dop("x", "u1")]


async def test_every_submission_has_a_key_and_an_empty_key_is_not_replaced(gateway: ScriptedGateway) -> None:
    stored = pb.SubmitGenerationResponse(generation=generation("PENDING", 1))
    gateway.on("SubmitGeneration", stored, stored, stored)
    async with AsyncClient(gateway.address) as client:
        for key in (None, None, ""):
            await client.submit(soul("x"), idempotency_key=key, wait_for="stored", wait_timeout=0.25)
    requests = gateway.requests["SubmitGeneration"]
    assert [request.wait_timeout.ToMilliseconds() for request in requests] == [250] * 3
    assert not any(request.HasField("start_timeout") for request in requests)
    assert len({request.idempotency_key for request in requests} - {""}) == 2
    assert requests[2].idempotency_key == ""


async def test_a_text_in_place_of_several_is_one_and_not_its_characters(gateway: ScriptedGateway) -> None:
    filter = generation_filter(ids="g1", states="queued", model_ids="m1", upstream_request_ids="r1")
    assert filter == generation_filter(ids=["g1"], states=["queued"], model_ids=["m1"], upstream_request_ids=["r1"])
    gateway.on("CreateCharacter", CreateCharacterResponse())
    async with AsyncClient(gateway.address) as client:
        await client.create_character("Ann", "https://example.com/ann.jpg")
    (request,) = gateway.requests["CreateCharacter"]
    assert request.image_urls == ["https://example.com/ann.jpg"]


def test_a_datetime_without_time_zone_is_refused() -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    filter = generation_filter(created_after=time)
    assert filter.created_after.ToDatetime(UTC) == time
    assert not filter.HasField("created_before")
    with pytest.raises(ValueError, match="no time zone"):
        timestamp(time.replace(tzinfo=None))


def test_the_generated_synchronous_client_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "unasync.py"), "--check"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stderr == ""
