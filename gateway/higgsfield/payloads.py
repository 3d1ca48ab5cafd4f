"""What Higgsfield answers, read tolerantly: unknown fields are kept, missing ones forgiven (upstream.md 2.2)."""

from datetime import UTC, datetime
from typing import Any, TypeGuard
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gateway.errors import Failure, Reason, printable
from gateway.generations.model import MediaKind, Output, RequestId, State, StatusReport, Wall
from gateway.higgsfield.examine import examined

STATES = {
    "queued": State.QUEUED,
    "in_progress": State.IN_PROGRESS,
    "completed": State.COMPLETED,
    "failed": State.FAILED,
    "nsfw": State.NSFW,
    "canceled": State.CANCELED,
    "cancelled": State.CANCELED,
}
"""What Higgsfield's words for a status mean, of a request and of a job alike."""
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
"""The end of the year 9999: later times cannot be shown."""
_DATE = TypeAdapter(datetime)
_OURS = frozenset({"status", "request_id", "status_url", "cancel_url", "error", "expires_at"})


class RequestStatus(BaseModel):
    """The one object of the v2 API: answer of a submission and of a status call."""

    model_config = ConfigDict(extra="allow")

    status: str
    request_id: UUID
    error: Any = None
    expires_at: Any = None


class EstimateAnswer(BaseModel):
    """A price in decimal texts, or the description of a metered one."""

    credits: str | int | float | None = None
    usd: str | int | float | None = None
    pricing_description: str | None = None


def read_status(text: bytes, correlation_id: str, secrets: tuple[str, ...] = ()) -> StatusReport | None:
    """The report in an answer's body, its texts without the secrets; None where it is not one."""
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
        status=examined(answer.status, secrets)[:100] if state is None else answer.status,
        state=state,
        outputs=outputs,
        failure=failure_of(state, answer.error, secrets),
        expire_time=read_moment(answer.expires_at),
        other_results=rest or None,
        correlation_id=correlation_id,
    )


def read_request_id(text: bytes, name: str = "request_id") -> str:
    """A request id that can still be found, by its name, in an answer that is otherwise broken, or nothing."""
    marker = text.find(f'"{name}"'.encode())
    if marker < 0:
        return ""
    candidate = text[marker + len(name) + 2 :].lstrip(b' \t\r\n:"')[:36].decode("ascii", "replace")
    try:
        return str(UUID(candidate))
    except ValueError:
        return ""


def _outputs(fields: dict[str, Any]) -> tuple[tuple[Output, ...], frozenset[str]]:
    """The files that an answer lists, each once, and the names of the fields that were understood."""
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
    """Whether it may be shown as the URL of a file: no script, no file of this machine."""
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
    """Why what ended in that state has no output; None where it has one, or was canceled."""
    if state is State.FAILED:
        said = examined(error, secrets) if isinstance(error, str) and error.strip() else ""
        return Failure(Reason.GENERATION_FAILED, said or "Higgsfield ended it as failed", retryable=True)
    if state is State.NSFW:
        return Failure(Reason.MODERATED, "refused by Higgsfield's moderation")
    return None


def read_moment(moment: object) -> Wall | None:
    """A date in any usual form, as wall time; None where it cannot be read, which must not hide a state."""
    if moment is None:
        return None
    try:
        read = _DATE.validate_python(moment)
    except ValidationError:
        return None
    seconds = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    return Wall(seconds) if 0.0 <= seconds <= LAST_MOMENT else None
