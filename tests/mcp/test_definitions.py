"""The definitions of the tools, and the error that a broken tool returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from jsonschema import Draft202012Validator

from gateway.mcp import schema
from gateway.mcp.files import Files
from gateway.mcp.generations import key_of
from gateway.mcp.media import MAX_MEDIA_BYTES
from gateway.mcp.port import GatewayPort
from gateway.mcp.schema import MAX_VALUES, violations
from gateway.mcp.tool import Report, Tool, ToolResult
from gateway.mcp.tools import all_tools
from gateway.rpc.services import PUBLIC_SERVICES
from hfgateway.v1 import generation_input_pb2, generation_service_pb2

TOOLS = all_tools(Files([Path(__file__).parent]))
GENERATE = next(tool for tool in TOOLS if tool.name == "generate")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_has_a_valid_and_described_schema(tool: Tool) -> None:
    Draft202012Validator.check_schema(tool.arguments)
    assert tool.description.endswith(".")

    def described(properties: Mapping[str, Any], path: str) -> None:
        for name, field in properties.items():
            assert field.get("description") or name == "filter", f"{path}.{name}"
            described(field.get("properties", {}), f"{path}.{name}")

    described(tool.arguments["properties"], tool.name)


def test_the_descriptions_cover_exactly_the_fields_of_the_api() -> None:
    used = {
        f"{message.name}.{field.name}"
        for file in (generation_input_pb2, generation_service_pb2)
        for message in file.DESCRIPTOR.message_types_by_name.values()
        if message.name.endswith("Input") or message.name in {"MotionStrength", "GenerationFilter"}
        for field in message.fields
    }
    assert set(schema.MEANINGS) == used


def test_the_names_of_rpcs_are_unique() -> None:
    """Tools find RPCs by name."""
    names = [method.name for service in PUBLIC_SERVICES for method in service.methods]
    assert len(names) == len(set(names))


def test_the_description_of_generate_explains_repeated_calls() -> None:
    (generate,) = (tool for tool in TOOLS if tool.name == "generate")
    for words in ("exactly the same arguments", "never charged twice", "its own idempotency_key"):
        assert words in generate.description


async def test_the_hints_name_the_tools_that_change_something() -> None:
    """Clients ask their users before they call these."""
    from mcp import Client

    from gateway.mcp.server import mcp_server

    async with Client(mcp_server(TOOLS, lambda _: None)) as client:  # type: ignore[arg-type, return-value]
        hints = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
    assert {name for name, hint in hints.items() if hint and not hint.read_only_hint} == {
        "generate", "cancel_generation", "upload_media",
    }  # fmt: skip
    assert [name for name, hint in hints.items() if hint and hint.destructive_hint] == ["cancel_generation"]
    assert [name for name, hint in hints.items() if hint and not hint.idempotent_hint] == ["upload_media"]


def test_the_default_key_depends_on_the_input_only() -> None:
    def made(**fields: Any) -> str:
        return key_of(generation_input_pb2.GenerationInput(soul=generation_input_pb2.SoulInput(**fields)))

    keys = [made(prompt="fox"), made(prompt="fox", seed=1), made(prompt="fox", batch_size=1), made(prompt="Fox")]
    assert len({*keys, made(prompt="fox")}) == 4
    assert all(key.isascii() and len(key) <= 255 for key in keys)


def test_the_default_key_does_not_depend_on_the_order_of_parameters() -> None:
    def made(parameters: Mapping[str, Any]) -> str:
        given = generation_input_pb2.GenerationInput()
        return key_of(json_format.ParseDict({"model": {"parameters": parameters}}, given))

    parameters = {f"parameter_{number}": number for number in range(50)}
    assert made(parameters) == made(dict(reversed(parameters.items())))


def test_an_upload_fits_into_a_request() -> None:
    from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE

    assert MAX_MEDIA_BYTES * 4 / 3 + 10_000 < DEFAULT_MAX_REQUEST_BODY_SIZE


async def test_an_internal_error_is_reported_only_as_an_incident(caplog: pytest.LogCaptureFixture) -> None:
    from mcp import Client

    from gateway.mcp.server import mcp_server

    async def broken(gateway: GatewayPort, arguments: Mapping[str, Any], report: Report) -> ToolResult:
        raise RuntimeError("a secret of the store")

    tool = Tool("broken", "", "", {"type": "object"}, broken)
    async with Client(mcp_server([tool], lambda _: None)) as client:  # type: ignore[arg-type, return-value]
        result = await client.call_tool("broken", {})
    assert result.is_error
    assert isinstance(result.structured_content, dict)
    incident = result.structured_content["error"]["metadata"]["incident"]
    assert result.structured_content["error"]["reason"] == "INTERNAL"
    assert "secret" not in str(result)
    assert [record.__dict__["incident"] for record in caplog.records if "unexpectedly" in record.message] == [incident]


def test_a_refusal_names_at_most_20_fields() -> None:
    unknown = {f"field_{number}": 1 for number in range(30)}
    assert len(violations(GENERATE.arguments, unknown)) == 20


@pytest.mark.parametrize("where", ["name", "label", "value"])
def test_a_refusal_repeats_little_of_the_arguments_and_no_control_characters(where: str) -> None:
    odd = "\x1b[2J" + "x" * 1000
    arguments: dict[str, Any] = {"input": {"soul": {"prompt": "a fox"}}}
    arguments |= {"name": {odd: 1}, "label": {"labels": {odd: 1}}, "value": {"wait_seconds": odd}}[where]
    (wrong,) = violations(GENERATE.arguments, arguments)
    assert (wrong.field + wrong.description).isprintable()
    assert len(wrong.field) <= 101
    assert len(wrong.description) <= 201


def test_the_check_of_large_arguments_stops_at_the_limit() -> None:
    class Long(list[int]):
        """A list that must not be read to its end."""

        read = 0

        def __iter__(self) -> Iterator[int]:  # type: ignore[override]
            while self.read <= 2 * MAX_VALUES:
                self.read += 1
                yield 1

    urls = Long()
    (wrong,) = violations(GENERATE.arguments, {"input": {"dop": {"image_urls": urls}}})
    assert wrong.field == "arguments"
    assert urls.read <= MAX_VALUES


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(number: float) -> None:
    (wrong,) = violations(GENERATE.arguments, {"input": {"soul": {"prompt": "x"}}, "wait_seconds": number})
    assert wrong.field == "arguments"
