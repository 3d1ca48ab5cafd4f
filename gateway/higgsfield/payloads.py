"""Parses v2 responses tolerantly: unknown fields are kept, and fields may be missing (upstream.md 2.2)."""

from datetime import UTC, datetime
from typing import Any, TypeGuard
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gateway.errors import Failure, Reason, printable
from gateway.generations.model import MediaKind, Output, RequestId, State, StatusReport, Wall
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
"""The state for each status word of Higgsfield, for requests and for jobs."""
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
LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999. A Timestamp cannot hold later times."""
_DATE = TypeAdapter(datetime)
_OURS = frozenset({"status", "request_id", "status_url", "cancel_url", "error", "expires_at"})


class RequestStatus(BaseModel):
    """The response to a v2 submission or status call."""

    model_config = ConfigDict(extra="allow")

    status: str
    request_id: UUID
    error: Any = None
    expires_at: Any = None


class EstimateAnswer(BaseModel):
    """A price as decimal strings, or the description of a metered price."""

    credits: str | int | float | None = None
    usd: str | int | float | None = None
    pricing_description: str | None = None


def read_status(text: bytes, correlation_id: str, secrets: tuple[str, ...] = ()) -> StatusReport | None:
    """Parse a response, and remove the secrets from its texts; None if it is not a status."""
    try:
        answer = RequestStatus.model_validate_json(text)
    except ValidationError:
        return None
    state = STATES.get(answer.status)
    extra = answer.model_extra or {}
    outputs, understood = _outputs(extra)
    rest = {name: value for name, value in extra.items() if name not in understood and name not in _OURS}
    return StatusReport(
        request_id=RequestId(str(answer.request_id)),
        status=redacted(answer.status, secrets)[:100] if state is None else answer.status,
        state=state,
        outputs=outputs,
        failure=failure_of(state, answer.error, secrets),
        expire_time=read_moment(answer.expires_at),
        other_results=rest or None,
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


def _outputs(fields: dict[str, Any]) -> tuple[tuple[Output, ...], frozenset[str]]:
    """Return the files of a response, without duplicates, and the names of the fields that were parsed."""
    found: dict[str, Output] = {}
    understood = set()
    for name in (name for name in _MEDIA if name in fields):
        kind, value = _MEDIA[name], fields[name]
        items = value if isinstance(value, list) else [value]
        outputs = [output for item in items if (output := _output(name, kind, item)) is not None]
        if outputs and len(outputs) == len(items):
            understood.add(name)
        for output in outputs:
            found.setdefault(output.url, output)
    return tuple(found.values()), frozenset(understood)


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
        name=name.removesuffix("s") if kind is not MediaKind.FILE else name,
        content_type=printable(content_type, 100) if isinstance(content_type, str) else "",
    )


def failure_of(state: State | None, error: object, secrets: tuple[str, ...]) -> Failure | None:
    """Return the failure for an end state; None for a completed or canceled one."""
    if state is State.FAILED:
        said = redacted(error, secrets) if isinstance(error, str) and error.strip() else ""
        return Failure(Reason.GENERATION_FAILED, said or "Higgsfield ended it as failed", retryable=True)
    if state is State.NSFW:
        return Failure(Reason.MODERATED, "refused by Higgsfield's moderation")
    return None


def read_moment(moment: object) -> Wall | None:
    """Parse a date in any common form to wall time; None if it cannot be read, which must not hide the state."""
    if moment is None:
        return None
    try:
        read = _DATE.validate_python(moment)
    except ValidationError:
        return None
    seconds = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    return Wall(seconds) if 0.0 <= seconds <= LAST_MOMENT else None
