"""The test vectors in protos/vectors, which the clients of all languages share."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from clients.python.tests.conftest import FakeTime
from clients.python.tests.scripted_gateway import SERVICES, Refusal, ScriptedGateway, change
from clients.python.tests.test_errors import FailedCall
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1 import token_service_pb2
from hfgateway.v1.error_pb2 import ErrorReason, Failure
from hfgateway.v1.generation_input_pb2 import GenerationInput
from hfgateway.v1.generation_pb2 import Generation
from hfgateway_client import (
    AsyncClient,
    CaughtUp,
    ForecastsChanged,
    GenerationChanged,
    MissingGenerations,
    Reset,
    RetryPolicy,
    WatchEvent,
    dop,
    errors,
    model,
    soul,
    speak,
)
from hfgateway_client._async.timers import Timers
from hfgateway_client.cursor import WatchCursor
from hfgateway_client.retry import may_repeat
from hfgateway_client.status import error_from_generation, error_from_rpc
from hfgateway_client.stubs import rpcs_of

VECTORS = Path(__file__).resolve().parents[3] / "protos" / "vectors"
MILLISECOND = 0.001


def cases(file: str, name: str) -> Any:
    """Return a decorator that parametrizes a test with the cases of a list."""
    found = json.loads((VECTORS / f"{file}.json").read_text())[name]
    return pytest.mark.parametrize("case", found, ids=[case.get("name") for case in found])


# --- errors.json


@cases("errors", "calls")
def test_a_failed_call_raises_the_error_of_the_vector(case: dict[str, Any]) -> None:
    details = (("grpc-status-details-bin", base64.b64decode(case["details"])),) if case["details"] else ()
    error = error_from_rpc(FailedCall(grpc.StatusCode[case["code"]], case["message"], details))

    expected = case["expect"]
    assert type(error) is getattr(errors, expected["class"])
    assert isinstance(error, getattr(errors, expected["class_of_code"]))
    assert error.code is grpc.StatusCode[case["code"]]
    assert {
        "reason": error.reason,
        "message": error.message,
        "field_violations": [{"field": one.field, "description": one.description} for one in error.field_violations],
        "retryable": error.retryable,
        "retry_delay": error.retry_delay,
        "metadata": dict(error.metadata),
    } == {name: value for name, value in expected.items() if not name.startswith("class")}


@cases("errors", "generations")
def test_a_generation_without_output_raises_the_error_of_the_vector(case: dict[str, Any]) -> None:
    generation = json_format.ParseDict(case["generation"], Generation())
    error = error_from_generation(generation)

    expected = case["expect"]
    assert type(error) is getattr(errors, expected["class"])
    assert (error.reason, error.message) == (expected["reason"], expected["message"])
    assert (error.retryable, error.idempotency_key) == (expected["retryable"], expected["idempotency_key"])
    assert (error.code, error.generation) == (None, generation)


# --- retries.json


def refused(error: dict[str, Any]) -> Refusal:
    """Return a step that fails with an error of the vectors. Without a reason it is an error of the transport."""
    reason = error["reason"]
    known = f"ERROR_REASON_{reason}" in ErrorReason.keys()  # noqa: SIM118 - no dict: it cannot be iterated
    failure = Failure(reason=f"ERROR_REASON_{reason}" if known else "ERROR_REASON_UNSPECIFIED", message="refused")
    if error.get("retry_delay"):
        failure.retry_delay.FromMilliseconds(round(error["retry_delay"] * 1000))
    return Refusal(grpc.StatusCode[error["code"]], failure, "" if known else reason, details=bool(reason))


def test_the_default_retry_policy_is_that_of_all_clients() -> None:
    defaults = json.loads((VECTORS / "retries.json").read_text())["defaults"]
    policy = RetryPolicy()
    assert defaults == {
        "first_delay": policy.first_delay,
        "max_delay": policy.max_delay,
        "call_timeout": AsyncClient.__init__.__kwdefaults__["timeout"],
        "resume_watches_for": policy.resume_watches_for,
    }


@cases("retries", "repeats")
def test_whether_an_error_is_retried(case: dict[str, Any]) -> None:
    refusal = refused(case)
    error = error_from_rpc(FailedCall(refusal.code, "refused", refusal.trailing_metadata()))
    assert error.reason == case["reason"]
    assert may_repeat(error) is case["repeated"]


@cases("retries", "delays")
def test_the_delay_before_a_retry(case: dict[str, Any]) -> None:
    delay = RetryPolicy().delay(case["failures"], case["retry_delay"], case["chance"])
    assert delay == pytest.approx(case["delay"], abs=MILLISECOND)


@cases("retries", "calls")
async def test_a_call_is_retried(case: dict[str, Any], gateway: ScriptedGateway, time: FakeTime) -> None:
    def attempt(described: dict[str, Any]) -> Any:
        async def fail(_request: object) -> Refusal:
            time.now += described["takes"]
            return refused(described["error"])

        return fail if "error" in described else pb.GetGenerationResponse()

    gateway.on("GetGeneration", *map(attempt, case["attempts"]))
    timers = Timers(time.clock, time.async_sleep, lambda: case["chance"])
    async with AsyncClient(gateway.address, timeout=case["timeout"], timers=timers) as client:
        try:
            await client.get("g1")
            outcome, last = "response", None
        except errors.GatewayError as error:
            outcome, last = "error", error

    assert time.slept == pytest.approx(case["expect"]["slept"], abs=MILLISECOND)
    assert outcome == case["expect"]["outcome"]
    assert len(gateway.requests["GetGeneration"]) == len(case["attempts"])
    if last is not None:
        assert last.reason == case["attempts"][case["expect"].get("error", -1)]["error"]["reason"]


@cases("retries", "watches")
async def test_a_watch_is_resumed(case: dict[str, Any], gateway: ScriptedGateway, time: FakeTime) -> None:
    revision = 0

    def message(kind: str) -> pb.WatchGenerationResponse:
        nonlocal revision
        if kind == "heartbeat":
            return pb.WatchGenerationResponse()
        revision += 1
        return change("COMPLETED" if kind == "done" else "QUEUED", revision)

    for stream in case["streams"]:
        steps = [message(kind) for kind in stream["messages"]]
        gateway.on("WatchGeneration", [*steps, *([refused(stream["error"])] if stream["error"] else [])])
    timers = Timers(time.clock, time.async_sleep, lambda: case["chance"])
    seen: list[int] = []
    async with AsyncClient(gateway.address, timers=timers) as client:
        try:
            async for changed in client.watch("g1"):
                seen.append(changed.revision)
            outcome = "end"
        except errors.GatewayError:
            outcome = "error"

    assert time.slept == pytest.approx(case["expect"]["slept"], abs=MILLISECOND)
    assert outcome == case["expect"]["outcome"]
    assert seen == list(range(1, revision + 1))
    assert len(gateway.requests["WatchGeneration"]) == len(case["streams"])


# --- cursor.json


@cases("cursor", "watches")
async def test_a_watch_yields_every_revision_once(
    case: dict[str, Any], gateway: ScriptedGateway, time: FakeTime
) -> None:
    away = Refusal(grpc.StatusCode.UNAVAILABLE, Failure(message="away"), details=False)
    for stream in case["streams"]:
        messages = [json_format.ParseDict(message, pb.WatchGenerationResponse()) for message in stream["messages"]]
        gateway.on("WatchGeneration", [*messages, *([away] if stream["ends"] == "breaks" else [])])

    async with AsyncClient(gateway.address, timers=Timers(time.clock, time.async_sleep)) as client:
        seen = [changed.revision async for changed in client.watch("g1", case["after_revision"])]

    assert seen == [revision for stream in case["streams"] for revision in stream["delivered"]]
    opened = [request.after_revision for request in gateway.requests["WatchGeneration"]]
    assert opened == [stream["after_revision"] for stream in case["streams"]]


@cases("cursor", "cases")
def test_a_watch_of_many_yields_the_events_of_the_vector(case: dict[str, Any]) -> None:
    cursor = WatchCursor(case["resume_token"])
    for stream in case["streams"]:
        assert cursor.resume_token == stream["opened_with"]
        events: list[WatchEvent] = []
        for message in stream["messages"]:
            events += cursor.received(json_format.ParseDict(message, pb.WatchGenerationsResponse()))
        assert [as_json(event) for event in events] == stream["events"]


def as_json(event: WatchEvent) -> dict[str, Any]:
    """Return an event in the format of the vectors."""
    match event:
        case GenerationChanged(token, generation):
            return {"event": "changed", "resume_token": token, "id": generation.id, "revision": generation.revision}
        case CaughtUp(token):
            return {"event": "caught_up", "resume_token": token}
        case Reset(token):
            return {"event": "reset", "resume_token": token}
        case MissingGenerations(token, ids):
            return {"event": "missing", "resume_token": token, "ids": list(ids)}
        case ForecastsChanged(token, forecasts):
            progress = {name: forecast.progress for name, forecast in forecasts.items()}
            return {"event": "forecasts", "resume_token": token, "progress": progress}


# --- inputs.json


@cases("inputs", "inputs")
def test_a_constructor_returns_the_input(case: dict[str, Any]) -> None:
    arguments = dict(case["arguments"])
    if case["constructor"] == "model":
        made = model(arguments["model_id"], arguments.get("api_version"), **arguments["parameters"])
    else:
        made = {"soul": soul, "dop": dop, "speak": speak}[case["constructor"]](**arguments)
    assert made == json_format.ParseDict(case["input"], GenerationInput())


@cases("inputs", "requests")
async def test_a_method_sends_the_request(case: dict[str, Any], gateway: ScriptedGateway) -> None:
    module = token_service_pb2 if case["method"] == "create_watch_token" else pb
    expected = json_format.ParseDict(case["request"], getattr(module, case["message"])())
    rpc = case["message"].removesuffix("Request")
    response = getattr(module, f"{rpc}Response")()
    gateway.on(rpc, [] if rpc.startswith("Watch") else response)

    arguments = {name: _read(name, value) for name, value in case["arguments"].items()}
    positional = [arguments.pop(name) for name in ("input", "id") if name in arguments]
    async with AsyncClient(gateway.address) as client:
        made = getattr(client, case["method"])(*positional, **arguments)
        if hasattr(made, "__aiter__"):
            assert [item async for item in made] == []
        else:
            await made

    assert gateway.requests[rpc] == [expected]


def _read(name: str, value: Any) -> Any:
    if name == "input":
        return json_format.ParseDict(value, GenerationInput())
    return datetime.fromisoformat(value) if name.startswith("created_") else value


def test_the_name_of_a_request_identifies_its_rpc() -> None:
    methods = [method for service in SERVICES for method in service.methods]
    assert [method.name + "Request" for method in methods] == [method.input_type.name for method in methods]
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        assert len(rpcs_of(channel)) == len(methods)


def test_a_negative_delay_of_the_gateway_is_ignored() -> None:
    assert RetryPolicy().delay(2, -1.0, 1.0) == 0.4
