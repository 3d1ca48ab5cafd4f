"""Every refusal, over every transport: the same code, reason and details, and the gateway keeps working."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from operator import mul
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Failure, Reason, Violation
from gateway.generations import due_steps, sender, service
from gateway.generations.limits.model import Limits
from gateway.rpc import errors
from hfgateway.v1 import error_pb2
from hfgateway.v1 import generation_service_pb2 as pb
from hfgateway.v1.error_pb2 import ErrorReason
from tests.support.promises import CODES, promises_detail, reasons_of
from tests.support.running import WAIT_TIMEOUT, Running, name_of, run, soul
from tests.support.transports import SERVICE, TRANSPORTS, RpcFailure, responses_of

ELSEWHERE = {"INVALID_CREDENTIALS": "tests/access tests it, because the gateway of these rows needs no API keys"}
"""Reasons without a row, and why."""

SECRET_TEXT = "refused: Key sandbox:sandbox at https://files.example/a.png?token=canary-token"
"""An upstream error text that contains secrets."""
SECRETS = ("sandbox:sandbox", "canary", "Traceback", 'File "', ".py", "Error:")
MAX_WAITING = 8
UNKNOWN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@dataclass(frozen=True)
class Case:
    """One row over one transport, with a key and a prompt that no other case uses."""

    running: Running
    row: str
    transport: str

    @property
    def key(self) -> str:
        return quote(f"{self.row} {self.transport}", safe="")

    @property
    def prompt(self) -> str:
        return f"a fox for {self.row} over {self.transport}"

    def good(self, **fields: Any) -> pb.SubmitGenerationRequest:
        """Return a valid submission."""
        return soul(self.prompt, self.key, **fields)

    async def in_state(self, state: str) -> str:
        """Submit with the key of the case; return the id of the generation in the state."""
        running = self.running
        wait_for = pb.WAIT_FOR_STORED if state == "UNCERTAIN" else pb.WAIT_FOR_ACCEPTED
        generation = await running.submit(self.good(wait_for=wait_for))
        if state == "IN_PROGRESS":
            await running.start_running(generation.id)
        elif state == "UNCERTAIN":
            await running.until(generation.id, state)
        elif state != "QUEUED":
            await running.finish(generation.id, state)
        return generation.id


Build = Callable[[Case], Awaitable[Message | bytes]]


@dataclass(frozen=True)
class Row:
    """A call that must fail. `build` prepares it and returns the request."""

    name: str
    reason: str
    method: str
    build: Build
    fields: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    terms: dict[str, Any] = field(default_factory=dict)
    transports: tuple[str, ...] = TRANSPORTS
    again: Literal["", "accepted", "stored"] = ""
    """The state that a valid submission with the same key reaches afterwards; empty if that proves nothing."""
    kept: bool = False
    """True if the refusal is also the failure of a generation."""
    says: str = ""
    alone: bool = False
    """True if the call changes the gateway for later calls."""

    def __str__(self) -> str:
        return self.name


def submitting(**changes: Any) -> Build:
    """Build a submission from JSON, with the key of the case."""

    async def build(case: Case) -> Message:
        return ParseDict({"idempotencyKey": case.key} | changes, pb.SubmitGenerationRequest())

    return build


def asking(method: str, **request: Any) -> Build:
    """Build a request from JSON."""

    async def build(_: Case) -> Message:
        return ParseDict(request, GetMessageClass(SERVICE.methods_by_name[method].input_type)())

    return build


def bad(name: str, *fields: str, again: Literal["", "accepted"] = "accepted", **changes: Any) -> Row:
    """Return a row for a submission that the gateway itself refuses."""
    return Row(f"submit: {name}", "INVALID_INPUT", "SubmitGeneration", submitting(**changes), fields, again=again)


def bad_soul(name: str, *fields: str, **soul_fields: Any) -> Row:
    given = {"prompt": "a fox"} | soul_fields
    return bad(name, *(f"input.soul.{one}" for one in fields), input={"soul": given})


def bad_dop(name: str, *fields: str, **dop_fields: Any) -> Row:
    given = {"prompt": "a fox", "imageUrls": ["https://files.example/a.png"]} | dop_fields
    return bad(name, *(f"input.dop.{one}" for one in fields), input={"dop": given})


SPEAK = {
    "speak": {
        "prompt": "a fox", "imageUrl": "https://files.example/a.png", "audioUrl": "https://files.example/a.wav?sign=ed",
    }
}  # fmt: skip


def bad_speak(name: str, *fields: str, **speak_fields: Any) -> Row:
    given = SPEAK["speak"] | speak_fields
    return bad(f"Speak, {name}", *(f"input.speak.{one}" for one in fields), input={"speak": given})


def bad_model(model_id: str, field: str = "model_id", version: int = 0) -> Row:
    given = {"modelId": model_id, "parameters": {"prompt": "a fox"}, "apiVersion": version}
    return bad(f"model id {model_id[:40]!r}, form {version}", f"input.model.{field}", input={"model": given})


def bad_read(method: str, name: str, *fields: str, **request: Any) -> Row:
    return Row(f"{method}: {name}", "INVALID_INPUT", method, asking(method, **request), fields)


GOOD_INPUT = {"soul": {"prompt": "a fox"}}


def bad_field(name: str, *fields: str, **changes: Any) -> Row:
    return bad(name, *fields, again="" if "key" in name else "accepted", input=GOOD_INPUT, **changes)


def undecodable(name: str, binary: bytes, text: str) -> Row:
    """Return a row for bytes that cannot be decoded, in both encodings."""

    async def build(case: Case) -> bytes:
        return text.encode() if case.transport == "connect-json" else binary

    return Row(f"submit: {name}", "INVALID_INPUT", "SubmitGeneration", build, ("request",))


def bad_json(name: str, request: dict[str, Any]) -> Row:
    """Return a row for a request that only JSON can express."""

    async def build(case: Case) -> bytes:
        return json.dumps({"idempotencyKey": case.key} | request).encode()

    return Row(
        f"submit: {name}", "INVALID_INPUT", "SubmitGeneration", build, ("request",),
        transports=("connect-json",), again="accepted",
    )  # fmt: skip


def refused(name: str, reason: str, *fields: str, says: str = "", **fault: Any) -> Row:
    """Return a row for a submission that Higgsfield refuses."""

    async def build(case: Case) -> Message:
        case.running.plan(on="submit", prompt=case.prompt, **fault)
        return case.good()

    metadata = {"http_status": str(fault["status"])}
    return Row(
        f"submit: Higgsfield says {name}", reason, "SubmitGeneration", build, fields, metadata,
        again="accepted", kept=True, says=says, alone=fault["status"] == 401,
    )  # fmt: skip


def estimating(name: str, reason: str, *fields: str, **fault: Any) -> Row:
    async def build(case: Case) -> Message:
        case.running.plan(on="estimate", **fault)
        return pb.EstimateGenerationRequest(input=case.good().input)

    return Row(f"estimate: Higgsfield says {name}", reason, "EstimateGeneration", build, fields)


def adopting(name: str, reason: str, **fault: Any) -> Row:
    async def build(case: Case) -> Message:
        case.running.plan(on="status", **fault)
        return pb.AdoptGenerationRequest(upstream_request_id=UNKNOWN_ID)

    # Alone, because the poll of another generation would take the fault.
    return Row(f"adopt: Higgsfield says {name}", reason, "AdoptGeneration", build, alone=True)


def in_state(state: str, reason: str, method: str, **terms: Any) -> Row:
    """Return a row for a call in a state that does not permit it."""

    async def build(case: Case) -> Message:
        if state == "UNCERTAIN":
            case.running.plan(on="submit", prompt=case.prompt, kind="500", processed=True)
        return _identified(method, await case.in_state(state))

    return Row(f"{method}: {state}", reason, method, build, metadata={"state": state}, terms=terms, alone=bool(terms))


def unknown(method: str) -> Row:
    async def build(_: Case) -> Message:
        return _identified(method, UNKNOWN_ID)

    return Row(f"{method}: unknown id", "NOT_FOUND", method, build, metadata={"generation_id": UNKNOWN_ID})


def _identified(method: str, generation_id: str) -> Message:
    return ParseDict({"id": generation_id}, GetMessageClass(SERVICE.methods_by_name[method].input_type)())


async def unknown_state_by_name(_: Case) -> bytes:
    return b'{"filter": {"states": ["GENERATION_STATE_FLYING"]}}'


async def too_long(case: Case) -> Message:
    return soul("x" * 400_000, case.key)


async def not_a_number(case: Case) -> Message:
    request = case.good()
    request.input.model.model_id = "z-image/turbo"
    request.input.model.parameters.fields["seed"].number_value = float("nan")
    return request


async def other_input(case: Case) -> Message:
    await case.running.submit(case.good())
    return soul("a badger", case.key)


async def other_ttl(case: Case) -> Message:
    await case.running.submit(case.good())
    request = case.good()
    request.outputs_ttl.FromSeconds(7200)
    return request


async def deleted_key(case: Case) -> Message:
    generation_id = await case.in_state("COMPLETED")
    await case.running.grpc.call("DeleteGeneration", pb.DeleteGenerationRequest(id=generation_id))
    return case.good()


async def page_of_another_filter(case: Case) -> pb.ListGenerationsRequest:
    for number in range(2):
        await case.running.submit(soul(f"{case.prompt} {number}"))
    first = await case.running.grpc.call("ListGenerations", pb.ListGenerationsRequest(page_size=1))
    assert first.next_page_token
    request = pb.ListGenerationsRequest(page_token=first.next_page_token)
    request.filter.labels["color"] = "red"
    return request


async def first_tokens(case: Case) -> tuple[str, str]:
    """Return a page token and a resume token of the same filter."""
    first = await page_of_another_filter(case)
    async with contextlib.aclosing(
        case.running.grpc.stream("WatchGenerations", pb.WatchGenerationsRequest())  # type: ignore[type-var]
    ) as stream:
        return first.page_token, (await anext(stream)).resume_token


async def resume_token_as_page(case: Case) -> Message:
    _, resume = await first_tokens(case)
    return pb.ListGenerationsRequest(page_token=resume)


async def page_token_as_resume(case: Case) -> Message:
    page, _ = await first_tokens(case)
    return pb.WatchGenerationsRequest(resume_token=page)


async def resume_of_another_filter(case: Case) -> Message:
    stream = case.running.grpc.stream("WatchGenerations", pb.WatchGenerationsRequest())
    async with contextlib.aclosing(stream):  # type: ignore[type-var]
        first = await anext(stream)
    request = pb.WatchGenerationsRequest(resume_token=first.resume_token)
    request.filter.model_ids.append("z-image/turbo")
    return request


async def future_revision(case: Case) -> Message:
    generation = await case.running.submit(case.good())
    return pb.WatchGenerationRequest(id=generation.id, after_revision=generation.revision + 1)


async def saturated_by_its_response(case: Case) -> Message:
    case.running.plan(
        on="submit", prompt=case.prompt, status=429, body={"detail": "full", "code": "account_queue_full"}
    )
    return case.good(fail_when_saturated=True)


async def saturated_before(case: Case) -> Message:
    running = case.running
    busy = {"status": 429, "body": {"detail": "full"}, "headers": {"Retry-After": "60"}}
    running.plan(on="submit", prompt="the first", **busy)
    first = await running.submit(soul("the first", wait_for=pb.WAIT_FOR_STORED))
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for generation in running.history(first.id):
            if generation.HasField("delay"):
                break
    return case.good(fail_when_saturated=True)


async def queue_is_full(case: Case) -> Message:
    for number in range(1 + MAX_WAITING):  # the first one does not wait
        await case.running.submit(soul(f"before, {number}", wait_for=pb.WAIT_FOR_STORED))
    return case.good()


async def draining(case: Case) -> Message:
    running = case.running
    if not running.draining:
        running.plan(on="submit", prompt="on its way", kind="hang")
        await running.submit(soul("on its way", wait_for=pb.WAIT_FOR_STORED))
        await running.begin_drain()
    return case.good()


async def broken_keys_table(case: Case) -> Message:
    _rename(case.running, "keys")
    return case.good()


async def broken_generations_table(case: Case) -> Message:
    generation_id = await case.in_state("COMPLETED")
    _rename(case.running, "generations")
    return pb.GetGenerationRequest(id=generation_id)


async def row_is_damaged(case: Case) -> Message:
    generation_id = await case.in_state("COMPLETED")
    with contextlib.closing(sqlite3.connect(case.running.store_path)) as connection:
        connection.execute("UPDATE generations SET shown = 'canary' WHERE id = ?", (generation_id,))
        connection.commit()
    return pb.GetGenerationRequest(id=generation_id)


async def delete_fails_there(case: Case) -> Message:
    generation_id = await case.in_state("COMPLETED")
    # The gateway repeats the removals of earlier cases, which must not take the fault.
    case.running.plan(on="delete", kind="500", prompt=case.prompt)
    return pb.DeleteGenerationRequest(id=generation_id)


def _rename(running: Running, table: str) -> None:
    with contextlib.closing(sqlite3.connect(running.store_path)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO {table}_away")


def mend(running: Running) -> None:
    """Undo the changes of a row to the store."""
    with contextlib.closing(sqlite3.connect(running.store_path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE '%\\_away' ESCAPE '\\'"):
            connection.execute(f"ALTER TABLE {table} RENAME TO {table.removesuffix('_away')}")


def cancel_while(on: str, **fault: Any) -> Build:
    async def build(case: Case) -> Message:
        generation_id = await case.in_state("QUEUED")
        # The follower polls too, so the fault applies only to calls of the cancel.
        case.running.plan(on=on, **fault)
        return pb.CancelGenerationRequest(id=generation_id)

    return build


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of a protobuf message."""
    length = len(content)
    return bytes((number << 3 | 2, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14)) + content


