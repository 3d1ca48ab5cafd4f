"""Parameters are checked against a model's schema before a charge: refusals, warnings, and unchecked models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2

from gateway.catalog import builtin
from gateway.catalog.model import Model, Origin
from gateway.generations.inputs import ModelInput
from gateway.generations.ports import Checked
from gateway.rpc.call import WARNING
from hfgateway.v1 import catalog_service_pb2 as catalog_pb
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_service_pb2_grpc import GenerationServiceStub
from hfgateway_client import AsyncClient, inputs
from tests.support.running import Running, eventually, model, run, soul
from tests.support.transports import TRANSPORTS, RpcFailure

Z_IMAGE = "z-image/turbo"
SHORT = {"properties": {"prompt": {"maxLength": 1}, "größe": {"type": "integer"}}}
"""A schema stricter than Higgsfield's."""
KNOWN_SHORT = builtin.BuiltIn(Model(Z_IMAGE, schema=SHORT), Origin.BUILT_IN, "a page", "2026-10-02")
PARAMETERS = "input.model.parameters"
DEEP = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "minLength": 2},
        "duration": {"type": "integer", "minimum": 4, "maximum": 15},
        "image_urls": {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 3},
        "shots": {"type": "array", "items": {"$ref": "#/$defs/Shot"}},
        "seed": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        "mode": {"const": "pro"},
        "style": {"type": "string"},
        "fps": {"type": "integer", "default": 25},
    },
    "required": ["prompt", "style", "fps"],
    "additionalProperties": False,
    "$defs": {"Shot": {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}},
}


WRONG = {
    ".prompt": "must have at least 2 characters",
    ".duration": "must be at least 4",
    ".image_urls[2]": "must be a string",
    ".shots[1].seconds": "must be a number",
    ".shots[2].seconds": "is required",
    ".seed": "must be at least 1",
    ".mode": "must be pro",
    ".style": "is required",
    ".colour": "is not a parameter of this model",
}
"""The expected violations of the next test."""


async def fetched(running: Running, *schemas: Any) -> None:
    """Fetch the models `test/0`, `test/1`, … with these schemas; without schemas, the sandbox's models."""
    if schemas:
        rows = [{"slug": f"test/{number}", "input_schema": schema} for number, schema in enumerate(schemas)]
        running.plan(on="models", body={"items": rows})
    await running.grpc.call("ListModels", catalog_pb.ListModelsRequest(page_size=1))


async def refusal(running: Running, request: Any, transport: str = "grpc") -> RpcFailure:
    method = type(request).__name__.removesuffix("Request")
    with pytest.raises(RpcFailure) as refused:
        await running.transports[transport].call(method, request)
    return refused.value


async def warnings_of(running: Running, request: pb.SubmitGenerationRequest) -> list[str]:
    """Submit over gRPC; return the warnings in the response metadata."""
    async with grpc.aio.insecure_channel(running.gateway.grpc_address) as channel:
        call = GenerationServiceStub(channel).SubmitGeneration(request)
        await call
        return [str(value) for name, value in await call.initial_metadata() if name == WARNING]


def submission(parameters: Mapping[str, Any], key: str = "key", model_id: str = "test/0") -> pb.SubmitGenerationRequest:
    return model(model_id, parameters, key)


# -- Refusals ----------------------------------------------------------------------------------------------------------


async def test_every_invalid_field_is_named_by_its_path_and_nothing_is_sent(running: Running) -> None:
    await fetched(running, DEEP)
    wrong = {
        "prompt": "x",
        "duration": 3,
        "image_urls": ["https://a.test/1", "https://a.test/2", 7],
        "shots": [{"seconds": 1}, {"seconds": "2"}, {}],
        "seed": 0,
        "mode": "std",
        "colour": "red",
    }

    for transport in TRANSPORTS:
        refused = await refusal(running, submission(wrong), transport)
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
        bad_request = refused.detail(error_details_pb2.BadRequest)
        violations = {one.field.removeprefix(PARAMETERS): one.description for one in bad_request.field_violations}
        assert violations == WRONG
    assert running.ledger.submissions == []
    assert not (await running.grpc.call("ListGenerations", pb.ListGenerationsRequest())).generations


