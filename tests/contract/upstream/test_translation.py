"""Nothing of Higgsfield's responses is lost: each JSON value is found again in what gRPC returns (docs/translation.md).

Ten thousand mutations of recorded responses pass through the parsers, the table of states, a row of the store and the
wire, as a poll or a webhook does. A pointer whose value is not found fails the test, unless an exception below names
it with a reason.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from gateway.bounded_json import MAX_KEPT_ERROR_BYTES
from gateway.errors import GatewayError
from gateway.generations.inputs import SoulInput
from gateway.generations.model import InputKind
from gateway.higgsfield.agents import HiggsfieldAgents
from gateway.higgsfield.characters import HiggsfieldCharacters
from gateway.higgsfield.errors import AGENT_REASONS, Response, judge_call, judge_submission
from gateway.higgsfield.json_values import MAX_DEPTH
from gateway.rpc.errors import rpc_error
from gateway.rpc.handlers.agents import message_message, session_message
from gateway.rpc.handlers.characters import _message as character_message
from gateway.rpc.messages import wire
from gateway.rpc.messages.structs import struct
from gateway.store.codec import at_revision, shown
from harness.responses.generations import ALLOWED, FILE, KINDS, SECRETS, SHARES, failure_of, lost_values, readable
from harness.responses.mutations import ID, RECORDED, case
from harness.responses.pointers import (
    Allowed,
    Case,
    Number,
    Typed,
    depth,
    fits_a_double,
    loads,
    lost,
)
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agent_pb
from hfgateway.v1 import character_service_pb2 as character_pb
from hfgateway.v1 import generation_pb2
from tests.contract.store import examples
from tests.contract.upstream.test_fuzz import peer


def _is_unfit_for_logs(case: Case) -> bool:
    if case.pointer and case.found == "[removed]":
        return case.pointer[-1] == "input"
    if any(case.pointer[:length][-1:] == ("input",) for length in range(1, len(case.pointer))):
        return True
    return "?[removed]" in str(case.found) and re.search(r"https?://[^\s\"'<>]*[?#]", str(case.value)) is not None


def _is_too_large_for_an_error(case: Case) -> bool:
    return (
        case.kept is None and not isinstance(case.answer, dict) and len(json.dumps(case.answer)) > MAX_KEPT_ERROR_BYTES
    )


ALLOWED_IN_ERRORS = (
    *ALLOWED,
    Allowed("errors reach logs, so they repeat no input and no query of a URL", _is_unfit_for_logs),
    Allowed("at most 16 KiB of JSON are kept of an error", _is_too_large_for_an_error),
)


# -- Generations -------------------------------------------------------------------------------------------------------

CASES = 8_500


@pytest.mark.parametrize("name", KINDS)
def test_each_value_of_an_answer_about_a_generation_is_found_again(name: str) -> None:
    kind, cases = KINDS[name], round(CASES * SHARES[name])
    for _, content in kind.recorded:
        for number in range(3):
            assert lost_values(kind, json.dumps(content).encode(), number) == []
    found = 0
    for number in range(cases):
        body = case(number, kind.recorded).body
        gone = lost_values(kind, body, number)
        assert not gone, f"case({number}) {body[:2000]!r}"
        assert gone is not None or not kind.names or not readable(kind, body), f"case({number}) {body[:2000]!r}"
        found += gone is not None
    assert found > cases / 2


# -- Errors ------------------------------------------------------------------------------------------------------------

REFUSALS: list[tuple[int, Any]] = [
    *[recorded for recorded in RECORDED if recorded[0] >= 400],
    (422, {"detail": [{"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": {"a": 2**60}}]}),
    (400, {"detail": "no", "code": "bad_input", "errors": {"prompt": ["too long", {"limit": 2500}]}}),
    (429, {"code": "account_queue_full", "limit": 20, "queued": [], "hint": None, "key": "hush-hush"}),
    (500, {"error": {"message": "unexpected", "trace": "0123"}}),
    (503, ["model", "disabled"]),
    (409, "session_busy"),
]


def test_each_value_of_an_error_is_found_again() -> None:
    found = 0
    for number in range(-len(REFUSALS), 1000):
        mutated = case(number, REFUSALS)
        status, body = (mutated.status, mutated.body) if number >= 0 else _recorded(REFUSALS[number])
        answer = Response(status, "application/json", None, "", body)
        judged = judge_submission(answer, InputKind.SOUL, SECRETS)
        called = judge_call(answer, InputKind.NONE, SECRETS, AGENT_REASONS).failure
        for failure in (judged.failure, called):
            try:
                content = loads(body)
            except (ValueError, RecursionError):
                assert failure.response is None
                continue
            if depth(content) > MAX_DEPTH:
                continue
            before = replace(examples.generation(input=b""), delay=failure)
            stored = at_revision(replace(before, delay=None), before.revision, shown(before))
            message = generation_pb2.Generation.FromString(wire.shown(stored, include_input=True)).delay
            gone = lost(content, message, MessageToDict(message).get("upstreamResponse"), (), ALLOWED_IN_ERRORS)
            assert gone == [], f"case({number}) {body[:2000]!r}\n{message}"
            found += 1
            assert rpc_error(failure).details[0].upstream_response.ByteSize() <= 4096  # type: ignore[attr-defined]
    assert found > 1000


def _recorded(recorded: tuple[int, Any]) -> tuple[int, bytes]:
    return recorded[0], json.dumps(recorded[1]).encode()


# -- Characters and agents ---------------------------------------------------------------------------------------------

REFERENCE = {
    "id": ID, "name": "Anna", "model_version": "v2", "status": "failed", "created_at": "2026-11-20T09:00:00.123Z",
    "thumbnail_url": f"{FILE}.png", "in_progress_at": None, "fail_reason": "too few faces", "usage": {"images": 12},
}  # fmt: skip
REFERENCES: list[tuple[int, Any]] = [
    (200, REFERENCE),
    (200, REFERENCE | {"status": "completed", "fail_reason": None, "in_progress_at": "2026-11-20T09:00:01Z"}),
    (200, REFERENCE | {"status": "failed", "fail_reason": {"code": 3}, "thumbnail_url": None, "model_version": "v9"}),
    (200, REFERENCE | {"status": "resting", "name": None, "thumbnail_url": "javascript:x", "created_at": "soon"}),
]
CHARACTER = (
    Typed("/id", lambda message, *_: [message.id]),
    Typed("/name", lambda message, *_: [message.name]),
    Typed("/model_version", lambda message, *_: [SOUL_VERSIONS.get(message.version)]),
    Typed("/status", lambda message, *_: [_word(character_pb.CharacterState, "CHARACTER_STATE_", message.state)]),
    Typed("/thumbnail_url", lambda message, *_: [message.thumbnail_url or None]),
    Typed("/fail_reason", failure_of),
    Typed("/created_at", lambda message, *_: [message.create_time.ToJsonString()]),
)
SOUL_VERSIONS = {1: "v1", 2: "v2", 3: "cinema"}


def _word(enum: Any, prefix: str, number: int) -> str:
    return str(enum.Name(number)).removeprefix(prefix).lower()


async def test_each_value_of_a_character_is_found_again() -> None:
    found = 0
    async with peer() as (one, client):
        characters = HiggsfieldCharacters(client)
        for number in range(300):
            one.answer = case(number, REFERENCES)
            try:
                content = loads(one.answer.body)
                if depth(content) > MAX_DEPTH or not re.fullmatch("[0-9a-fA-F-]{36}", str(content["id"])):
                    continue
                character = await characters.find(content["id"].lower())
            except (GatewayError, ValueError, LookupError, TypeError, RecursionError):
                continue
            assert character is not None
            message = character_message(character)
            gone = lost(content, message, MessageToDict(message.extra), CHARACTER, ALLOWED)
            assert gone == [], f"case({number}) {one.answer.body[:2000]!r}\n{message}"
            found += 1
    assert found > 100


def _row(role: str, message: Any, **fields: Any) -> dict[str, Any]:
    row = {"message_id": f"m-{role}", "role": role, "status": "completed", "message": message}
    return row | {"created_at": "2026-11-20T09:00:00Z", "llm_cost_usd": None} | fields


ASSET = {"type": "file", "url": f"{FILE}.png", "mediaType": "image/png", "size": 1024}
CONFIG = {"model": "one", "limits": {"usd": "1.50", "steps": 2**60}}
TRANSCRIPTS: list[tuple[int, Any]] = [
    (200, {"status": "idle", "config": CONFIG, "messages": [_row("user", {"type": "text", "text": "a fox"})]}),
    (200, {"status": "processing", "messages": [_row("user", "a fox", llm_cost_usd="0.020"), _row("tool", None)]}),
    (200, {"status": "awaiting_input", "messages": [
        _row("assistant", {"id": "m", "role": "assistant", "parts": [
            {"type": "step-start"}, {"type": "reasoning", "text": "hm", "state": "done"},
            {"type": "text", "text": "one"}, {"type": "text", "text": "two\nthree"}, ASSET,
            {"type": "tool-generate", "toolCallId": "t", "input": {"prompt": "x"}, "output": {"assets": [ASSET]}},
        ]}, assets=[ASSET], llm_cost_usd=0.25),
    ]}),
]  # fmt: skip
SESSION = (Typed("/status", lambda message, *_: [message.upstream_status]),)
ROW = (
    Typed("/message_id", lambda message, *_: [message.id]),
    Typed("/role", lambda message, *_: [_word(agent_pb.Role, "ROLE_", message.role)]),
    Typed("/status", lambda message, *_: [_word(agent_pb.MessageState, "MESSAGE_STATE_", message.state)]),
    Typed("/created_at", lambda message, *_: [message.create_time.ToJsonString()]),
    Typed("/llm_cost_usd", lambda message, *_: [message.llm_cost_usd or None]),
    Typed("/message(/text|/parts/[0-9]+/text)?", lambda message, *_: [message.text, message.reasoning]),
)


async def test_each_value_of_a_session_and_its_messages_is_found_again() -> None:
    found = 0
    async with peer() as (one, client):
        agents = HiggsfieldAgents(client)
        for number in range(300):
            one.answer = case(number, TRANSCRIPTS)
            try:
                content = loads(one.answer.body)
                transcript = await agents.messages("s", "")
            except (GatewayError, ValueError, RecursionError):
                continue
            session = session_message(transcript.session)
            about = {name: value for name, value in content.items() if name != "messages"}
            gone = lost(about, session, MessageToDict(session.extra), SESSION, ALLOWED) if about else []
            rows = [row for row in content.get("messages", []) if _is_row(row)]
            assert len(rows) == len(transcript.messages), one.answer.body
            for row, read in zip(rows, transcript.messages, strict=True):
                message = message_message(read)
                gone += lost(row, message, MessageToDict(message.extra), ROW, ALLOWED)
                found += 1
            assert gone == [], f"case({number}) {one.answer.body[:2000]!r}"
    assert found > 100


def _is_row(row: Any) -> bool:
    """Return whether a row is a message with an id that can be asked for."""
    name = row.get("message_id") if isinstance(row, dict) else None
    if not isinstance(name, str) or (isinstance(name, Number) and fits_a_double(name)):
        return False
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name) is not None and ".." not in name


ESTIMATES: list[tuple[int, Any]] = [
    (200, {"type": "estimate", "credits": "5.544", "usd": "0.347", "discount": {"percentage": "45", "usd": "0.284"}}),
    (200, {"type": "estimate", "credits": 5, "usd": 0.1, "valid_until": None}),
    (200, {"type": "description", "pricing_description": "0.2056 USD for each second at 480p"}),
]
ESTIMATE = tuple(
    Typed(f"/{name}", lambda estimate, _, pointer: [getattr(estimate, str(pointer[0]).removeprefix("pricing_"))])
    for name in ("credits", "usd", "pricing_description")
)


async def test_each_value_of_an_estimate_is_found_again() -> None:
    found = 0
    async with peer() as (one, client):
        for number in range(300):
            one.answer = case(number, ESTIMATES)
            try:
                content = loads(one.answer.body)
                estimate = await client.estimate(SoulInput("a fox"))
            except (GatewayError, ValueError, RecursionError):
                continue
            extra = MessageToDict(struct(estimate.extra) or Struct())
            assert lost(content, estimate, extra, ESTIMATE, ALLOWED) == [], f"case({number}) {one.answer.body[:2000]!r}"
            found += 1
    assert found > 100
