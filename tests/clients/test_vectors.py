"""The test vectors of the five clients are complete and consist of valid messages."""

from __future__ import annotations

import json
import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from hfgateway.v1 import error_pb2, generation_pb2, generation_service_pb2, token_service_pb2
from hfgateway.v1.generation_input_pb2 import GenerationInput
from hfgateway_client import errors
from tests.clients.details import ERRORS, VECTORS, updated
from tests.docs.markdown import ROOT


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def test_encoded_details_match_the_readable_statuses() -> None:
    assert ERRORS.read_text() == updated(), "run: python -m tests.clients.details"


def test_every_reason_of_a_call_and_every_code_has_a_vector() -> None:
    cases = vectors("errors")["calls"]
    proto = (ROOT / "protos/hfgateway/v1/error.proto").read_text()
    specified = set(re.findall(r"// \[(\w+)\].*?ERROR_REASON_(\w+) =", proto, re.DOTALL))
    assert specified
    assert specified - {(case["code"], case["expect"]["reason"]) for case in cases} == set()
    codes = {case["code_number"] for case in cases if not case["details"]}
    assert codes == set(range(1, 17))


def test_every_reason_has_a_vector_of_a_call_or_a_generation() -> None:
    cases = vectors("errors")
    used = {case["expect"]["reason"] for case in [*cases["calls"], *cases["generations"]]}
    names = {value.name.removeprefix("ERROR_REASON_") for value in error_pb2.ErrorReason.DESCRIPTOR.values}
    assert names - used == {"UNSPECIFIED"}


def test_every_kind_of_input_has_a_vector() -> None:
    used = {kind for case in vectors("inputs")["inputs"] for kind in case["input"]}
    assert used == {field.name for field in GenerationInput.DESCRIPTOR.oneofs_by_name["kind"].fields}


def test_every_named_error_class_exists() -> None:
    cases = vectors("errors")
    named = {case["expect"]["class"] for case in [*cases["calls"], *cases["generations"]]}
    named |= {case["expect"]["class_of_code"] for case in cases["calls"]}
    ours = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert named - ours == set()


def test_every_reason_has_a_retry_vector() -> None:
    judged = {case["reason"] for case in vectors("retries")["repeats"]}
    used = {case["expect"]["reason"] for case in vectors("errors")["calls"]}
    assert used - judged == set()


def assert_parses(message: Any, kind: type[Message]) -> None:
    """Fail if the JSON is not a valid message of the type."""
    assert isinstance(json_format.ParseDict(message, kind()), kind)


def test_every_message_in_the_vectors_is_valid() -> None:
    for case in vectors("errors")["generations"]:
        assert_parses(case["generation"], generation_pb2.Generation)
    kinds = {
        "watches": generation_service_pb2.WatchGenerationResponse,
        "cases": generation_service_pb2.WatchGenerationsResponse,
    }
    for name, kind in kinds.items():
        for case in vectors("cursor")[name]:
            for stream in case["streams"]:
                for message in stream["messages"]:
                    assert_parses(message, kind)
    inputs = vectors("inputs")
    for case in inputs["inputs"]:
        assert_parses(case["input"], GenerationInput)
    for case in inputs["requests"]:
        module = token_service_pb2 if "Token" in case["message"] else generation_service_pb2
        assert_parses(case["request"], getattr(module, case["message"]))


def test_vector_names_are_unique() -> None:
    lists = [
        *vectors("errors").values(),
        vectors("retries")["calls"],
        vectors("retries")["watches"],
        *vectors("cursor").values(),
        *vectors("inputs").values(),
        vectors("behaviours")["behaviours"],
    ]
    for cases in lists:
        names = [case["name"] for case in cases]
        assert len(set(names)) == len(names)


def test_every_behaviour_names_an_rpc() -> None:
    protos = "\n".join(path.read_text() for path in (ROOT / "protos/hfgateway/v1").glob("*.proto"))
    rpcs = set(re.findall(r"rpc (\w+)\(", protos))
    tried = {behaviour["rpc"] for behaviour in vectors("behaviours")["behaviours"]}
    assert tried == rpcs
