"""Tools to generate, and for what was generated. A repeated call is one generation, with a key and without."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from gateway.mcp import schema, words
from gateway.mcp.port import GatewayPort, RefusedError
from gateway.mcp.tool import Report, Told, Tool, an_object, limit_of, read, refusal
from hfgateway.v1 import generation_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.generation_input_pb2 import GenerationInput

Generation = generation_pb2.Generation
DEFAULT_WAIT, LONGEST_WAIT = 45, 3600
"""Seconds. Most clients give a tool 60 s."""
DEFAULT_LIMIT, LARGEST_LIMIT = 20, 100


def generation_tools() -> tuple[Tool, ...]:
    """To generate, and what goes with it."""
    given = schema.fields_schema(GenerationInput.DESCRIPTOR)
    return (
        _generate_tool(given),
        Tool(
            "wait_generation",
            "Wait for a generation",
            "Waits until a generation has ended, for wait_seconds at most, and tells what became of it, with the links "
            "to its outputs. Costs nothing; call it again where it is not done yet.",
            an_object({"id": _ID, "wait_seconds": _wait(DEFAULT_WAIT)}, "id"),
            _wait_generation,
        ),
        Tool(
            "get_generation",
            "Look at a generation",
            "Tells what a generation is now: its state, its outputs, what it waits for or why it failed, its input.",
            an_object({"id": _ID}, "id"),
            _get,
        ),
        Tool(
            "list_generations",
            "List generations",
            "Lists generations that match all that is given, newest first, without their inputs. What became of a "
            "generate whose answer was lost can be found by filter.idempotency_key.",
            an_object(
                {
                    "filter": schema.fields_schema(pb.GenerationFilter.DESCRIPTOR),
                    "limit": limit_of(DEFAULT_LIMIT, LARGEST_LIMIT),
                }
            ),
            _list,
        ),
        Tool(
            "cancel_generation",
            "Cancel a generation",
            "Cancels a generation that has not started, which is then free of charge. Refused with NOT_CANCELABLE "
            "where it is too late.",
            an_object({"id": _ID}, "id"),
            _cancel,
            changes=True,
            ends=True,
        ),
        Tool(
            "estimate_generation",
            "Estimate the cost",
            "Checks an input as generate does and says what it would cost. Generates and charges nothing.",
            an_object({"input": given | {"description": "As in generate."}}, "input"),
            _estimate,
        ),
    )


def _generate_tool(given: dict[str, Any]) -> Tool:
    return Tool(
        "generate",
        "Generate an image or a video",
        "Generates images or a video with a Higgsfield model, which costs credits, and waits for the result for "
        "wait_seconds at most. If it is not done by then, nothing is lost: go on with wait_generation and the id. "
        "It is safe to repeat: after a timeout or an error call again with exactly the same arguments, and the "
        "generation that was started then comes back (replayed is true); it is never charged twice. For the same "
        "reason, another result for the same input needs an idempotency_key of its own, such as take-2. Do not "
        "change the key to get around a timeout. Links in the answer expire after some days.",
        an_object(
            {
                "input": given | {"description": "What to generate: one of soul, dop, speak and model."},
                "idempotency_key": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 255,
                    "description": "Names this one generation, 1 to 255 visible ASCII characters; the same key "
                    "never generates, or costs, twice. Unless given, it is made from the input: the same input is "
                    "the same generation.",
                },
                "wait_seconds": _wait(DEFAULT_WAIT),
                "labels": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "To find it by in list_generations.",
                },
                "start_timeout_seconds": {
                    "type": "number",
                    "minimum": 1,
                    "description": "Cancel it where it has not started by then; free of charge.",
                },
            },
            "input",
        ),
        _generate,
        changes=True,
    )


_ID = {"type": "string", "minLength": 1, "description": "The generation's id."}


def _wait(default: int) -> dict[str, Any]:
    return {
        "type": "number",
        "minimum": 0,
        "maximum": LONGEST_WAIT,
        "description": f"{default} unless given, 0 not to wait. Keep it below the time that your client gives a tool.",
    }


async def _generate(gateway: GatewayPort, arguments: Mapping[str, Any], report: Report) -> Told:
    request = pb.SubmitGenerationRequest(wait_for=pb.WAIT_FOR_STORED, labels=arguments.get("labels", {}))
    request.input.CopyFrom(read(GenerationInput(), arguments["input"], "input"))
    request.idempotency_key = key = arguments.get("idempotency_key") or key_of(request.input)
    if "start_timeout_seconds" in arguments:
        request.start_timeout.FromMilliseconds(round(arguments["start_timeout_seconds"] * 1000))
    try:
        submitted = await gateway.submit(request)
    except RefusedError as refused:
        again = f"Call generate again with the same arguments and idempotency_key {key}: nothing is charged twice."
        return refusal(refused, again if refused.passes else "", idempotency_key=key)
    more = {"idempotency_key": key, "replayed": submitted.replayed}
    told = await _followed(gateway, submitted.generation, arguments, report)
    known = f"Nothing new was started: this is the generation that the key {key} already stands for.\n"
    return replace(told, text=(known if submitted.replayed else "") + told.text, content=told.content | more)


async def _wait_generation(gateway: GatewayPort, arguments: Mapping[str, Any], report: Report) -> Told:
    return await _followed(gateway, await gateway.get(arguments["id"]), arguments, report)


async def _followed(gateway: GatewayPort, generation: Generation, arguments: Mapping[str, Any], report: Report) -> Told:
    """What became of it in the time; an end without outputs is an error, for who reads may try something else."""
    interrupted = ""
    try:
        generation = await _follow(gateway, generation, arguments.get("wait_seconds", DEFAULT_WAIT), report)
    except _InterruptedError as interruption:
        generation = interruption.generation
        if not interruption.refused.passes:
            return refusal(interruption.refused, f"The generation {generation.id} goes on.")
        interrupted = f"The gateway could not go on telling: {words.told(interruption.refused.failure)}"
    content = {"generation": words.as_json(generation)}
    if generation.done and generation.state != generation_pb2.GENERATION_STATE_COMPLETED:
        return _ended(generation, content)
    go_on = "" if generation.done else f"It goes on. Call wait_generation with id {generation.id}, as often as needed."
    return Told("\n".join(filter(None, (words.summary(generation), interrupted, go_on))), content)


def _ended(generation: Generation, content: dict[str, Any]) -> Told:
    """It ended without outputs: why, and how to try again."""
    if generation.state == generation_pb2.GENERATION_STATE_LOST:
        advice = "It may have been charged. To try again, call generate with a new idempotency_key: that is charged."
    elif generation.state == generation_pb2.GENERATION_STATE_FAILED and not generation.HasField("accept_time"):
        advice = "Nothing was charged, and its idempotency_key may be used again."
    else:
        advice = "It was not charged. To try the same input again, call generate with a new idempotency_key."
    why = {"error": words.failure_json(generation.failure)}
    return Told(f"{words.summary(generation)}\n{advice}", why | content, failed=True)


async def _get(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> Told:
    generation = await gateway.get(arguments["id"])
    return Told(words.summary(generation), {"generation": words.as_json(generation)})


async def _list(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> Told:
    matching = read(pb.GenerationFilter(), arguments.get("filter", {}), "filter")
    limit = int(arguments.get("limit", DEFAULT_LIMIT))
    found = await gateway.list(matching, limit)
    more = "\nThere may be more: give filter.created_before." if len(found) == limit else ""
    text = "\n".join(
        f"{words.state_name(one)} {one.id} {one.model_id} {one.create_time.ToJsonString()}" for one in found
    )
    return Told((text or "Nothing matches.") + more, {"generations": [words.as_json(one) for one in found]})


async def _cancel(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> Told:
    generation = await gateway.cancel(arguments["id"])
    return Told(words.summary(generation), {"generation": words.as_json(generation)})


async def _estimate(gateway: GatewayPort, arguments: Mapping[str, Any], _: Report) -> Told:
    answer = await gateway.estimate(read(GenerationInput(), arguments["input"], "input"))
    usd = f" ({answer.cost.usd} USD)" if answer.cost.usd else ""
    cost = f"It would cost {answer.cost.credits} credits{usd}." if answer.HasField("cost") else ""
    unknown = "The price depends on what is generated."
    return Told(cost or answer.description or unknown, words.as_json(answer))


def key_of(given: GenerationInput) -> str:
    """The key of a call that brings none: the same input is the same generation, however often a client asks."""
    content = json.dumps(words.as_json(given), sort_keys=True, separators=(",", ":"))
    return f"mcp-{hashlib.sha256(content.encode()).hexdigest()}"


class _InterruptedError(Exception):
    """Following ended too early: what it was then, and why."""

    def __init__(self, generation: Generation, refused: RefusedError) -> None:
        super().__init__()
        self.generation = generation
        self.refused = refused


async def _follow(gateway: GatewayPort, generation: Generation, seconds: float, report: Report) -> Generation:
    """The generation when it is done, or as it was seen last. Raises _InterruptedError."""
    progress = _Progress(report)
    await progress.tell(generation, generation.forecast if generation.HasField("forecast") else None)
    if generation.done or not seconds:
        return generation
    try:
        async with asyncio.timeout(seconds) as limit, aclosing(gateway.watch(generation)) as news:
            async for seen in news:
                forecast: generation_pb2.Forecast | None
                if isinstance(seen, generation_pb2.Forecast):
                    forecast = seen
                else:
                    generation = seen
                    forecast = seen.forecast if seen.HasField("forecast") else None
                await progress.tell(generation, forecast)
    except TimeoutError:
        if not limit.expired():
            raise
    except RefusedError as refused:
        raise _InterruptedError(generation, refused) from None
    return generation


class _Progress:
    """Tells how far it is. The protocol wants each figure larger than the last, whatever is known."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told: float | None = None

    async def tell(self, generation: Generation, forecast: generation_pb2.Forecast | None) -> None:
        """What is expected now."""
        known = 1.0 if generation.done else min(forecast.progress, 0.99) if forecast is not None else 0.0
        if self._told is not None and known <= self._told:
            known = self._told + (1.0 - self._told) / 100
        self._told = known
        await self._report(known, words.expectation(generation, forecast))
