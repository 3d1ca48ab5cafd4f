"""Maps HTTP responses and failures to outcomes, for submissions and for all other calls.

The statuses are those of Higgsfield's documentation, the texts also those that users have seen.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from gateway import headers
from gateway.errors import Failure, GatewayError, Reason, Violation, path_below, upstream_unavailable
from gateway.frozen import frozen
from gateway.generations.model import InputKind
from gateway.generations.ports import MAX_RETRY_AFTER, MaybeTaken, NotTaken
from gateway.higgsfield import v1, v2
from gateway.higgsfield.json_values import parse_object, response_of
from gateway.higgsfield.redact import redacted

CONCURRENCY_TEXT = "maximum number of concurrent requests"
"""The text of the only 400 that means "retry later" (Higgsfield's documentation)."""
QUEUE_FULL = "account_queue_full"
"""The code of the 429 for a full queue. Higgsfield documents the code, and not where it is in the response."""
KEY_MISMATCH_TEXT = "idempotency-key"
"""The text of the 422 for a key that belongs to other content, as another client recognizes it."""
CERTAIN_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout)

REASONS = {
    400: Reason.INPUT_REFUSED,
    401: Reason.UPSTREAM_CREDENTIALS_REFUSED,
    402: Reason.INSUFFICIENT_CREDITS,
    403: Reason.INSUFFICIENT_CREDITS,
    404: Reason.MODEL_UNKNOWN,
    422: Reason.INPUT_REFUSED,
    423: Reason.MODEL_UNAVAILABLE,
    429: Reason.UPSTREAM_SATURATED,
}
"""The reason for each documented status of a refusal, for generations."""
AGENT_REASONS = REASONS | {403: Reason.FEATURE_NOT_ENABLED, 404: Reason.NOT_FOUND, 409: Reason.SESSION_BUSY}
"""The reason for each documented status of a refusal, for the Agent API."""
_MESSAGES = {
    Reason.INPUT_REFUSED: "Higgsfield refused the input",
    Reason.UPSTREAM_CREDENTIALS_REFUSED: "Higgsfield refuses the gateway's credentials: its operator must act",
    Reason.INSUFFICIENT_CREDITS: "the Higgsfield account does not have enough credits",
    Reason.MODEL_UNKNOWN: "Higgsfield does not know the model",
    Reason.MODEL_UNAVAILABLE: "the model is blocked or disabled at Higgsfield for now",
    Reason.UPSTREAM_SATURATED: "Higgsfield is full",
    Reason.FEATURE_NOT_ENABLED: "the Higgsfield account does not have this feature",
    Reason.NOT_FOUND: "Higgsfield does not know it",
    Reason.SESSION_BUSY: "a turn is running in the session: nothing was sent, nothing is charged",
}
_RETRYABLE = frozenset(
    {Reason.UPSTREAM_SATURATED, Reason.MODEL_UNAVAILABLE, Reason.INSUFFICIENT_CREDITS, Reason.SESSION_BUSY}
)


class UnreadResponseError(httpx.RemoteProtocolError):
    """A response that is too long or compressed. It counts as none."""


@frozen
class Response:
    """A complete HTTP response with a bounded body."""

    status: int
    content_type: str
    retry_after: float | None
    correlation_id: str
    body: bytes
    date: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the status is that of a success."""
        return 200 <= self.status < 300


def is_page(response: Response) -> bool:
    """Return whether a response is an HTML page. Higgsfield sends none, so an intermediary has sent it."""
    return "html" in response.content_type.lower()


def documented_error(response: Response) -> dict[str, Any] | None:
    """Return the documented error object; None if there is none, so that an intermediary may have sent the response."""
    if is_page(response):
        return None
    content = parse_object(response.body)
    if isinstance(content.get("detail"), str | list) or isinstance(content.get("code"), str):
        return content
    nested = (part for part in content.values() if isinstance(part, dict))
    return content if any(part.get("code") == QUEUE_FULL for part in nested) else None


def is_foreign(response: Response) -> bool:
    """Return whether a response lacks Higgsfield's form, so that another server may have sent it.

    False for a 5xx, which is a failure whoever has sent it.
    """
    undocumented = response.status >= 300 and documented_error(response) is None
    return response.status < 500 and (undocumented or is_page(response))


def is_not_found(response: Response) -> bool:
    """Return whether a response is Higgsfield's own 404, or a 410. Those of an intermediary prove nothing."""
    return response.status in (404, 410) and documented_error(response) is not None