async def test_an_estimate_is_refused_with_the_same_error(running: Running) -> None:
    await fetched(running)
    request = submission({"prompt": "", "resolution": "9k"}, model_id=Z_IMAGE)

    submitting = await refusal(running, request)
    estimating = await refusal(running, pb.EstimateGenerationRequest(input=request.input))

    assert submitting.fields == [f"{PARAMETERS}.prompt", f"{PARAMETERS}.resolution"]
    assert submitting.failure == estimating.failure


async def test_valid_parameters_are_submitted_without_warnings(running: Running) -> None:
    await fetched(running)
    assert await warnings_of(running, submission({"prompt": "a fox", "seed": 5}, model_id=Z_IMAGE)) == []
    assert len(running.ledger.charges) == 1


async def test_a_refusal_contains_no_values(running: Running) -> None:
    await fetched(running, {"properties": {"a": {"type": "integer"}, "b": {"enum": ["x"]}, "c": {"maxLength": 3}}})

    refused = await refusal(running, submission(dict.fromkeys("abc", "canary-of-a-value")))

    assert len(refused.fields) == 3
    assert "canary" not in str(refused.details)


async def test_a_known_key_is_replayed_though_the_schema_changed(running: Running, clock_offset: Any) -> None:
    request = submission({"prompt": "a fox"}, model_id=Z_IMAGE)
    first = await running.submit(request)
    await eventually(lambda: running.gateway._core.catalogs._cached["models"]._refreshing is None)
    clock_offset.seconds += 7200
    stricter = {"properties": {"prompt": {"maxLength": 1}}}
    running.plan(on="models", body={"items": [{"slug": Z_IMAGE, "input_schema": stricter}]})
    await running.grpc.call("ListModels", catalog_pb.ListModelsRequest(page_size=1))
    await eventually(lambda: running.gateway._core.catalogs._cached["models"]._refreshing is None)

    again = await running.grpc.call("SubmitGeneration", request)
    other_key = await refusal(running, submission({"prompt": "a fox"}, "other", Z_IMAGE))

    assert (again.replayed, again.generation.id) == (True, first.id)
    assert other_key.fields == [f"{PARAMETERS}.prompt"]
    assert len(running.ledger.charges) == 1


async def test_a_schema_still_refuses_after_a_restart(running: Running) -> None:
    await fetched(running, DEEP)
    await running.stop_gateway()
    running.plan(on="models", kind="503", times=100)
    await running.start_gateway()

    refused = await refusal(running, submission({"prompt": "xx", "style": "a", "duration": 99}))

    assert refused.fields == [f"{PARAMETERS}.duration"]
    assert running.ledger.list_calls == {"models": 1}


# -- Warnings ----------------------------------------------------------------------------------------------------------


async def test_a_schema_older_than_a_day_only_warns(running: Running, clock_offset: Any) -> None:
    running.plan(on="models", body={"items": [{"slug": Z_IMAGE, "input_schema": SHORT}]})
    await fetched(running)
    running.plan(on="models", kind="503", times=100)
    clock_offset.seconds += 86_000
    refused = await refusal(running, submission({"prompt": "a fox"}, "k1", Z_IMAGE))
    assert refused.fields == [f"{PARAMETERS}.prompt"]

    clock_offset.seconds += 800
    warned = await warnings_of(running, submission({"prompt": "a fox"}, "k2", Z_IMAGE))

    assert warned == [f"{PARAMETERS}.prompt: must have at most 1 characters"]
    assert len(running.ledger.charges) == 1


async def test_the_built_in_list_only_warns(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin.models(), Z_IMAGE, KNOWN_SHORT)
    running.plan(on="models", kind="503", times=100)

    warned = await warnings_of(running, submission({"prompt": "a fox"}, model_id=Z_IMAGE))

    assert warned == [f"{PARAMETERS}.prompt: must have at most 1 characters"]
    assert len(running.ledger.charges) == 1


async def test_the_python_client_returns_warnings(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin.models(), Z_IMAGE, KNOWN_SHORT)
    running.plan(on="models", kind="503", times=100)
    estimated: list[str] = []

    async with AsyncClient(running.gateway.grpc_address) as client:
        submitted = await client.submit(inputs.model(Z_IMAGE, prompt="a fox"))
        await client.estimate(inputs.model(Z_IMAGE, prompt="a fox"), on_warning=estimated.append)

    assert submitted.warnings == (f"{PARAMETERS}.prompt: must have at most 1 characters",)
    assert estimated == list(submitted.warnings)


