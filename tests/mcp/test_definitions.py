"""What models are told of the tools, and what nobody is told when a tool breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE

from gateway.mcp import schema
from gateway.mcp.files import Files
from gateway.mcp.generations import key_of
from gateway.mcp.media import LARGEST_MEDIA
from gateway.mcp.port import GatewayPort
from gateway.mcp.schema import MOST_VALUES, violations
from gateway.mcp.server import mcp_server
from gateway.mcp.tool import Report, Tool, ToolResult
from gateway.mcp.tools import all_tools
from gateway.serving import PUBLIC_SERVICES
from hfgateway.v1 import generation_input_pb2, generation_service_pb2

TOOLS = all_tools(Files([Path(__file__).parent]))
GENERATE = next(tool for tool in TOOLS if tool.name == "generate")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_has_a_schema_that_is_one_and_says_what_everything_is_for(tool: Tool) -> None:
    Draft202012Validator.check_schema(tool.arguments)
    assert tool.description.endswith(".")

    def described(properties: Mapping[str, Any], path: str) -> None:
        for name, field in properties.items():
            assert field.get("description") or name == "filter", f"{path}.{name}"
            described(field.get("properties", {}), f"{path}.{name}")

    described(tool.arguments["properties"], tool.name)


def test_no_field_of_the_api_is_left_out_and_none_is_explained_that_is_not_there() -> None:
    used = {
        f"{message.name}.{field.name}"
        for file in (generation_input_pb2, generation_service_pb2)
        for message in file.DESCRIPTOR.message_types_by_name.values()
        if message.name.endswith("Input") or message.name in {"MotionStrength", "GenerationFilter"}
        for field in message.fields
    }
    assert set(schema.MEANINGS) == used


def test_no_two_rpcs_have_one_name() -> None:
    """Tools find them by it."""
    names = [method.name for service in PUBLIC_SERVICES for method in service.methods]
    assert len(names) == len(set(names))


def test_the_description_tells_how_to_repeat_a_call() -> None:
    (generate,) = (tool for tool in TOOLS if tool.name == "generate")
    for words in ("exactly the same arguments", "never charged twice", "idempotency_key of its own"):
        assert words in generate.description
    assert generate.changes
    assert generate.repeatable


def test_the_same_input_has_the_same_key_and_another_one_another() -> None:
    def made(**fields: Any) -> str:
        return key_of(generation_input_pb2.GenerationInput(soul=generation_input_pb2.SoulInput(**fields)))

    keys = [made(prompt="fox"), made(prompt="fox", seed=1), made(prompt="fox", batch_size=1), made(prompt="Fox")]
    assert len({*keys, made(prompt="fox")}) == 4
    assert all(key.isascii() and len(key) <= 255 for key in keys)


def test_an_upload_fits_into_a_request() -> None:
    assert LARGEST_MEDIA * 4 / 3 + 10_000 < DEFAULT_MAX_REQUEST_BODY_SIZE


async def test_a_defect_is_told_as_an_incident_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
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


def test_of_large_arguments_no_more_is_looked_at_than_is_allowed() -> None:
    class Long(list[int]):
        """A list that must not be read to its end."""

        read = 0

        def __iter__(self) -> Iterator[int]:  # type: ignore[override]
            while self.read <= 2 * MOST_VALUES:
                self.read += 1
                yield 1

    urls = Long()
    (wrong,) = violations(GENERATE.arguments, {"input": {"dop": {"image_urls": urls}}})
    assert wrong.field == "arguments"
    assert urls.read <= MOST_VALUES


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(number: float) -> None:
    (wrong,) = violations(GENERATE.arguments, {"input": {"soul": {"prompt": "x"}}, "wait_seconds": number})
    assert wrong.field == "arguments"