def _nested(levels: int) -> bytes:
    """Return a submission with nested lists as parameters."""
    value = b""
    for _ in range(levels):
        value = _field(6, _field(1, value))
    entry = _field(1, b"n") + _field(2, value)
    return _field(1, _field(4, _field(2, _field(1, entry))))


def limited(
    reason: str,
    limit: str,
    method_input: dict[str, Any] = GOOD_INPUT,
    plan: dict[str, Any] | None = None,
    **limits: Any,
) -> Row:
    """Return a row for a submission that a limit of the tenant refuses."""

    async def build(case: Case) -> Message:
        await case.running.gateway._core.budgets.set("default", "tenant", Limits(**limits), limits)
        if plan is not None:
            case.running.plan(**plan)
        return ParseDict({"idempotencyKey": case.key, "input": method_input}, pb.SubmitGenerationRequest())

    return Row(
        f"submit: {reason} of {limit}", reason, "SubmitGeneration", build, metadata={"limit": limit} if limit else {},
        transports=("grpc", "connect-json"), alone=True,
    )  # fmt: skip


UNPROCESSABLE = [{"type": "x", "loc": ["body", "custom_reference_id"], "msg": SECRET_TEXT, "input": "canary"}]

ROWS = [
    # Refused by the gateway's own checks.
    bad("no input", "input"),
    bad("an input without kind", "input", input={}),
    bad_soul("no prompt", "prompt", prompt="  "),
    bad_soul("unknown version", "version", version=99),
    bad_soul("unknown aspect ratio", "aspect_ratio", aspectRatio="5:4"),
    bad_soul("unknown resolution", "resolution", resolution="4k"),
    bad_soul("a batch of 2", "batch_size", batchSize=2),
    bad_soul("a size that v1 has not", "width", width=1024, height=1024),
    bad_soul("a size turned round", "width", width=1344, height=1696),
    bad_soul("a width alone", "width", width=2048),
    bad_soul("a height alone", "height", height=1152),
    bad_soul("a size below nothing", "width", width=-2048, height=-1152),
    bad_soul("a size and a ratio", "aspect_ratio", width=2048, height=1152, aspectRatio="16:9"),
    bad_soul("a size for Soul 2", "version", width=2048, height=1152, version=2),
    bad_soul("seed 0", "seed", seed=0),
    bad_soul("seed over a million", "seed", seed=1_000_001),
    bad_soul("strengths out of range", "style_strength", "character_strength", styleId="s", styleStrength=1.5,
             characterId="c", characterStrength=-0.1),
    bad_soul("a strength that is no number", "style_strength", styleId="s", styleStrength="NaN"),
    bad_soul("a strength of nothing", "style_strength", "character_strength", styleStrength=1, characterStrength=1),
    bad_soul("a style for Cinema", "style_id", version=3, styleId="s"),
    bad_soul("a reference for Soul 2", "image_reference_url", version=2, imageReferenceUrl="https://files.example/a"),
    bad_soul("a URL of a file", "image_reference_url", imageReferenceUrl="file:///etc/passwd"),
    replace(
        bad_soul("a URL with a password", "image_reference_url", imageReferenceUrl="https://u:canary@files.example/a"),
        says="must be an http or https URL without a user name, spaces or control characters",
    ),
    bad_soul("a URL with a control character", "image_reference_url", imageReferenceUrl="https://files.example/a\x00b"),
    bad_soul("a host with a control character", "image_reference_url", imageReferenceUrl="https://files.example\x7f/a"),
    bad_dop("unknown variant", "variant", variant=99),
    bad_dop("no image", "image_urls", imageUrls=[]),
    bad_dop("an empty image", "image_urls[0]", imageUrls=[""]),
    bad_dop("three motions", "motions", motions=[{"motionId": "m"}] * 3),
    bad_dop("a motion's strength", "motions[0].strength", motions=[{"motionId": "m", "strength": 2}]),
    bad_dop("a motion without id", "motions[0].motion_id", motions=[{}]),
    bad_dop("an empty second image", "image_urls[1]", imageUrls=["https://files.example/a", ""]),
    bad_speak("no image", "image_url", imageUrl=""),
    bad_speak("no sound", "audio_url", audioUrl=""),
    bad_speak("no prompt", "prompt", prompt=" "),
    bad_speak("a sound of this machine", "audio_url", audioUrl="file:///etc/passwd"),
    bad_speak("a sound that is no WAV", "audio_url", audioUrl="https://files.example/a.MP3?as=.wav"),
    bad_speak("unknown quality", "quality", quality=99),
    bad_speak("7 seconds", "duration_seconds", durationSeconds=7),
    bad_speak("a seed of Speak", "seed", seed=1_000_001),
    bad("outputs of v1 kept shorter", "outputs_ttl", outputsTtl="3600s", input=SPEAK),
    bad("outputs of a size kept shorter", "outputs_ttl", outputsTtl="3600s",
        input={"soul": {"prompt": "a fox", "width": 2048, "height": 1152}}),
    bad_model(""),
    bad_model("../requests/x/cancel"),
    bad_model("requests/x/cancel"),
    bad_model("https://evil.example/model?token=canary"),
    bad_model("/higgsfield-ai/soul/standard"),
    bad_model("higgsfield-ai//soul"),
    bad_model("higgsfield-ai/soul/standard\n"),
    bad_model("higgsfield-ai/soul?x=1"),
    bad_model("models"),
    bad_model("a/" * 6 + "a"),
    bad_model("v1/agent/sessions/11111111-2222-4333-8444-555555555555/interrupt", version=1),
    bad_model("v1/text2image/keyframes", "api_version"),
    bad_model("v1/text2image/keyframes", "api_version", version=2),
    bad_model("v1/text2image/keyframes", "api_version", version=99),
    bad("the form of v1 written by hand", "input.model.api_version",
        input={"model": {"modelId": "generate/kling-2-5", "parameters": {"params": {"prompt": "a fox"}}}}),
    bad("outputs of an endpoint of v1 kept shorter", "outputs_ttl", outputsTtl="3600s",
        input={"model": {"modelId": "v1/text2image/keyframes", "apiVersion": 1}}),
    Row("submit: a parameter that is no number", "INVALID_INPUT", "SubmitGeneration", not_a_number,
        ("input.model.parameters.seed",), transports=("grpc", "connect-proto", "grpc-web")),
    Row("submit: a prompt of 400 KB", "INVALID_INPUT", "SubmitGeneration", too_long, ("input",), again="accepted"),
    bad_field("no key", "idempotency_key", idempotencyKey=""),
    bad_field("a key of 256 characters", "idempotency_key", idempotencyKey="k" * 256),
    bad_field("a key with a space", "idempotency_key", idempotencyKey="my key"),
    bad_field("a key beyond ASCII", "idempotency_key", idempotencyKey="clé"),
    bad_field("33 labels", "labels", labels={f"l{number}": "" for number in range(33)}),
    bad_field("a label that steers a terminal", "labels.color", labels={"color": "\x1b]0;red\x07"}),
    bad_field("a label of two lines", "labels.color", labels={"color": "red\nblue"}),
    bad_field("a label that turns text around", "labels.color", labels={"color": "\u202ered"}),
    bad_field("a label in capitals", "labels", labels={"Color": "red"}),
    bad_field("a label without name", "labels", labels={"": "red"}),
    bad_field("a label's name of 64", "labels", labels={"c" * 64: "red"}),
    bad_field("a label's value of 256", "labels.color", labels={"color": "r" * 256}),
    bad_field("unknown wait_for", "wait_for", waitFor=99),
    bad_field("a negative wait", "wait_timeout", waitTimeout="-1s"),
    bad_field("a wait over 1 h", "wait_timeout", waitTimeout="3601s"),
    bad_field("no time to start", "start_timeout", startTimeout="0s"),
    bad_field("outputs kept under 1 h", "outputs_ttl", outputsTtl="3599s"),
    bad_field("outputs kept for part of a second", "outputs_ttl", outputsTtl="3600.5s"),
    bad("several at once", "idempotency_key", "wait_for", idempotencyKey="", waitFor=99, input=GOOD_INPUT, again=""),
    undecodable("bytes that are no message", b"\xff\xff\xff", "{"),
    undecodable("a number for a text", b"\x10\x01\x12", '{"input": {"soul": {"prompt": 5}}}'),
    undecodable("a text that is not UTF-8", b"\x12\x02\xff\xfe", '"a text"'),
    undecodable("half a surrogate", b"\x12\x03\xed\xa0\x80", '{"idempotencyKey": "\\ud800"}'),
    undecodable("nested too deep", _nested(200), "[" * 60),
    undecodable("half a message", b"\x0a\x7f\x0a", '{"input": {"soul": '),
    bad_json("a text for a number", {"input": {"soul": {"prompt": "a fox", "seed": "many"}}}),
    bad_json("a list for a message", {"input": [GOOD_INPUT]}),
    bad_json("a number for a map", {"input": GOOD_INPUT, "labels": 5}),
    bad_json("nothing in a list", {"input": {"dop": {"prompt": "a fox", "imageUrls": [None]}}}),
    bad_json("a number that is none", {"input": {"soul": {"prompt": "a fox", "seed": float("nan")}}}),
    bad_json("a version by an unknown name", {"input": {"soul": {"prompt": "a fox", "version": "SOUL_VERSION_V9"}}}),
    bad_json("wait_for by an unknown name", {"input": GOOD_INPUT, "waitFor": "WAIT_FOR_EVER"}),
    Row("ListGenerations: a state by an unknown name", "INVALID_INPUT", "ListGenerations", unknown_state_by_name,
        ("request",), transports=("connect-json",)),
    bad_read("GetGeneration", "no id", "id"),
    bad_read("WaitGeneration", "a timeout over 1 h", "timeout", id=UNKNOWN_ID, timeout="3601s"),
    bad_read("ListGenerations", "a negative page", "page_size", pageSize=-1),
    bad_read("ListGenerations", "unknown state", "filter.states[0]", filter={"states": [99]}),
    bad_read("ListGenerations", "1001 ids", "filter.ids", filter={"ids": ["x"] * 1001}),
    bad_read("ListGenerations", "an invalid page token", "page_token", pageToken="AAAA"),
    Row("ListGenerations: a page token of another filter", "INVALID_INPUT", "ListGenerations",
        page_of_another_filter, ("page_token",)),
    Row("ListGenerations: a resume token", "INVALID_INPUT", "ListGenerations", resume_token_as_page, ("page_token",)),
    Row("WatchGenerations: a page token", "INVALID_INPUT", "WatchGenerations", page_token_as_resume, ("resume_token",)),
    bad_read("WatchGenerations", "an invalid resume token", "resume_token", resumeToken="no token at all"),
    Row("WatchGenerations: a resume token of another filter", "INVALID_INPUT", "WatchGenerations",
        resume_of_another_filter, ("resume_token",)),
    bad_read("WatchGenerations", "states", "filter.states", filter={"states": ["GENERATION_STATE_QUEUED"]}),
    bad_read("WatchGenerations", "a key", "filter.idempotency_key", filter={"idempotencyKey": "k"}),
    bad_read("WatchGenerations", "a negative interval of forecasts", "forecast_interval", forecastInterval="-1s"),
    Row("WatchGeneration: a revision that has not happened", "INVALID_INPUT", "WatchGeneration",
        future_revision, ("after_revision",)),
    Row("estimate: what v1 has no price for", "INVALID_INPUT", "EstimateGeneration",
        asking("EstimateGeneration", input=SPEAK), ("input.speak",)),
    Row("estimate: a bad input", "INVALID_INPUT", "EstimateGeneration",
        asking("EstimateGeneration", input={"soul": {"prompt": "a fox", "seed": 0}}), ("input.soul.seed",)),
    bad_read("WatchGenerations", "request ids", "filter.upstream_request_ids",
        filter={"upstreamRequestIds": [UNKNOWN_ID]}),
    bad_read("ListGenerations", "bad request ids", "filter.upstream_request_ids[1]", "filter.upstream_request_ids[2]",
        filter={"upstreamRequestIds": [UNKNOWN_ID, "../cancel", ""]}),
    bad_read("ListGenerations", "a bad label and a bad state", "filter.labels", "filter.states[0]",
        filter={"labels": {"Color": "red"}, "states": [99]}),
    bad_read("AdoptGeneration", "bad fields", "upstream_request_id", "labels", "api_version",
        labels={"NO": "x"}, apiVersion=7),
    bad_read("AdoptGeneration", "no UUID, and bad labels", "upstream_request_id", "labels",
        upstreamRequestId="../cancel", labels={"NO": "x"}),
    # Unknown resources, and resources in the wrong state.
    *(unknown(name) for name in (
        "GetGeneration", "CancelGeneration", "WaitGeneration", "WatchGeneration", "DeleteGeneration",
        "ExplainGeneration",
    )),
    Row("submit: the key of another input", "IDEMPOTENCY_KEY_REUSED", "SubmitGeneration", other_input),
    Row("submit: the key with another outputs_ttl", "IDEMPOTENCY_KEY_REUSED", "SubmitGeneration", other_ttl),
    Row("submit: the key of a deleted generation", "IDEMPOTENCY_KEY_REUSED", "SubmitGeneration", deleted_key),
    in_state("IN_PROGRESS", "NOT_CANCELABLE", "CancelGeneration"),
    in_state("COMPLETED", "NOT_CANCELABLE", "CancelGeneration"),
    in_state("UNCERTAIN", "NOT_CANCELABLE", "CancelGeneration", UPSTREAM_IDEMPOTENCY="off"),
    in_state("QUEUED", "NOT_DONE", "DeleteGeneration"),
    in_state("UNCERTAIN", "NOT_DONE", "DeleteGeneration", UPSTREAM_IDEMPOTENCY="off"),
    # Refused by Higgsfield.
    refused("400", "INPUT_REFUSED", says="Higgsfield refused the input", status=400, body={"detail": SECRET_TEXT}),
    refused("401", "UPSTREAM_CREDENTIALS_REFUSED", status=401, body={"detail": SECRET_TEXT}),
    refused("402", "INSUFFICIENT_CREDITS", status=402, body={"detail": SECRET_TEXT}),
    refused("403", "INSUFFICIENT_CREDITS", status=403, body={"detail": "not_enough_credits"}),
    refused("404", "MODEL_UNKNOWN", status=404, body={"detail": "model_not_found"}),
    refused("422 with a list", "INPUT_REFUSED", "input.soul.character_id", status=422, body={"detail": UNPROCESSABLE}),
    refused("422 with a text", "INPUT_REFUSED", says="refused: Key", status=422, body={"detail": SECRET_TEXT}),
    refused("423", "MODEL_UNAVAILABLE", status=423, body={"detail": "Model is temporarily blocked"}),
    Row("submit: saturated by the response", "UPSTREAM_SATURATED", "SubmitGeneration", saturated_by_its_response,
        again="accepted", kept=True, alone=True, terms={"UPSTREAM_CONCURRENCY": 100}),
    Row("submit: full, known before", "UPSTREAM_SATURATED", "SubmitGeneration", saturated_before, again="stored",
        alone=True),
    adopting("404", "NOT_FOUND", status=404, body={"detail": "Not found"}),
    adopting("401", "UPSTREAM_CREDENTIALS_REFUSED", status=401, body={"detail": SECRET_TEXT}),
    adopting("500", "UPSTREAM_UNAVAILABLE", kind="500"),
    estimating("401", "UPSTREAM_CREDENTIALS_REFUSED", status=401, body={"detail": SECRET_TEXT}),
    estimating("403", "INSUFFICIENT_CREDITS", status=403, body={"detail": "not_enough_credits"}),
    estimating("404", "MODEL_UNKNOWN", status=404, body={"detail": "model_not_found"}),
    estimating("422", "INPUT_REFUSED", "input.soul.character_id", status=422, body={"detail": UNPROCESSABLE}),
    estimating("423", "MODEL_UNAVAILABLE", status=423, body={"detail": "blocked"}),
    estimating("429", "UPSTREAM_UNAVAILABLE", status=429, body={"detail": "slow down"}, headers={"Retry-After": "7"}),
    estimating("500", "UPSTREAM_UNAVAILABLE", kind="500"),
    estimating("HTML", "UPSTREAM_UNAVAILABLE", kind="html"),
    estimating("half a JSON", "UPSTREAM_UNAVAILABLE", kind="half"),
    estimating("nonsense", "UPSTREAM_UNAVAILABLE", body=["canary"]),
    estimating("nothing", "UPSTREAM_UNAVAILABLE", kind="close"),
    Row("DeleteGeneration: Higgsfield says 500", "UPSTREAM_UNAVAILABLE", "DeleteGeneration", delete_fails_there),
    Row("CancelGeneration: Higgsfield says nothing", "UPSTREAM_UNAVAILABLE", "CancelGeneration",
        cancel_while("cancel", kind="reset")),
    # Refused by limits.
    limited("QUOTA_EXCEEDED", "submissions_per_minute", submissions_per_minute=0),
    limited("BUDGET_EXCEEDED", "credits_per_day", credits_per_day=0),
    limited("NOT_ALLOWED", "models", models=("bytedance/",)),
    limited("PRICE_UNKNOWN", "", SPEAK, credits_per_month=1),
    limited("UPSTREAM_UNAVAILABLE", "", plan={"on": "estimate", "kind": "500"}, credits_per_month=1),
    # Failures of the gateway itself.
    Row("submit: our queue is full", "GATEWAY_OVERLOADED", "SubmitGeneration", queue_is_full,
        terms={"UPSTREAM_CONCURRENCY": 1}, alone=True),
    Row("submit: draining", "GATEWAY_UNAVAILABLE", "SubmitGeneration", draining,
        terms={"UPSTREAM_TIMEOUT": 2}, alone=True),
    Row("submit: the store cannot be written", "GATEWAY_UNAVAILABLE", "SubmitGeneration", broken_keys_table,
        again="accepted"),
    Row("GetGeneration: the store cannot be read", "GATEWAY_UNAVAILABLE", "GetGeneration", broken_generations_table),
    Row("GetGeneration: a defect", "INTERNAL", "GetGeneration", row_is_damaged),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses that protect Higgsfield, and the queue."""
    monkeypatch.setattr(sender, "CREDENTIALS_PAUSE", 0.05)
    monkeypatch.setattr(sender, "PROBE_PAUSE", 0.05)
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_WHOLE_ERROR", 0.2)
    monkeypatch.setattr(due_steps, "PAUSE_AFTER_SILENCE", 0.2)
    monkeypatch.setattr(service, "MAX_WAITING", MAX_WAITING)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The gateway shared by all rows that leave it unchanged."""
    async with run(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_a_refusal_is_the_same_over_every_transport_and_loses_nothing(
    shared: Running, tmp_path: Path, row: Row
) -> None:
    async with run(tmp_path, **row.terms) if row.alone else contextlib.nullcontext(shared) as running:
        compared = {name: await _refused(row, Case(running, row.name, name)) for name in row.transports}
        running.clock.advance(60)
    first, *others = compared.values()
    assert all(one == first for one in others), compared


async def _refused(row: Row, case: Case) -> list[str]:
    """Make the call, check its failure, and return the parts that must be the same over every transport."""
    running = case.running
    request = await row.build(case)
    charges = len(running.ledger.charges)
    client = running.transports[case.transport]
    with pytest.raises(RpcFailure) as raised:
        await responses_of(client, row.method, request)
    mend(running)
    error = raised.value
    _check_wire_form(row, error)
    assert len(running.ledger.charges) == charges
    if row.kept:
        await _check_kept(case, error)
    if row.again:
        await _check_key_is_free(row, case)
    return [_normalised(error, case), *(_normalised(detail, case) for detail in error.details)]


def _check_wire_form(row: Row, error: RpcFailure) -> None:
    failure = error.failure
    assert (error.code, error.reason) == (CODES[row.reason], row.reason), error
    assert tuple(error.fields) == row.fields
    assert failure.message == error.message
    assert row.says in error.message
    assert row.metadata.items() <= dict(failure.metadata).items()
    info = error.detail(error_details_pb2.ErrorInfo)
    assert (info.domain, info.reason, info.metadata) == ("hfgateway", row.reason, failure.metadata)
    _check_standard_details(row, error)
    text = "".join(map(str, (error, *error.details)))
    assert not [secret for secret in SECRETS if secret in text]


def _check_standard_details(row: Row, error: RpcFailure) -> None:
    """Check the standard details that error.proto names for the reason against the gateway's own detail."""
    failure = error.failure
    if failure.field_violations:
        violations = error.detail(error_details_pb2.BadRequest).field_violations
        assert [(one.field, one.description) for one in violations] == [
            (one.field, one.description) for one in failure.field_violations
        ]
    if failure.metadata.get("allowed") == "0":  # no retry helps
        assert not failure.retryable
        assert not error.has(error_details_pb2.RetryInfo)
    elif promises_detail(row.reason, "RetryInfo"):
        assert failure.retryable
        delay = error.detail(error_details_pb2.RetryInfo).retry_delay
        assert delay.ToNanoseconds() >= 0
        assert failure.HasField("retry_delay")
        assert failure.retry_delay == delay
    if promises_detail(row.reason, "PreconditionFailure"):
        (violation,) = error.detail(error_details_pb2.PreconditionFailure).violations
        assert violation.subject == row.metadata["state"]


async def _check_kept(case: Case, error: RpcFailure) -> None:
    """Check that the refused submission is a FAILED generation with the id in the error."""
    generation = await case.running.get(error.failure.metadata["generation_id"])
    assert (name_of(generation), generation.idempotency_key) == ("FAILED", case.key)
    assert not generation.HasField("accept_time")
    assert generation.failure.reason == error.failure.reason
    assert generation.failure.message == error.message
    assert generation.failure.field_violations == error.failure.field_violations


async def _check_key_is_free(row: Row, case: Case) -> None:
    wait_for = pb.WAIT_FOR_ACCEPTED if row.again == "accepted" else pb.WAIT_FOR_STORED
    charges = len(case.running.ledger.charges)
    answer = await case.running.grpc.call("SubmitGeneration", case.good(wait_for=wait_for))
    assert not answer.replayed
    assert name_of(answer.generation) == ("QUEUED" if row.again == "accepted" else "PENDING")
    assert len(case.running.ledger.charges) == charges + (row.again == "accepted")


def _normalised(compared: object, case: Case) -> str:
    """Return the text without the parts that differ between two calls or between the two decoders."""
    text = str(compared).replace(case.transport, "*")
    failures = [compared] if isinstance(compared, RpcFailure) else []
    for name in ("generation_id", "incident"):
        for value in _values(compared, name):
            text = text.replace(value, f"<{name}>")
    if failures and "incident" in text:
        text = text[: text.index("incident")]
    for words in ("the JSON is not a", "the bytes are not a"):
        if words in text:
            text = text[: text.index(words)]
    text = re.sub(r"retry_delay \{[^}]*\}", "<delay>", text)  # it has jitter, or lasts until the next minute
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00Z", "<minute>", text)  # a limit begins again with the next minute
    return "".join(line for line in text.splitlines() if "incident" not in line)


def _values(compared: object, name: str) -> Iterator[str]:
    metadata = (
        getattr(compared, "metadata", None) or getattr(getattr(compared, "failure", None), "metadata", None) or {}
    )
    if name in metadata:
        yield metadata[name]
    if isinstance(compared, error_details_pb2.ResourceInfo):
        yield compared.resource_name


WRONG_URLS = [f"ftp://files.example/{number}.png" for number in range(100)]
MANY_WRONG = {
    "labels": soul("a fox", labels={f"COLOR{number}": "red" for number in range(3000)}),
    "request ids": ParseDict({"filter": {"upstreamRequestIds": ["x"] * 1000}}, pb.ListGenerationsRequest()),
    "images": ParseDict({"input": {"dop": {"imageUrls": WRONG_URLS}}}, pb.EstimateGenerationRequest()),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("request_", MANY_WRONG.values(), ids=MANY_WRONG)
async def test_an_error_with_many_fields_fits_into_the_trailers_that_clients_accept(
    shared: Running, request_: Message
) -> None:
    """A client that gets larger trailers reports RESOURCE_EXHAUSTED, and nothing of the gateway's error."""
    with pytest.raises(RpcFailure) as raised:
        await shared.grpc.call(request_.DESCRIPTOR.name.removesuffix("Request"), request_)
    error = raised.value
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert len(error.fields) >= 10
    assert error.message.endswith("…")


SCRIPTS = {"ASCII": "a", "percent": "%", "Cyrillic": "я", "Chinese": "猫", "emoji": "😀"}


def with_bad_labels(text: str) -> Message:
    return soul("a fox", labels={f"{number}{text * 90}": "red" * 100 for number in range(12)})


def with_long_id(text: str) -> Message:
    return pb.GetGenerationRequest(id=text * 500)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize(("build", "reason"), [(with_bad_labels, "INVALID_INPUT"), (with_long_id, "NOT_FOUND")])
async def test_an_error_about_a_text_in_any_script_fits_into_the_trailers(
    shared: Running, build: Callable[[str], Message], reason: str, text: str
) -> None:
    request = build(text)
    with pytest.raises(RpcFailure) as raised:
        await shared.grpc.call(request.DESCRIPTOR.name.removesuffix("Request"), request)
    assert raised.value.reason == reason


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
async def test_a_refusal_by_higgsfield_in_any_script_fits_into_the_trailers(shared: Running, text: str) -> None:
    said = [{"loc": ["body", "prompt"], "msg": text * 500, "type": "x"}]
    case = Case(shared, f"refused in {text}", "grpc")
    shared.plan(on="submit", prompt=case.prompt, status=422, body={"detail": said})
    with pytest.raises(RpcFailure) as raised:
        await shared.grpc.call("SubmitGeneration", case.good())
    assert raised.value.reason == "INPUT_REFUSED"
    assert text * 40 in raised.value.message


TEXTS = st.builds(mul, st.sampled_from(list(SCRIPTS.values())), st.integers(0, 700))
VIOLATIONS = st.lists(st.builds(Violation, TEXTS, TEXTS), max_size=40).map(tuple)


@given(
    reason=st.sampled_from([one for one in Reason if one.name in errors.CODES]),
    message=TEXTS,
    violations=VIOLATIONS,
    metadata=st.dictionaries(st.sampled_from(["generation_id", "limit", "subject", "state"]), TEXTS),
    response=st.none() | TEXTS | st.dictionaries(st.sampled_from(list("abc")), TEXTS),
)
def test_the_trailers_of_every_failure_stay_below_the_limit_of_clients(
    reason: Reason, message: str, violations: tuple[Violation, ...], metadata: dict[str, str], response: Any
) -> None:
    failure = Failure(reason, message, violations, retry_after=1.5, metadata=metadata, response=response)
    error = errors.rpc_error(failure)
    percent_encoded = quote(error.message, safe="".join(map(chr, range(0x20, 0x7F))).replace("%", ""))
    # The rest of the 8 KiB is for other trailers.
    assert len(percent_encoded) + len(b64encode(error.status.SerializeToString())) <= 7_500
    shown = [one for one in error.details if isinstance(one, error_pb2.Failure)]
    assert [one.reason for one in shown] == [reason.value]


@dataclass(frozen=True)
class Held:
    """A response of Higgsfield that does not refuse: the submission returns OK, is delayed, and is then accepted."""

    name: str
    state: str
    delay: str
    fault: dict[str, Any]

    def __str__(self) -> str:
        return self.name


BUSY = {"detail": "Maximum number of concurrent requests (4) has been reached"}
HELD = [
    Held("429", "PENDING", "UPSTREAM_SATURATED",
         {"status": 429, "body": {"detail": "full"}, "headers": {"Retry-After": "0"}}),
    Held("busy", "PENDING", "UPSTREAM_SATURATED", {"status": 400, "body": BUSY}),
    Held("500", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "500"}),
    Held("502 after it was charged", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "502", "processed": True}),
    Held("503", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "503"}),
    Held("HTML", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "html", "processed": True}),
    Held("a page that says 401", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "html", "status": 401}),
    Held("half a JSON", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "half"}),
    Held("JSON of another shape", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"body": ["queued"], "processed": True}),
    Held("a closed connection", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "close"}),
    Held("a reset after it was charged", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "half_reset"}),
    Held("nothing", "UNCERTAIN", "SUBMISSION_UNRESOLVED", {"kind": "hang", "processed": True}),
]  # fmt: skip