def judge_submission(
    response: Response, input_kind: InputKind, secrets: tuple[str, ...], reasons: Mapping[int, Reason] = REASONS
) -> NotTaken | MaybeTaken:
    """Return the outcome of a submission that was not accepted. It is certain only for documented error objects.

    `reasons` maps the refusal statuses of the called API; each of them is certain.
    """
    content = documented_error(response) if response.status in reasons else None
    if content is None:
        is_complete = response.status >= 500 and response.status != 504
        return MaybeTaken(unresolved_failure(response, secrets), is_complete, retry_after=response.retry_after)
    failure = refusal(response, content, input_kind, secrets, reasons)
    if failure.reason is Reason.UPSTREAM_SATURATED:
        return NotTaken(failure, may_retry=True, pause=response.retry_after)
    mismatch = response.status == 422 and KEY_MISMATCH_TEXT in str(content.get("detail")).lower()
    return NotTaken(failure, is_final=mismatch)


def judge_submission_error(error: httpx.TransportError) -> NotTaken | MaybeTaken:
    """Return the outcome of a submission that failed below HTTP."""
    if isinstance(error, CERTAIN_ERRORS):
        failure = upstream_unavailable("Higgsfield cannot be reached: waiting", retry_after=None).failure
        return NotTaken(failure, may_retry=True, pause=None, was_reached=False)
    return MaybeTaken(unresolved_failure(None, ()), is_complete=False)


def refusal(
    response: Response,
    content: dict[str, Any],
    input_kind: InputKind,
    secrets: tuple[str, ...],
    reasons: Mapping[int, Reason] = REASONS,
) -> Failure:
    """Return the failure for a documented error object."""
    reason = reasons[response.status]
    metadata = {"http_status": str(response.status)}
    detail = content.get("detail")
    if response.status == 400 and isinstance(detail, str) and CONCURRENCY_TEXT in detail.lower():
        reason = Reason.UPSTREAM_SATURATED
        metadata["limit"] = "".join(re.findall(r"\((\d{1,6})\)", detail)[:1])
    message = _MESSAGES[reason]
    violations: tuple[Violation, ...] = ()
    if reason is Reason.INPUT_REFUSED:
        fields = _refused_fields(detail)
        violations = tuple(
            Violation(redacted(_field_path(input_kind, location), secrets), redacted(text, secrets))
            for location, text in fields
        )
        said = detail if isinstance(detail, str) else "; ".join(_named(location, text) for location, text in fields)
        said = redacted(said, secrets).removeprefix(": ")  # the path of a missing field, which is empty
        message = f"{message}: {said}" if said else message
    return Failure(
        reason,
        message,
        violations=violations,
        retryable=reason in _RETRYABLE,
        retry_after=response.retry_after,
        metadata={name: value for name, value in metadata.items() if value},
        response=response_of(response.body, secrets),
    )


def judge_call(
    response: Response, input_kind: InputKind, secrets: tuple[str, ...], reasons: Mapping[int, Reason] = REASONS
) -> GatewayError:
    """Return the error for an unsuccessful response to a call that charges nothing, such as status or cancel."""
    content = documented_error(response)
    if content is not None and response.status in reasons and response.status != 429:
        return GatewayError(refusal(response, content, input_kind, secrets, reasons))
    unavailable = upstream_unavailable(
        f"Higgsfield answered with HTTP status {response.status}",
        retry_after=5.0 if response.retry_after is None else response.retry_after,
        response=response_of(response.body, secrets),
    )
    return GatewayError(replace(unavailable.failure, metadata={"http_status": str(response.status)}))


def unresolved_failure(response: Response | None, secrets: tuple[str, ...]) -> Failure:
    """Return the delay of a submission with an unknown outcome."""
    came = "no usable response came" if response is None else f"the response was HTTP {response.status}"
    return Failure(
        Reason.SUBMISSION_UNRESOLVED,
        f"sent to Higgsfield, and {came}: it may be running",
        metadata={} if response is None else {"http_status": str(response.status)},
        response=None if response is None else response_of(response.body, secrets),
    )


def capped_retry_after(retry_after: str | None, date: str) -> float | None:
    """Return Higgsfield's Retry-After in seconds, at most five minutes; None without one.

    `date` is the Date header of the response.
    """
    seconds = headers.parse_retry_after(retry_after, date, time.time())
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER)


def _refused_fields(detail: object) -> list[tuple[list[str | int], str]]:
    """Return the locations of the fields that Higgsfield has refused, each with Higgsfield's text."""
    found = []
    for item in detail[:50] if isinstance(detail, list) else ():
        if not isinstance(item, dict):
            continue
        location, text = item.get("loc"), item.get("msg")
        parts = [part for part in location if isinstance(part, str | int)] if isinstance(location, list) else []
        found.append((parts, text if isinstance(text, str) else "was refused"))
    return found


def _named(location: list[str | int], text: str) -> str:
    """Return a text about a field after Higgsfield's own name of the field."""
    parts = location[1:] if location[:1] == ["body"] else location
    name = path_below("", parts).removeprefix(".")
    return f"{name}: {text}" if name else text


def _field_path(input_kind: InputKind, location: list[str | int]) -> str:
    return (v1.field_path if input_kind in v1.KINDS else v2.field_path)(input_kind, location)
