"""What a tool is: what it is called and takes, what it does with a gateway, and how it says what came of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from gateway.errors import Violation, printable
from gateway.mcp import schema, words
from gateway.mcp.port import GatewayPort, RefusedError, invalid

Report = Callable[[float, str], Awaitable[None]]
"""Tells the caller how far it is, 0 to 1, and in words."""


@dataclass(frozen=True, slots=True)
class Told:
    """A tool's answer, for who reads and for programs. `failed`: it is why there is none."""

    text: str
    content: dict[str, Any]
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `changes`: it does more than look; `ends`: it ends something; `repeatable`: twice is as once."""

    name: str
    title: str
    description: str
    arguments: dict[str, Any]
    run: "Callable[[GatewayPort, Mapping[str, Any], Report], Awaitable[Told]]"
    changes: bool = False
    ends: bool = False
    repeatable: bool = True

    async def __call__(self, gateway: GatewayPort, arguments: Mapping[str, Any], report: Report) -> Told:
        """Check the arguments, then do it; refusals are answers too."""
        wrong = schema.violations(self.arguments, arguments)
        try:
            if wrong:
                raise invalid(wrong)
            return await self.run(gateway, arguments, report)
        except RefusedError as refused:
            return refusal(refused)


def refusal(refused: RefusedError, advice: str = "", **more: Any) -> Told:
    """A refusal as an answer: what it says, what to do about it, and more for programs."""
    text = words.told(refused.failure) + (f"\n{advice}" if advice else "")
    return Told(text, {"error": words.error_json(refused), **more}, failed=True)


def an_object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """The schema of arguments, or of what is in one."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def limit_of(default: int, most: int) -> dict[str, Any]:
    """How many of a list are wanted."""
    return {"type": "integer", "minimum": 1, "maximum": most, "description": f"{default} unless given."}


def read(message: Any, content: Mapping[str, Any], field: str) -> Any:
    """The content as a message, where its schema could not tell that it is none."""
    try:
        return json_format.ParseDict(dict(content), message)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise invalid([Violation(field, printable(str(error), 300))]) from None
