"""Endpoints that are named by their path and form: what the typed inputs cannot express, and what no path reaches."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from gateway.catalog import builtin
from gateway.generations.inputs import ModelInput, violations
from gateway.generations.model import Api
from hfgateway.v1 import generation_input_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Running, keyframes, model, name_of
from tests.support.transports import RpcFailure, Transport

ID = "d7e6c0f3-6699-4f6c-bb45-2ad7fd9158ff"
PORTRAIT = {"type": "image_url", "image_url": "https://files.example/portrait.png"}
SPEECH = {"type": "audio_url", "audio_url": "https://files.example/speech.wav"}
API_VERSIONS: dict[Api, int] = {"v1": generation_input_pb2.API_VERSION_V1, "v2": generation_input_pb2.API_VERSION_V2}


def endpoint(api: Api, path: str, key: str = "k", **parameters: Any) -> pb.SubmitGenerationRequest:
    request = model(path, parameters, key)
    request.input.model.api_version = API_VERSIONS[api]
    return request


async def test_an_endpoint_of_v1_without_a_typed_input_is_generated_once(running: Running, client: Transport) -> None:
    request = endpoint("v1", "v1/text2image/keyframes", prompt="a fox", count=2, image_references=[PORTRAIT], seed=None)
    generation = (await client.call("SubmitGeneration", request)).generation
    assert (generation.model_id, name_of(generation)) == ("v1/text2image/keyframes", "QUEUED")
    assert generation.input == request.input

    ended = await running.finish(generation.id)
    again: pb.SubmitGenerationResponse = await client.call("SubmitGeneration", request)

    assert [bool(output.url and output.preview_url and output.job_id) for output in ended.outputs] == [True, True]
    assert MessageToDict((await running.get(generation.id)).used_input)["count"] == 2
    assert (again.replayed, again.generation.id) == (True, generation.id)
    sent = running.sandbox.state.generation(generation.upstream.request_id)
    assert sent is not None
    assert sent.parameters == {"prompt": "a fox", "count": 2, "image_references": [PORTRAIT], "seed": None}
    assert len(running.ledger.submissions) == len(running.ledger.charges) == 1
    assert running.ledger.submissions[0].idempotency_key is None


BEYOND: list[tuple[str, Api, str, dict[str, Any]]] = [
    ("DopVariant", "v1", "v1/image2video/dop", {"model": "dop-preview", "input_images": [PORTRAIT]}),
    ("SoulInput.width", "v1", "v1/text2image/soul", {"width_and_height": "2048x1152", "quality": "720p", "seed": 0}),
    ("SpeakInput", "v1", "v1/speak/higgsfield", {"input_image": PORTRAIT, "input_audio": SPEECH, "seed": 0}),
    ("a path of v1 without v1/", "v1", "generate/kling-2-5", {"model": "kling-v2-5-turbo"}),
    ("SoulInput.seed", "v2", "higgsfield-ai/soul/standard", {"seed": None}),
]


@pytest.mark.parametrize(("api", "path", "parameters"), [r[1:] for r in BEYOND], ids=[r[0] for r in BEYOND])
async def test_values_that_the_typed_inputs_refuse_can_be_sent(
    running: Running, api: Api, path: str, parameters: dict[str, Any]
) -> None:
    submitted = await running.submit(endpoint(api, path, prompt="a fox", **parameters))
    ended = await running.finish(submitted.id)
    assert (ended.model_id, name_of(ended), bool(ended.outputs[0].url)) == (path, "COMPLETED", True)
    sent = running.sandbox.state.generation(ended.upstream.request_id)
    assert sent is not None
    assert sent.parameters == {"prompt": "a fox", **parameters}


SPEAK_ULTRA = {"input_image": PORTRAIT, "input_audio": SPEECH, "quality": "ultra"}
UNKNOWN: list[tuple[str, Api, str, dict[str, Any], tuple[str, ...]]] = [
    ("SoulVersion", "v2", "higgsfield-ai/soul/v3/standard", {}, ("MODEL_UNKNOWN",)),
    ("DopVariant", "v2", "higgsfield-ai/dop/preview", {}, ("MODEL_UNKNOWN",)),
    ("SpeakQuality", "v1", "v1/speak/higgsfield", SPEAK_ULTRA, ("INPUT_REFUSED", "input.model.parameters.quality")),
    ("ApiVersion", "v2", "v3/text2video/tomorrow", {}, ("MODEL_UNKNOWN",)),
]


@pytest.mark.parametrize(("api", "path", "parameters", "answer"), [r[1:] for r in UNKNOWN], ids=[r[0] for r in UNKNOWN])
async def test_a_value_that_no_enum_has_is_judged_by_higgsfield(
    running: Running, api: Api, path: str, parameters: dict[str, Any], answer: tuple[str, ...]
) -> None:
    with pytest.raises(RpcFailure) as raised:
        await running.submit(endpoint(api, path, prompt="a fox", **parameters))
    assert (raised.value.reason, *raised.value.fields) == answer
    (sent,) = running.ledger.submissions
    assert (sent.prompt, sent.idempotency_key is None) == ("a fox", api == "v1")


async def test_the_form_of_an_endpoint_belongs_to_the_key(running: Running) -> None:
    await running.submit(endpoint("v1", "generate/kling-2-5", prompt="a fox", model="kling-v2-5-turbo"))
    with pytest.raises(RpcFailure) as raised:
        await running.submit(endpoint("v2", "generate/kling-2-5", prompt="a fox", model="kling-v2-5-turbo"))
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert len(running.ledger.submissions) == 1


async def test_an_endpoint_of_v1_has_no_price(running: Running, client: Transport) -> None:
    with pytest.raises(RpcFailure) as raised:
        await client.call("EstimateGeneration", pb.EstimateGenerationRequest(input=keyframes("a fox").input))
    assert (raised.value.reason, raised.value.fields) == ("INVALID_INPUT", ["input.model.api_version"])


async def test_a_job_set_of_another_path_is_followed_where_it_is_served(running: Running) -> None:
    running.plan(on="status", status=405, body={"detail": "Method Not Allowed"})
    submitted = await running.submit(endpoint("v1", "generate/kling-2-5", prompt="a fox", model="kling-v2-5-turbo"))
    assert name_of(await running.finish(submitted.id)) == "COMPLETED"


# -- Paths that no caller may name -------------------------------------------------------------------------------------


async def test_no_path_reaches_another_part_of_the_api(running: Running) -> None:
    """Each route of the sandbox except submissions, in every version, and with any id."""
    runner = running.sandbox._runner
    assert runner is not None
    routes = [route for route in runner.app.router.routes() if route.resource is not None]
    paths = {
        route.resource.canonical.replace("{model}", "a/b").format_map(_AnyId()).strip("/")
        for route in routes
        if route.resource is not None and (route.name or "").removeprefix("v1.") != "submit"
    }
    paths -= {path for path in paths if path.startswith(("__", "media", "storage"))}  # outside the API
    assert {"v1/custom-references", f"requests/{ID}/cancel", "estimate/a/b", "v1/agent/sessions"} <= paths
    for path in paths:
        bare = path.removeprefix("v1/")
        for named in (path, bare, f"v1/{bare}", f"v2/{bare}", f"v3/{bare}", f"api/{bare}"):
            for api in API_VERSIONS:
                fields = [one.field for one in violations(ModelInput(named, {}, api))]
                assert "input.model.model_id" in fields, (api, named)


@pytest.mark.parametrize(
    "path", ["a//b", "a/../b", "a/./b", "a/b/", "A/b", "a%2fb", "a\\b", "a;b", "a b", "a\0", "a@b", "é"]
)
def test_a_path_has_plain_segments_in_either_form(path: str) -> None:
    for api in API_VERSIONS:
        assert [one.field for one in violations(ModelInput(path, {}, api))] == ["input.model.model_id"]


@pytest.mark.parametrize(
    ("path", "rule"),
    [("a" * 201, "200 characters"), ("_a/b", "begin with a letter or digit"), ("a/b..c", "without '..'")],
)
def test_a_refused_path_is_told_the_rule_that_it_breaks(path: str, rule: str) -> None:
    (wrong,) = violations(ModelInput(path, {}, "v2"))
    assert rule in wrong.description


def test_neither_an_object_nor_a_collection_of_v1_can_be_named() -> None:
    for path in (f"v4/jobs/{ID}/stop", f"v4/jobs/{ID.replace('-', '')}/stop", "v1", "v1/elements"):
        assert violations(ModelInput(path, {}, "v1"))


def test_every_built_in_model_can_be_named() -> None:
    assert not [name for name in builtin.models() if violations(ModelInput(name, {}))]


class _AnyId(dict[str, str]):
    """Returns an id for every placeholder of a route."""

    def __missing__(self, name: str) -> str:
        return ID
