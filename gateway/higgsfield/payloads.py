"""Parses v2 responses tolerantly: unknown fields are kept, and fields may be missing."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.errors import Failure, Reason, printable
from gateway.generations.model import LAST_SECOND, MediaKind, Output, RequestId, State, StatusReport, Wall
from gateway.higgsfield.json_values import Path, clean_and_bound, parse_object, without
from gateway.higgsfield.redact import redacted

STATES = {
    "queued": State.QUEUED,
    "in_progress": State.IN_PROGRESS,
    "completed": State.COMPLETED,
    "failed": State.FAILED,
    "nsfw": State.NSFW,
    "canceled": State.CANCELED,
    "cancelled": State.CANCELED,
}
"""The state for each status word of Higgsfield in lower case, for requests and for jobs."""
_MEDIA = {
    "images": MediaKind.IMAGE,
    "image": MediaKind.IMAGE,
    "videos": MediaKind.VIDEO,
    "video": MediaKind.VIDEO,
    "audios": MediaKind.AUDIO,
    "audio": MediaKind.AUDIO,
    "mov": MediaKind.VIDEO,
    "zip": MediaKind.FILE,
    "jsx": MediaKind.FILE,
    "fbx": MediaKind.FILE,
    "ply": MediaKind.FILE,
}
_DATE = TypeAdapter(datetime)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AMOUNT = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
MAX_AMOUNT_LENGTH = 100
_HOST = re.compile(r"https?://[A-Za-z0-9.:-]{1,255}")


class EstimateResponse(BaseModel):
    """A price as decimal strings, or the description of a metered price."""

    credits: str | int | float | None = None
    usd: str | int | float | None = None
    pricing_description: str | None = None


def read_amount(value: str | float | None) -> str:
    """Return an amount as Higgsfield wrote it; empty if it is no decimal number of at least 0."""
    text = "" if value is None else str(value)
    usable = len(text) <= MAX_AMOUNT_LENGTH and _AMOUNT.fullmatch(text) and math.isfinite(float(text))
    return text if usable else ""


def read_status(text: bytes, correlation_id: str, secrets: tuple[str, ...]) -> StatusReport | None:
    """Parse a response, and remove the secrets from its texts; None if it is not a status."""
    return status_report(parse_object(text), {}, len(text), correlation_id, secrets)


def status_report(
    content: Mapping[str, Any], payload: Mapping[str, Any], size: int, correlation_id: str, secrets: tuple[str, ...]
) -> StatusReport | None:
    """Return the report of a parsed response of `size` bytes; None if it is not a status.

    `payload` are the fields of the status that are in its member `payload` instead of at the top.
    """
    fields = {**payload, **content} if payload else content
    word, request_id = fields.get("status"), uuid_of(fields.get("request_id"))
    if not isinstance(word, str) or request_id is None:
        return None
    state = STATES.get(word.lower())
    status = redacted(word, secrets)[:100] if state is None else word
    failure = failure_of(state, fields.get("error"), secrets)
    expires_at = fields.get("expires_at")
    expire_time = read_moment(expires_at) if state is State.COMPLETED else None
    outputs, taken = _outputs(fields)
    exact = {
        "status": status == word,
        "request_id": request_id == fields["request_id"],
        "error": fields.get("error") == (failure.message if failure else None),
        "expires_at": expire_time is not None and written(expire_time) == expires_at,
        "status_url": _is_documented(fields, request_id, "status"),
        "cancel_url": _is_documented(fields, request_id, "cancel"),
    }
    taken += [(name,) for name, same in exact.items() if same]
    if payload:
        taken = [("payload", *path) if path[0] in payload else path for path in taken]
    try:
        rest = clean_and_bound(without(content, taken), size, secrets)
    except ValueError:
        return None
    return StatusReport(
        request_id=RequestId(request_id),
        status=status,
        state=state,
        outputs=outputs,
        failure=failure,
        expire_time=expire_time,
        other_results=rest,
        response=lambda: clean_and_bound(content, size, secrets),
        correlation_id=correlation_id,
    )


def read_request_id(text: bytes, name: str = "request_id") -> str:
    """Return the request id in a truncated response, found by its field name; empty if there is none."""
    marker = text.find(f'"{name}"'.encode())
    if marker < 0:
        return ""
    candidate = text[marker + len(name) + 2 :].lstrip(b' \t\r\n:"')[:36].decode("ascii", "replace")
    try:
        return str(UUID(candidate))
    except ValueError:
        return ""


def _outputs(fields: Mapping[str, Any]) -> tuple[tuple[Output, ...], list[Path]]:
    """Return the files of a response, without duplicates, and the paths of the values that they have."""
    found: dict[str, Output] = {}
    taken: list[Path] = []
    for name in (name for name in _MEDIA if name in fields):
        kind, value = _MEDIA[name], fields[name]
        items: list[tuple[Path, Any]] = [((name,), value)]
        if isinstance(value, list):
            items = [((name, index), item) for index, item in enumerate(value)]
        for path, item in items:
            output = _output(name, kind, item)
            if output is None:
                continue
            output = found.setdefault(output.url, output)
            taken.append((*path, "url"))
            if item.get("content_type") == output.content_type:
                taken.append((*path, "content_type"))
    return tuple(found.values()), taken


def _is_documented(fields: Mapping[str, Any], request_id: str, call: str) -> bool:
    """Return whether the URL of a call has its documented form, in which only the host is news."""
    url = fields.get(f"{call}_url")
    tail = f"/requests/{request_id}/{call}"
    return isinstance(url, str) and url.endswith(tail) and _HOST.fullmatch(url.removesuffix(tail)) is not None


def is_link(url: object) -> TypeGuard[str]:
    """Return whether a value is safe to show as a file's URL: http or https, no script and no local file."""
    return isinstance(url, str) and url.startswith(("http://", "https://")) and url.isprintable()


def _output(name: str, kind: MediaKind, item: object) -> Output | None:
    if not isinstance(item, dict):
        return None
    url = item.get("url")
    if not is_link(url):
        return None
    content_type = item.get("content_type")
    return Output(
        state=State.COMPLETED,
        kind=kind,
        url=url,
        name=name.removesuffix("s"),
        content_type=printable(content_type, 100) if isinstance(content_type, str) else "",
    )


def failure_of(state: State | None, error: object, secrets: tuple[str, ...]) -> Failure | None:
    """Return the failure for an end state; None for a completed or canceled one."""
    if state is State.FAILED:
        said = redacted(error, secrets) if isinstance(error, str) else ""
        return Failure(Reason.GENERATION_FAILED, said or "Higgsfield ended it as failed", retryable=True)
    if state is State.NSFW:
        return Failure(Reason.MODERATED, "refused by Higgsfield's moderation")
    return None


def uuid_of(value: object) -> str | None:
    """Return a UUID in its usual form; None if the value is none."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return value
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def written(moment: Wall) -> str:
    """Return a moment as the messages of the API have it in JSON: with 0, 3 or 6 digits of its fraction."""
    seconds, micros = divmod(round(moment * 1_000_000), 1_000_000)
    fraction = f".{micros:06}".removesuffix("000") if micros else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def read_moment(moment: object) -> Wall | None:
    """Parse a date in any common form to wall time; None if it cannot be read, which must not hide the state.

    The time 0 is none either: programs write it for a date that is not set.
    """
    if moment is None:
        return None
    try:
        read = _DATE.validate_python(moment)
    except ValidationError:
        return None
    seconds = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    return Wall(seconds) if 0.0 < seconds <= LAST_SECOND else None
