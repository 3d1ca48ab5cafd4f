"""Parameters are checked against a model's schema before a charge: refusals, warnings, and unchecked models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from google.rpc import error_details_pb2

from gateway.catalog import builtin
from gateway.catalog.model import Model, Origin
from gateway.generations.inputs import ModelInput
from gateway.generations.ports import InputCheckResult
from gateway.rpc.messages.convert import MAX_WARNINGS
from hfgateway.v1 import catalog_service_pb2 as catalog_pb
from hfgateway.v1 import generation_service_pb2 as pb
from tests.support.running import Running, eventually, model, soul
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
    """Submit; return the warnings of the response as `field: description`."""
    response = await running.grpc.call("SubmitGeneration", request)
    return [f"{one.field}: {one.description}" for one in response.warnings]


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


async def test_the_first_of_many_warnings_are_sent(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"n{number:02}" for number in range(MAX_WARNINGS + 1)]
    schema = {"properties": {name: {"type": "integer"} for name in names}}
    monkeypatch.setitem(builtin.models(), Z_IMAGE, replace(KNOWN_SHORT, model=Model(Z_IMAGE, schema=schema)))
    running.plan(on="models", kind="503", times=100)
    warned = await warnings_of(running, submission({"prompt": "a fox"} | dict.fromkeys(names, "one"), model_id=Z_IMAGE))
    assert warned == [f"{PARAMETERS}.{name}: must be an integer" for name in names[:-1]]


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


async def test_a_model_that_higgsfield_no_longer_lists_is_submitted_with_a_warning(
    running: Running, clock_offset: Any
) -> None:
    await fetched(running, {})
    clock_offset.seconds += 7200
    running.plan(on="models", body={"items": [{"slug": Z_IMAGE}]})
    await fetched(running)
    await eventually(lambda: running.gateway._core.catalogs._cached["models"]._refreshing is None)
    running.plan(on="submit", kind="200", body={"status": "queued", "request_id": str(uuid4())})
    warned = await warnings_of(running, submission({"prompt": "a fox"}))
    assert warned == ["input.model.model_id: is probably gone: Higgsfield no longer lists it"]


async def test_a_model_with_an_announced_end_is_submitted_with_a_warning(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = replace(KNOWN_SHORT, model=Model(Z_IMAGE), ends=4e9, note="Its end was announced.")
    monkeypatch.setitem(builtin.models(), Z_IMAGE, ends)
    running.plan(on="models", body={"items": [{"slug": Z_IMAGE}]})
    await fetched(running)
    warned = await warnings_of(running, submission({"prompt": "a fox"}, model_id=Z_IMAGE))
    assert warned == ["input.model.model_id: will end: Its end was announced."]


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
    assert allowed == InputCheckResult()


async def test_estimates_have_the_warnings_of_submissions(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(builtin.models(), Z_IMAGE, KNOWN_SHORT)
    running.plan(on="models", kind="503", times=100)
    request = submission({"prompt": "a fox", "größe": "7"}, model_id=Z_IMAGE)

    submitted = await running.grpc.call("SubmitGeneration", request)
    estimated = await running.grpc.call("EstimateGeneration", pb.EstimateGenerationRequest(input=request.input))
    again = await running.grpc.call("SubmitGeneration", request)

    assert [(one.field, one.description) for one in submitted.warnings] == [
        (f"{PARAMETERS}.größe", "must be an integer"), (f"{PARAMETERS}.prompt", "must have at most 1 characters"),
    ]  # fmt: skip
    assert estimated.warnings == submitted.warnings
    assert again.replayed
    assert again.warnings == submitted.warnings, "a repeat after a lost response has them, too"


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