async def test_an_unconfirmed_schema_only_warns(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin.models(), Z_IMAGE, KNOWN_SHORT)
    running.plan(on="models", body={"items": [{"slug": Z_IMAGE, "output_type": "image"}]})
    await fetched(running)

    assert len(await warnings_of(running, submission({"prompt": "a fox"}, model_id=Z_IMAGE))) == 1


async def test_a_model_that_is_gone_is_submitted_with_a_warning(running: Running) -> None:
    running.plan(on="submit", kind="200", body={"status": "queued", "request_id": str(uuid4())})
    warned = await warnings_of(running, submission({"prompt": "a fox"}, model_id="sora-2/text-to-video"))
    assert warned == ["input.model.model_id: is probably gone: Higgsfield announced its end for 2026-09-24."]
    assert len(running.ledger.submissions) == 1


@pytest.mark.parametrize("wrapped", [False, True])
async def test_conditions_are_checked_in_any_form(running: Running, wrapped: bool) -> None:
    condition = {
        "if": {"properties": {"thinking": {"const": True}}, "required": ["thinking"]},
        "then": {"properties": {"extend": {"$ref": "#/$defs/on"}}},
    }
    flags = {"properties": {"thinking": {"type": "boolean"}, "extend": {"type": "boolean"}}}
    schema = flags | {"$defs": {"on": {"const": True}}} | ({"allOf": [condition]} if wrapped else condition)
    await fetched(running, schema)
    refused = await refusal(running, submission({"thinking": True, "extend": False}))
    violations = refused.detail(error_details_pb2.BadRequest).field_violations
    assert [one.field for one in violations] == [f"{PARAMETERS}.extend"]
    allowed = await running.gateway._core.catalogs.check(ModelInput("test/0", {"thinking": False, "extend": False}))
    assert allowed == Checked()


async def test_warnings_are_http_headers(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin.models(), Z_IMAGE, KNOWN_SHORT)
    running.plan(on="models", kind="503", times=100)
    submit = submission({"prompt": "a fox", "größe": "7"}, model_id=Z_IMAGE)
    estimate = pb.EstimateGenerationRequest(input=submit.input)
    async with aiohttp.ClientSession() as session:
        for method, request in (("SubmitGeneration", submit), ("EstimateGeneration", estimate)):
            for codec in ("proto", "json"):
                body = request.SerializeToString() if codec == "proto" else json_format.MessageToJson(request).encode()
                url = f"{running.gateway.http_address}/hfgateway.v1.GenerationService/{method}"
                headers = {"content-type": f"application/{codec}"}
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.status == 200
                    assert answer.headers.getall(WARNING) == [
                        f"{PARAMETERS}.gr\\xf6\\xdfe: must be an integer",
                        f"{PARAMETERS}.prompt: must have at most 1 characters",
                    ]


async def test_pages_of_other_origins_may_read_warnings(tmp_path: Path) -> None:
    async with run(tmp_path, ALLOWED_ORIGINS="https://page.test") as running:
        url = f"{running.gateway.http_address}/hfgateway.v1.CatalogService/ListMotions"
        headers = {"content-type": "application/json", "origin": "https://page.test"}
        async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=headers) as answer:
            assert WARNING in answer.headers["access-control-expose-headers"]


# -- Unchecked submissions ---------------------------------------------------------------------------------------------


async def test_an_unknown_model_is_submitted(running: Running) -> None:
    await fetched(running)

    refused = await refusal(running, submission({"anything": 1}, model_id="new/model"))

    assert refused.reason == "MODEL_UNKNOWN"  # by Higgsfield
    assert [one.model for one in running.ledger.submissions] == ["new/model"]


async def test_a_submission_does_not_wait_for_the_model_list(running: Running) -> None:
    running.plan(on="models", kind="hang")

    await running.submit(submission({"prompt": "a fox"}, model_id=Z_IMAGE))

    assert len(running.ledger.charges) == 1
    assert running.gateway._core.catalogs._cached["models"]._refreshing is not None


async def test_only_submissions_of_models_refresh_the_model_list(running: Running) -> None:
    await running.submit(soul("a fox"))
    assert running.gateway._core.catalogs._cached["models"].attempts == 0

    await running.submit(submission({"prompt": "a fox"}, model_id=Z_IMAGE))
    await eventually(lambda: running.ledger.list_calls == {"models": 1})
