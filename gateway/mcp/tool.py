"""The type of tools, and of their results."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf import json_format

from gateway.errors import Violation, printable
from gateway.frozen import frozen
from gateway.mcp import render, schema
from gateway.mcp.port import GatewayPort, RefusedError, invalid

Report = Callable[[float, str], Awaitable[None]]
"""Reports progress to the caller: a number from 0 to 1, and a text."""


@frozen
class ToolResult:
    """The result of a tool: `text` for the model, and `content` as JSON."""

    text: str
    content: dict[str, Any]
    is_error: bool = False


@frozen
class Tool:
    """A tool.

    `arguments` is the JSON Schema of its arguments. `is_write`: it is not read-only. `is_destructive`: it cancels
    something. `is_idempotent`: a second call with the same arguments has no further effect.
    """

    name: str
    title: str
    description: str
    arguments: dict[str, Any]
    run: "Callable[[GatewayPort, Mapping[str, Any], Report], Awaitable[ToolResult]]"
    is_write: bool = False
    is_destructive: bool = False
    is_idempotent: bool = True

    async def __call__(self, gateway: GatewayPort, arguments: Mapping[str, Any], report: Report) -> ToolResult:
        """Check the arguments and run the tool. A refused call is returned as a result."""
        wrong = schema.violations(self.arguments, arguments)
        try:
            if wrong:
                raise invalid(wrong)
            return await self.run(gateway, arguments, report)
        except RefusedError as refused:
            return refusal(refused)


def refusal(refused: RefusedError, advice: str = "", **more: Any) -> ToolResult:
    """Return a refused call as a result: its failure and advice as text, and `more` in the JSON."""
    text = render.failure_line(refused.failure, refused.code) + (f"\n{advice}" if advice else "")
    return ToolResult(text, {"error": render.error_json(refused), **more}, is_error=True)


def object_schema(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """Return the schema of an object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def limit_schema(default: int, maximum: int) -> dict[str, Any]:
    """Return the schema of an argument `limit`."""
    return {
        "type": "integer",
        "minimum": 1,
        "maximum": maximum,
        "description": f"The number of entries; default: {default}.",
    }


def parse_message(message: Any, content: Mapping[str, Any], field: str) -> Any:
    """Parse JSON into a message. Raises RefusedError for values that the schema cannot exclude."""
    try:
        return json_format.ParseDict(dict(content), message)
    except (json_format.ParseError, ValueError, TypeError, OverflowError) as error:
        raise invalid([Violation(field, printable(str(error), 300))]) from None
