"""Tools that list models, motions, styles, presets and characters."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import Message

from gateway.mcp import render, schema
from gateway.mcp.port import GatewayPort
from gateway.mcp.tool import Report, Tool, ToolResult, limit_schema, object_schema
from hfgateway.v1 import generation_pb2

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
_QUERY = {"type": "string", "description": "A part of the name; case does not matter."}
_PART_OF_ID = {"type": "string", "description": "A part of the id; case does not matter."}
_MODEL_ID = {"type": "string", "minLength": 1, "description": "The model's id."}
_OUTPUT_KIND = {
    "type": "string",
    "enum": schema.names(generation_pb2.MediaKind.DESCRIPTOR),
    "description": "Only models with this kind of output.",
}
_STYLE_VERSION = {
    "type": "string",
    "enum": ["SOUL_VERSION_V1", "SOUL_VERSION_V2"],
    "description": "Default: SOUL_VERSION_V1. Soul Cinema has no styles.",
}
_LIMIT = limit_schema(DEFAULT_LIMIT, MAX_LIMIT)


def catalog_tools() -> tuple[Tool, ...]:
    """Return the tools of this module, with their texts and schemas for the language model."""
    return (
        Tool(
            "list_models",
            "List models",
            "Lists the ids of Higgsfield's models, for input.model.model_id of generate, and what each of them makes. "
            "Models that are not listed may work as well.",
            object_schema({"query": _PART_OF_ID, "output_kind": _OUTPUT_KIND, "limit": _LIMIT}),
            _list_models,
        ),
        Tool(
            "get_model",
            "Get a model",
            "Returns the parameters of a model, as a JSON Schema of input.model.parameters of generate.",
            object_schema({"id": _MODEL_ID}, "id"),
            _get_model,
        ),
        Tool(
            "list_motions",
            "List motions",
            "Lists the motion presets for input.dop.motions of generate. A motion is a movement of the camera.",
            object_schema({"query": _QUERY, "limit": _LIMIT}),
            _list_motions,
        ),
        Tool(
            "list_soul_styles",
            "List styles",
            "Lists the styles for input.soul.style_id of generate. A style works only with its version of Soul.",
            object_schema({"query": _QUERY, "version": _STYLE_VERSION, "limit": _LIMIT}),
            _list_soul_styles,
        ),
        Tool(
            "list_presets",
            "List a model's presets",
            "Lists the presets of a model that has a parameter preset_id.",
            object_schema({"model_id": _MODEL_ID, "query": _QUERY, "limit": _LIMIT}, "model_id"),
            _list_presets,
        ),
        Tool(
            "list_characters",
            "List characters",
            "Lists the characters (Soul IDs) for input.soul.character_id of generate, newest first. A character works "
            "only with its version of Soul, and only if its state is COMPLETED.",
            object_schema({"limit": _LIMIT}),
            _list_characters,
        ),
    )


async def _list_models(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    kind = arguments.get("output_kind", "")
    found = await gateway.list_models(arguments.get("query", ""), kind, _limit(arguments))
    return _listed("models", found, (f"{model.id} ({', '.join(model.tasks)})" for model in found), arguments)


async def _get_model(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    model = render.as_json(await gateway.get_model(arguments["id"]))
    known = model.get("parameters_schema", {}).get("properties")
    named = ", ".join(known) if isinstance(known, dict) else ""
    text = f"has the parameters {named}" if named else "has parameters that the gateway does not know"
    return ToolResult(f"{model['id']} {text}.", {"model": model})


async def _list_motions(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    found = await gateway.list_motions(arguments.get("query", ""), _limit(arguments))
    return _listed(
        "motions", found, (f"{motion.name}: {motion.id} {motion.description}" for motion in found), arguments
    )


async def _list_soul_styles(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    version = arguments.get("version", "SOUL_VERSION_V1")
    found = await gateway.list_soul_styles(arguments.get("query", ""), version, _limit(arguments))
    return _listed(
        "soul_styles", found, (f"{style.name}: {style.id} {style.description}" for style in found), arguments
    )


async def _list_presets(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    found = await gateway.list_presets(arguments["model_id"], arguments.get("query", ""), _limit(arguments))
    return _listed("presets", found, (f"{preset.name}: {preset.id}" for preset in found), arguments)


async def _list_characters(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    found = await gateway.list_characters(_limit(arguments))
    lines = (f"{character.name}: {character.id} {render.character_state_name(character)}" for character in found)
    return _listed("characters", found, lines, arguments, "")


def _limit(arguments: Mapping[str, Any]) -> int:
    return int(arguments.get("limit", DEFAULT_LIMIT))


def _listed(
    name: str, found: Iterable[Message], lines: Iterable[str], arguments: Mapping[str, Any], more: str = "Give a query."
) -> ToolResult:
    content = [render.as_json(item) for item in found]
    text = "\n".join(line.rstrip() for line in lines) or "Nothing matches."
    rest = f"\nThere may be more. {more}".rstrip() if len(content) == _limit(arguments) else ""
    return ToolResult(text + rest, {name: content})