@pytest.mark.parametrize("held", HELD, ids=str)
async def test_a_temporary_failure_is_ok_with_a_delay_and_charged_once(tmp_path: Path, held: Held) -> None:
    async with run(tmp_path, UPSTREAM_TIMEOUT=2 if held.name == "nothing" else 5) as running:
        cases = [Case(running, held.name, name) for name in TRANSPORTS]
        stored = await asyncio.gather(*(_stored(held, case) for case in cases))
        await asyncio.gather(*(_held(held, case, one) for case, one in zip(cases, stored, strict=True)))
        assert running.ledger.double_charged_prompts == {}
        assert len(running.ledger.charges) == len(TRANSPORTS)


async def _stored(held: Held, case: Case) -> str:
    case.running.plan(on="submit", prompt=case.prompt, **held.fault)
    answer = await case.running.transports[case.transport].call("SubmitGeneration", case.good())
    assert not answer.generation.done
    return str(answer.generation.id)


async def _held(held: Held, case: Case, generation_id: str) -> None:
    running, client = case.running, case.running.transports[case.transport]
    seen = []
    async with asyncio.timeout(WAIT_TIMEOUT):
        async for one in client.stream("WatchGeneration", pb.WatchGenerationRequest(id=generation_id)):
            seen.append(one.generation)
            if one.generation.HasField("accept_time"):
                running.clock.advance(60)  # end it: a limit learned from a 429 would hold back the others
    assert seen[-1].HasField("accept_time")
    delays = {
        (name_of(one), ErrorReason.Name(one.delay.reason).removeprefix("ERROR_REASON_"))
        for one in seen
        if one.HasField("delay")
    }
    assert (held.state, held.delay) in delays
    assert not seen[-1].HasField("delay")
    assert not any(secret in str(one.delay) for one in seen for secret in SECRETS)


def test_every_documented_reason_has_a_row_or_an_excuse() -> None:
    covered = {row.reason for row in ROWS}
    assert not covered & set(ELSEWHERE)
    promised = frozenset().union(*(reasons_of(method.name) for method in SERVICE.methods))
    assert promised == covered | set(ELSEWHERE)


@pytest.mark.parametrize("method", [method.name for method in SERVICE.methods])
def test_the_rows_of_an_rpc_are_exactly_its_documented_reasons(method: str) -> None:
    common = frozenset.intersection(*(reasons_of(one.name) for one in SERVICE.methods))
    covered = {row.reason for row in ROWS if row.method == method}
    assert covered <= reasons_of(method)
    assert reasons_of(method) - common <= covered
