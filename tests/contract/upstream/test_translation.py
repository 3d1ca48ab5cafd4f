"""Nothing of Higgsfield's answers is lost: each JSON value is found again in what gRPC returns (docs/translation.md).

Ten thousand mutations of recorded answers pass through the parsers, the table of states, a row of the store and the
wire, as a poll or a webhook does. A pointer whose value is not found fails the test, unless an exception below names
it with a reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from gateway.bounded_json import LARGEST_ERROR
from gateway.errors import GatewayError
from gateway.generations.inputs import SoulInput
from gateway.generations.model import Generation, InputKind, Source, State, StatusReport
from gateway.generations.state import Accepted, Reported, advance
from gateway.higgsfield.agents import HiggsfieldAgents
from gateway.higgsfield.characters import HiggsfieldCharacters
from gateway.higgsfield.errors import AGENT_REASONS, Answer, judge_call, judge_submission
from gateway.higgsfield.jobsets import read_job_set
from gateway.higgsfield.json_values import DEEPEST
from gateway.higgsfield.payloads import read_status
from gateway.higgsfield.webhooks import read_delivery
from gateway.rpc import wire
from gateway.rpc.agents import message_message, session_message
from gateway.rpc.characters import _message as character_message
from gateway.rpc.errors import rpc_error
from gateway.rpc.structs import struct
from gateway.store.codec import at_revision, shown
from hfgateway.agents.v1alpha1 import agent_service_pb2 as agent_pb
from hfgateway.v1 import character_service_pb2 as character_pb
from hfgateway.v1 import generation_pb2
from tests.contract.store import examples
from tests.contract.upstream.mutations import ID, RECORDED, case
from tests.contract.upstream.pointers import (
    Allowed,
    Case,
    Number,
    Pointer,
    Typed,
    at,
    depth,
    fits_a_double,
    loads,
    lost,
    written,
)
from tests.contract.upstream.test_fuzz import peer

SECRETS = ("id:hush-hush", "hush-hush")
FILE = "https://cdn.example.invalid/1"
LINKS = {
    "status_url": f"https://platform.higgsfield.ai/requests/{ID}/status",
    "cancel_url": f"https://platform.higgsfield.ai/requests/{ID}/cancel",
}
DONE = {"status": "completed", "request_id": ID, **LINKS, "expires_at": "2023-11-20T09:00:00Z"}

STATUSES: list[tuple[int, Any]] = [
    *[recorded for recorded in RECORDED if isinstance(recorded[1], dict) and "request_id" in recorded[1]],
    (
        200,
        DONE | {"images": [{"url": f"{FILE}.png", "width": 1024, "seed": 7}, {"url": f"{FILE}-2.png"}], "seed": 2**60},
    ),
    (200, DONE | {"video": {"url": f"{FILE}.mp4", "content_type": "video/mp4", "fps": 23.976, "audio": None}}),
    (200, DONE | {"audio": {"url": f"{FILE}.wav"}, "audios": [{"url": f"{FILE}.wav", "content_type": "audio/wav"}]}),
    (200, {"status": "failed", "request_id": ID, "error": {"code": "timeout", "detail": ["a", 1, None]}}),
    (200, {"status": "failed", "request_id": ID, "error": "no face in https://a/b.png?X-Amz-Signature=abcdef " * 20}),
    (200, {"status": "nsfw", "request_id": ID, "error": "the second image", "images": [{"url": f"{FILE}.png"}]}),
    (200, {"status": "canceled", "request_id": ID, "error": ["by the account"], "by": "hush-hush"}),
    (200, {"status": "resting", "request_id": ID, "images": [{"url": f"{FILE}.png"}], "error": "none yet"}),
    (200, {"status": "in_progress", "request_id": ID, "progress": 0.25, "expires_at": "2023-11-20T09:00:00Z"}),
]
DELIVERIES: list[tuple[int, Any]] = [
    *STATUSES,
    (
        200,
        {
            "request_id": ID,
            "status": "completed",
            "error": None,
            "payload": {"video": {"url": f"{FILE}.mp4", "fps": 25}},
        },
    ),
    (200, {"request_id": ID, "status": "failed", "error": "no", "payload": {"status": "failed", "error": "other"}}),
    (200, {"request_id": ID, "status": "nsfw", "error": None, "payload": None, "expires_at": "2023-11-20T09:00:00Z"}),
]


def job(status: str, number: int, **fields: Any) -> dict[str, Any]:
    files = {name: {"type": "image", "url": f"{FILE}.{number}.{name}.png", "width": 64} for name in ("raw", "min")}
    results = files if status == "completed" else None
    name = str(UUID(int=number))
    return {"id": name, "job_set_type": "text2image_soul", "status": status, "results": results} | fields


def job_set(*jobs: Any, **fields: Any) -> dict[str, Any]:
    params = {
        "prompt": "a dog, rewritten", "width": 1152, "height": 2048, "seed": 38459, "enhance_prompt": True,
        "style_strength": 0.8, "custom_reference": None, "image_reference": {"type": "image_url", "image_url": FILE},
    }  # fmt: skip
    set_ = {"id": ID, "type": "text2image_soul", "created_at": "2025-12-18T09:42:45.182074Z", "jobs": list(jobs)}
    return set_ | {"input_params": params} | fields


JOB_SETS: list[tuple[int, Any]] = [
    (200, job_set(job("queued", 1), job("queued", 2))),
    (200, job_set(job("in_progress", 1), job("queued", 2), job("completed", 3), job("nsfw", 4))),
    (200, job_set(*(job("completed", number) for number in range(4)))),
    (200, job_set(job("failed", 1, error="no face"), job("failed", 2, fail_reason={"code": 7}), job("resting", 3))),
    (200, job_set(job("failed", 1, error="no face " * 100), job("canceled", 2), webhook={"url": FILE, "secret": "s"})),
    (200, job_set(job("completed", 1, results={"raw": {"url": "javascript:x"}}), job("completed", 2, results=None))),
    (200, job_set(job("completed", 1, results={"raw": {"type": "video", "url": FILE}, "mask": {"url": FILE}}))),
]


def _outputs(message: generation_pb2.Generation, answer: Any, pointer: Pointer) -> list[str]:
    return [output.url for output in message.outputs]


def _content_types(message: generation_pb2.Generation, answer: Any, pointer: Pointer) -> list[str]:
    url = at(answer, (*pointer[:-1], "url"))
    return [output.content_type for output in message.outputs if output.url == url]


def _failure(message: generation_pb2.Generation, answer: Any, pointer: Pointer) -> list[Any]:
    return [message.failure.message] if message.HasField("failure") else [None]


_KINDS = "images|image|videos|video|audios|audio|mov|zip|jsx|fbx|ply"
V2 = (
    Typed("(/payload)?/status", lambda message, *_: [message.upstream.status]),
    Typed("(/payload)?/request_id", lambda message, *_: [message.upstream.request_id]),
    Typed("(/payload)?/error", _failure),
    Typed("(/payload)?/expires_at", lambda message, *_: [message.outputs_expire_time.ToJsonString()]),
    Typed(f"(/payload)?/({_KINDS})(/[0-9]+)?/url", _outputs),
    Typed(f"(/payload)?/({_KINDS})(/[0-9]+)?/content_type", _content_types),
)


def _is_documented_link(case: Case) -> bool:
    if re.fullmatch("(/payload)?/(status|cancel)_url", written(case.pointer)) is None:
        return False
    tail = f"/requests/{case.message.upstream.request_id}/{str(case.pointer[-1]).removesuffix('_url')}"
    link = str(case.value)
    return link.endswith(tail) and re.fullmatch("https?://[a-zA-Z0-9.:-]+", link.removesuffix(tail)) is not None


def _is_secret(case: Case) -> bool:
    named = case.pointer[-1:] == ("secret",) or any(secret in str(case.value) for secret in SECRETS)
    return named and "[removed]" in str(case.found)


def _is_unfit_for_logs(case: Case) -> bool:
    if case.pointer and case.found == "[removed]":
        return case.pointer[-1] == "input"
    if any(case.pointer[:length][-1:] == ("input",) for length in range(1, len(case.pointer))):
        return True
    return "?[removed]" in str(case.found) and re.search(r"https?://[^\s\"'<>]*[?#]", str(case.value)) is not None


def _is_too_large_for_an_error(case: Case) -> bool:
    return case.kept is None and not isinstance(case.answer, dict) and len(json.dumps(case.answer)) > LARGEST_ERROR


def _is_left_out(case: Case) -> bool:
    named = case.kept.get("[left out]", {}) if isinstance(case.kept, dict) else {}
    return bool(case.pointer) and str(case.pointer[0])[:100] in named


ALLOWED = (
    Allowed("a link in the documented form holds nothing but the host and the request id", _is_documented_link),
    Allowed("secrets of the gateway are removed", _is_secret),
    Allowed("at most 64 KiB of JSON are kept, and the answer names what is not", _is_left_out),
)
ALLOWED_IN_ERRORS = (
    *ALLOWED,
    Allowed("errors reach logs, so they repeat no input and no query of a URL", _is_unfit_for_logs),
    Allowed("at most 16 KiB of JSON are kept of an error", _is_too_large_for_an_error),
)


def _of_job(message: generation_pb2.Generation, answer: Any, pointer: Pointer) -> list[generation_pb2.Output]:
    name = at(answer, (*pointer[:2], "id"))
    return [output for output in message.outputs if output.job_id and output.job_id == name]


def _file_kind(message: generation_pb2.Generation, answer: Any, pointer: Pointer) -> list[str]:
    url = at(answer, (*pointer[:-1], "url"))
    outputs = [output for output in message.outputs if url in (output.url, output.preview_url)]
    return [generation_pb2.MediaKind.Name(output.kind).removeprefix("MEDIA_KIND_").lower() for output in outputs]


def _job_states(message: generation_pb2.Generation, answer: Any, pointer: Pointer) -> list[str]:
    names = (generation_pb2.GenerationState.Name(output.state) for output in _of_job(message, answer, pointer))
    return [name.removeprefix("GENERATION_STATE_").lower() for name in names]


V1 = (
    Typed("/id", lambda message, *_: [message.upstream.request_id]),
    Typed("/jobs/[0-9]+/id", lambda message, *_: [output.job_id for output in message.outputs]),
    Typed("/jobs/[0-9]+/status", _job_states),
    Typed("/jobs/[0-9]+/results/raw/url", lambda *given: [output.url for output in _of_job(*given)]),
    Typed("/jobs/[0-9]+/results/min/url", lambda *given: [output.preview_url for output in _of_job(*given)]),
    Typed("/jobs/[0-9]+/results/(raw|min)/type", _file_kind),
    Typed("/jobs/[0-9]+/(error|fail_reason)", _failure),
)


# -- Generations -------------------------------------------------------------------------------------------------------


def message_after(before: Generation, observation: Reported | Accepted) -> generation_pb2.Generation:
    """Return the message that a caller reads after the observation was stored."""
    after = advance(before, observation, examples.moment(10.0))
    if after is None:
        after = before
    bare = replace(after, outputs=(), failure=None, other_results=None, used_input=None)
    stored = at_revision(bare, after.revision, shown(after))
    return generation_pb2.Generation.FromString(wire.shown(stored, include_input=True))


def kept(message: generation_pb2.Generation) -> dict[str, Any]:
    """Return the struct of a generation, with the input that was used in its place in the answer."""
    found = MessageToDict(message.upstream.other_results)
    if message.HasField("used_input"):
        found["input_params"] = MessageToDict(message.used_input)
    return found


def befores(request_id: str, api: str) -> list[Generation]:
    """Return generations that wait for an answer about this request."""
    sending = examples.marked(examples.generation(api=api, input=b""))
    queued = examples.accepted(sending, request_id)
    return [queued, examples.reported(queued, State.IN_PROGRESS), sending]


def assert_nothing_lost(
    report: StatusReport | None, body: bytes, api: str, typed: Sequence[Typed], number: int
) -> bool:
    """Fail if a value of a readable answer is lost; return whether it is readable."""
    if report is None:
        return False
    before = befores(report.request_id, api)[number % 3]
    observation = Reported(report, Source.POLL) if before.request_id else Accepted(report)
    message = message_after(before, observation)
    gone = lost(loads(body), message, kept(message), typed, ALLOWED)
    assert gone == [], f"case({number}) {body[:2000]!r}\n{message}"
    return True


def readable(body: bytes, *names: str) -> bool:
    """Return whether a body is an object with a status, if it needs one, and an id."""
    try:
        content = loads(body)
        if depth(content) > DEEPEST:
            return False
        return isinstance(content, dict) and all(
            type(content[name]) is str and UUID(content[names[0]]) for name in names
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


@dataclass(frozen=True)
class Kind:
    """A kind of answers: how it is read, where its values are, and the names that it needs, the id first."""

    read: Callable[[bytes], StatusReport | None]
    recorded: list[tuple[int, Any]]
    api: str
    typed: Sequence[Typed]
    names: tuple[str, ...]
    cases: int


KINDS = {
    "status": Kind(lambda body: read_status(body, "", SECRETS), STATUSES, "v2", V2, ("request_id", "status"), 3500),
    "webhook": Kind(lambda body: read_delivery(body, SECRETS), DELIVERIES, "v2", V2, (), 2500),
    "job set": Kind(lambda body: read_job_set(body, "", SECRETS), JOB_SETS, "v1", V1, ("id",), 2500),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_value_of_an_answer_about_a_generation_is_found_again(name: str) -> None:
    kind = KINDS[name]
    for _, content in kind.recorded:
        body = json.dumps(content).encode()
        for number in range(3):
            assert assert_nothing_lost(kind.read(body), body, kind.api, kind.typed, number)
    found = 0
    for number in range(kind.cases):
        body = case(number, kind.recorded).body
        report = kind.read(body)
        assert report is not None or not kind.names or not readable(body, *kind.names), body
        found += assert_nothing_lost(report, body, kind.api, kind.typed, number)
    assert found > kind.cases / 2


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
        answer = Answer(status, "application/json", None, "", body)
        judged = judge_submission(answer, InputKind.SOUL, SECRETS)
        called = judge_call(answer, InputKind.NONE, SECRETS, AGENT_REASONS).failure
        for failure in (judged.failure, called):
            try:
                content = loads(body)
            except (ValueError, RecursionError):
                assert failure.response is None
                continue
            if depth(content) > DEEPEST:
                continue
            before = replace(examples.generation(input=b""), delay=failure)
            stored = at_revision(replace(before, delay=None), before.revision, shown(before))
            message = generation_pb2.Generation.FromString(wire.shown(stored, include_input=True)).delay
            gone = lost(content, message, MessageToDict(message).get("upstreamResponse"), (), ALLOWED_IN_ERRORS)
            assert gone == [], f"case({number}) {body[:2000]!r}\n{message}"
            found += 1
            assert rpc_error(failure).details[0].upstream_response.ByteSize() <= 4096
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
    Typed("/fail_reason", _failure),
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
                if depth(content) > DEEPEST or not re.fullmatch("[0-9a-fA-F-]{36}", str(content["id"])):
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
