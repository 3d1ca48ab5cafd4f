"""Recorded responses about generations, and whether a caller can read all of their values: docs/translation.md.

A response passes through the parsers, the table of states, a row and the wire, as a poll or a webhook does.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from google.protobuf.json_format import MessageToDict

from gateway.generations.model import (
    Api,
    Generation,
    GenerationId,
    IdempotencyKey,
    Moment,
    RequestId,
    Source,
    Spec,
    State,
    StatusReport,
    Steady,
    Wall,
)
from gateway.generations.state import Accepted, Marked, Observation, Reported, advance
from gateway.higgsfield.jobsets import read_job_set
from gateway.higgsfield.json_values import MAX_DEPTH
from gateway.higgsfield.payloads import read_status
from gateway.higgsfield.webhooks import read_webhook
from gateway.rpc.messages import wire
from gateway.store.codec import at_revision, shown
from harness.responses.mutations import ID, RECORDED
from harness.responses.pointers import Allowed, Case, Pointer, Typed, at, depth, loads, lost, written
from hfgateway.v1 import generation_pb2

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
    """Return a job of a v1 job set, with some fields replaced or added."""
    files = {name: {"type": "image", "url": f"{FILE}.{number}.{name}.png", "width": 64} for name in ("raw", "min")}
    results = files if status == "completed" else None
    name = str(UUID(int=number))
    return {"id": name, "job_set_type": "text2image_soul", "status": status, "results": results} | fields


def job_set(*jobs: Any, **fields: Any) -> dict[str, Any]:
    """Return a v1 job set, with some fields replaced or added."""
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


def failure_of(message: generation_pb2.Generation, answer: Any, pointer: Pointer) -> list[Any]:
    """Return the text of a message's failure; None if it has none."""
    return [message.failure.message] if message.HasField("failure") else [None]


_KINDS = "images|image|videos|video|audios|audio|mov|zip|jsx|fbx|ply"
V2 = (
    Typed("(/payload)?/status", lambda message, *_: [message.upstream.status]),
    Typed("(/payload)?/request_id", lambda message, *_: [message.upstream.request_id]),
    Typed("(/payload)?/error", failure_of),
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


def _is_left_out(case: Case) -> bool:
    named = case.kept.get("[left out]", {}) if isinstance(case.kept, dict) else {}
    return bool(case.pointer) and str(case.pointer[0])[:100] in named


ALLOWED = (
    Allowed("a link in the documented form holds nothing but the host and the request id", _is_documented_link),
    Allowed("secrets of the gateway are removed", _is_secret),
    Allowed("at most 64 KiB of JSON are kept, and the answer names what is not", _is_left_out),
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
    Typed("/jobs/[0-9]+/(error|fail_reason)", failure_of),
)


@dataclass(frozen=True)
class Kind:
    """A kind of responses. `typed` says where its values are; `names` are those that it must have, the id first."""

    read: Callable[[bytes], StatusReport | None]
    recorded: list[tuple[int, Any]]
    api: Api
    typed: Sequence[Typed]
    names: tuple[str, ...]


KINDS = {
    "status": Kind(lambda body: read_status(body, "", SECRETS), STATUSES, "v2", V2, ("request_id", "status")),
    "webhook": Kind(lambda body: read_webhook(body, SECRETS), DELIVERIES, "v2", V2, ()),
    "job set": Kind(lambda body: read_job_set(body, "", SECRETS), JOB_SETS, "v1", V1, ("id",)),
}
SHARES = {"status": 0.4, "webhook": 0.3, "job set": 0.3}
"""The share of each kind in a run."""


def message_after(before: Generation, observation: Reported | Accepted) -> generation_pb2.Generation:
    """Return the message that a caller reads after the observation was stored."""
    after = advance(before, observation, Moment(Steady(1_700_000_010.0), Wall(1_700_000_010.0))) or before
    bare = replace(after, outputs=(), failure=None, other_results=None, used_input=None)
    stored = at_revision(bare, after.revision, shown(after))
    return generation_pb2.Generation.FromString(wire.shown(stored, include_input=True))


def _kept(message: generation_pb2.Generation) -> dict[str, Any]:
    """Return the struct of a generation, with the input that was used in its place in the response."""
    found = MessageToDict(message.upstream.other_results)
    if message.HasField("used_input"):
        found["input_params"] = MessageToDict(message.used_input)
    return found


def _waiting(request_id: str, api: Api) -> list[Generation]:
    """Return generations that wait for a response about this request: queued, running, and being sent."""
    now = Moment(Steady(1_700_000_000.0), Wall(1_700_000_000.0))
    spec = Spec(
        GenerationId("00000000-0000-7000-8000-000000000001"), "tenant", "example/model", api, "account",
        "https://api.example.invalid", b"", {}, IdempotencyKey("key"), now.wall, now.steady,
    )  # fmt: skip
    sending = _after(Generation(spec, update_time=now.wall), Marked("owner"), now)
    queued = _after(sending, Accepted(StatusReport(RequestId(request_id), "queued", State.QUEUED)), now)
    report = StatusReport(RequestId(request_id), "in_progress", State.IN_PROGRESS)
    return [queued, _after(queued, Reported(report, Source.POLL), now), sending]


def _after(before: Generation, observation: Observation, now: Moment) -> Generation:
    after = advance(before, observation, now)
    assert after is not None
    return after


def lost_values(kind: Kind, body: bytes, number: int) -> list[tuple[str, Any]] | None:
    """Return the pointers and values of a response that no caller can read; None if it is no readable response.

    `number` chooses the state of the generation that receives it.
    """
    report = kind.read(body)
    if report is None:
        return None
    before = _waiting(report.request_id, kind.api)[number % 3]
    observation = Reported(report, Source.POLL) if before.request_id else Accepted(report)
    message = message_after(before, observation)
    return lost(loads(body), message, _kept(message), kind.typed, ALLOWED)


def readable(kind: Kind, body: bytes) -> bool:
    """Return whether a body must be readable: an object with a status, if it needs one, and an id."""
    try:
        content = loads(body)
        if depth(content) > MAX_DEPTH or not isinstance(content, dict):
            return False
        return all(type(content[name]) is str and UUID(content[kind.names[0]]) for name in kind.names)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
