"""Tools for generations. A repeated call of `generate` finds the same generation, with or without a key."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from gateway.mcp import render, schema
from gateway.mcp.port import GatewayPort, RefusedError
from gateway.mcp.tool import Report, Tool, ToolResult, limit_schema, object_schema, parse_message, refusal
from hfgateway.v1 import error_pb2, generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_input_pb2 import GenerationInput

Generation = generation_pb2.Generation
DEFAULT_WAIT, MAX_WAIT = 45, 3600
"""Seconds that a tool waits for a generation. The default is below 60 s, the time limit of most clients."""
MAX_DURATION = 315_576_000_000
"""The most seconds of a google.protobuf.Duration."""
DEFAULT_LIMIT, MAX_LIMIT = 20, 100


def generation_tools() -> tuple[Tool, ...]:
    """Return the tools that submit, estimate, read, wait for and cancel generations."""
    given = schema.fields_schema(GenerationInput.DESCRIPTOR)
    return (
        _generate_tool(given),
        Tool(
            "wait_generation",
            "Wait for a generation",
            "Waits until a generation has ended, for at most wait_seconds, and returns its outcome with the links to "
            "its outputs. Costs nothing. Call it again if the generation is not done.",
            object_schema({"id": _ID, "wait_seconds": _WAIT}, "id"),
            _wait_generation,
        ),
        Tool(
            "get_generation",
            "Get a generation",
            "Returns the current state of a generation, its outputs, why it waits or failed, and its input.",
            object_schema({"id": _ID}, "id"),
            _get,
        ),
        Tool(
            "list_generations",
            "List generations",
            "Lists the generations that match all filters, newest first, without their inputs. If the answer of "
            "generate was lost, find its generation with filter.idempotency_key.",
            object_schema(
                {
                    "filter": schema.fields_schema(pb.GenerationFilter.DESCRIPTOR),
                    "limit": limit_schema(DEFAULT_LIMIT, MAX_LIMIT),
                }
            ),
            _list,
        ),
        Tool(
            "cancel_generation",
            "Cancel a generation",
            "Cancels a generation that has not started; it is then not charged. Refused with NOT_CANCELABLE if it is "
            "too late.",
            object_schema({"id": _ID}, "id"),
            _cancel,
            is_write=True,
            is_destructive=True,
        ),
        Tool(
            "estimate_generation",
            "Estimate the cost",
            "Checks an input as generate does, and returns what it would cost. Generates and charges nothing.",
            object_schema({"input": given | {"description": "As in generate."}}, "input"),
            _estimate,
        ),
    )


def _generate_tool(given: dict[str, Any]) -> Tool:
    return Tool(
        "generate",
        "Generate an image or a video",
        "Generates images or a video with a Higgsfield model, which costs credits, and waits at most wait_seconds for "
        "the result. If it is not done by then, nothing is lost: continue with wait_generation and the id. Repeating "
        "a call is safe: after a timeout or an error, call again with exactly the same arguments. The answer is then "
        "the generation that was already started (replayed is true), which is never charged twice. For the same "
        "reason, another result for the same input needs its own idempotency_key, such as take-2. Do not "
        "change the key because of a timeout. Links in the answer expire after some days.",
        object_schema(
            {
                "input": given | {"description": "What to generate: one of soul, dop, speak and model."},
                "idempotency_key": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "description": "Identifies this generation: 1 to 255 visible ASCII characters. The same key "
                    "never generates, or costs, twice. By default the key is made from the input, so the same input "
                    "is the same generation.",
                },
                "wait_seconds": _WAIT,
                "labels": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Labels, by which list_generations can find the generation.",
                },
                "start_timeout_seconds": {
                    "type": "number",
                    "minimum": 1,
                    "maximum": MAX_DURATION,
                    "description": "Cancel the generation, free of charge, if it has not started after this time.",
                },
            },
            "input",
        ),
        _generate,
        is_write=True,
    )


_ID = {"type": "string", "minLength": 1, "description": "The generation's id."}
_WAIT = {
    "type": "number",
    "minimum": 0,
    "maximum": MAX_WAIT,
    "description": f"Default: {DEFAULT_WAIT}; 0 does not wait. Keep it below your client's time limit for a tool.",
}


async def _generate(gateway: GatewayPort, arguments: Mapping[str, Any], report: Report) -> ToolResult:
    request = pb.SubmitGenerationRequest(wait_for=pb.WAIT_FOR_STORED, labels=arguments.get("labels", {}))
    request.input.CopyFrom(parse_message(GenerationInput(), arguments["input"], "input"))
    request.idempotency_key = key = arguments.get("idempotency_key") or key_of(request.input)
    if "start_timeout_seconds" in arguments:
        request.start_timeout.FromMilliseconds(round(arguments["start_timeout_seconds"] * 1000))
    try:
        submitted = await gateway.submit(request)
    except RefusedError as refused:
        advice = ""
        if refused.retryable:
            advice = f"Call generate again with the same arguments and idempotency_key {key}: nothing is charged twice."
        elif refused.failure.reason == error_pb2.ERROR_REASON_IDEMPOTENCY_KEY_REUSED:
            advice = "For another result, call generate with a new idempotency_key, which is charged."
        return refusal(refused, advice, idempotency_key=key)
    more: dict[str, Any] = {"idempotency_key": key, "replayed": submitted.replayed}
    if submitted.warnings:
        more["warnings"] = [render.as_json(warning) for warning in submitted.warnings]
    result = await _followed(gateway, submitted.generation, arguments, report)
    known = f"Nothing new was started: the key {key} already belongs to this generation.\n"
    before = (known if submitted.replayed else "") + render.warnings(submitted.warnings)
    return replace(result, text=before + result.text, content=result.content | more)


async def _wait_generation(gateway: GatewayPort, arguments: Mapping[str, Any], report: Report) -> ToolResult:
    return await _followed(gateway, await gateway.get(arguments["id"]), arguments, report)


async def _followed(
    gateway: GatewayPort, generation: Generation, arguments: Mapping[str, Any], report: Report
) -> ToolResult:
    """Wait for a generation, and return its state. An end without outputs is an error, so that the model can react."""
    wait = arguments.get("wait_seconds", DEFAULT_WAIT)
    generation, refused = await _follow(gateway, generation, wait, report)
    interrupted = ""
    content = {"generation": render.as_json(generation)}
    if refused is not None:
        if not refused.retryable:
            return refusal(refused, f"The generation {generation.id} continues.", **content)
        interrupted = f"Watching was interrupted: {render.failure_line(refused.failure, refused.code)}"
    if generation.done and generation.state != generation_pb2.GENERATION_STATE_COMPLETED:
        return _ended(generation, content)
    advice = ""
    if not generation.done:
        advice = f"The generation continues. Call wait_generation with id {generation.id}, as often as needed."
    return ToolResult("\n".join(filter(None, (render.summary(generation), interrupted, advice))), content)


def _ended(generation: Generation, content: dict[str, Any]) -> ToolResult:
    """Return why a generation ended without outputs, and how to try again."""
    if generation.state == generation_pb2.GENERATION_STATE_LOST:
        advice = (
            "It may have been charged. To try again, call generate with a new idempotency_key, which is charged again."
        )
    elif generation.state == generation_pb2.GENERATION_STATE_FAILED and not generation.HasField("accept_time"):
        advice = "Nothing was charged, and the idempotency_key can be used again."
    else:
        advice = "It was not charged. To try the same input again, call generate with a new idempotency_key."
    why = {"error": render.failure_json(generation.failure)}
    return ToolResult(f"{render.summary(generation)}\n{advice}", why | content, is_error=True)


async def _get(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    generation = await gateway.get(arguments["id"])
    return ToolResult(render.summary(generation), {"generation": render.as_json(generation)})


async def _list(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    matching = parse_message(pb.GenerationFilter(), arguments.get("filter", {}), "filter")
    limit = int(arguments.get("limit", DEFAULT_LIMIT))
    found = await gateway.list(matching, limit)
    more = "\nThere may be more: give filter.created_before." if len(found) == limit else ""
    text = "\n".join(
        f"{render.state_name(generation)} {generation.id} {generation.model_id} {generation.create_time.ToJsonString()}"
        for generation in found
    )
    content = [render.as_json(generation) for generation in found]
    return ToolResult((text or "Nothing matches.") + more, {"generations": content})


async def _cancel(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    generation = await gateway.cancel(arguments["id"])
    return ToolResult(render.summary(generation), {"generation": render.as_json(generation)})


async def _estimate(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> ToolResult:
    response = await gateway.estimate(parse_message(GenerationInput(), arguments["input"], "input"))
    usd = f" ({response.cost.usd} USD)" if response.cost.usd else ""
    cost = f"It would cost {response.cost.credits} credits{usd}." if response.HasField("cost") else ""
    unknown = "The price depends on what is generated."
    return ToolResult(
        render.warnings(response.warnings) + (cost or response.description or unknown), render.as_json(response)
    )


def key_of(given: GenerationInput) -> str:
    """Return the key for a call without one. The same input has the same key, so a repeated call is not charged."""
    content = json.dumps(render.as_json(given), sort_keys=True, separators=(",", ":"))
    return f"mcp-{hashlib.sha256(content.encode()).hexdigest()}"


async def _follow(
    gateway: GatewayPort, generation: Generation, seconds: float, report: Report
) -> tuple[Generation, RefusedError | None]:
    """Return the generation when it is done, or its last known state after that time, and why the watch failed."""
    progress = _Progress(report)
    await progress.report(generation)
    if generation.done or not seconds:
        return generation, None
    try:
        async with asyncio.timeout(seconds) as limit, aclosing(gateway.watch(generation)) as events:
            async for seen in events:
                if isinstance(seen, generation_pb2.Forecast):
                    generation.forecast.CopyFrom(seen)
                else:
                    generation = seen
                await progress.report(generation)
    except TimeoutError:
        if not limit.expired():
            raise
    except RefusedError as refused:
        return generation, refused
    return generation, None


class _Progress:
    """Reports progress. MCP demands that each value is larger than the last one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last: float | None = None

    async def report(self, generation: Generation) -> None:
        known = 1.0 if generation.done else min(generation.forecast.progress, 0.99)
        if self._last is not None and known <= self._last:
            known = self._last + (1.0 - self._last) / 100
        self._last = known
        await self._report(known, render.progress(generation))
