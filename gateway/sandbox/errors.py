"""The error responses of the API, one function for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.schema import Violation


class ApiError(Exception):
    """An error response: its status, JSON body and headers. `retry_after` is in seconds; 0 sends no header."""

    def __init__(self, status: int, detail: Any, extra: Mapping[str, Any] | None = None, retry_after: int = 0) -> None:
        super().__init__(status, detail)
        self.status = status
        self.body: dict[str, Any] = {"detail": detail, **(extra or {})}
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}


def invalid_credentials() -> ApiError:
    """401. Missing, malformed and wrong credentials get the same response."""
    return ApiError(401, "Invalid credentials")


def not_enough_credits() -> ApiError:
    """403 for generations and characters. The Agent API answers 402."""
    return ApiError(403, "not_enough_credits")


def model_not_found() -> ApiError:
    """404: the account knows no such model."""
    return ApiError(404, "model_not_found")


def model_blocked() -> ApiError:
    """423: the model is temporarily blocked."""
    return ApiError(423, "Model is temporarily blocked")


def not_found() -> ApiError:
    """404. A request of another account gets the same response as an unknown one."""
    return ApiError(404, "Not found")


def cancel_too_late() -> ApiError:
    """400: only queued requests can be canceled."""
    return ApiError(400, "Request cannot be canceled: it has already started")


def not_finished() -> ApiError:
    """Refuse to delete a request that has not ended. The status is not documented; 400 is that of a late cancel."""
    return ApiError(400, "Request is not finished")


def concurrency_reached(limit: int) -> ApiError:
    """400, the older rule: a request over the limit is refused, and only the text has the reason."""
    return ApiError(400, f"Maximum number of concurrent requests ({limit}) has been reached")


def queue_full(limit: int, retry_after: int) -> ApiError:
    """429, the newer rule: requests over the limit wait, and are refused only if the queue is full."""
    extra = {"code": "account_queue_full", "limit": limit}
    return ApiError(429, "The account's queue is full", extra, retry_after=retry_after)


def key_malformed() -> ApiError:
    """422: the idempotency key is malformed."""
    return ApiError(422, "Idempotency-Key must be 1 to 255 visible ASCII characters without whitespace")


def key_mismatch() -> ApiError:
    """422: the idempotency key was used with another submission."""
    return ApiError(422, "Idempotency-Key was already used with different parameters")


def expiry_out_of_range(longest: int) -> ApiError:
    """422: the retention is too short, too long or not a number. `longest` is in seconds."""
    return ApiError(422, f"Hf-Expires-After must be between 3600 and {longest} seconds")


def agents_not_enabled() -> ApiError:
    """403: the account may not use the Agent API. The text is not documented."""
    return ApiError(403, "Agent API is not enabled for this account")


def not_enough_agent_credits() -> ApiError:
    """402: the response of the Agent API."""
    return ApiError(402, "Not enough credits")


def session_busy() -> ApiError:
    """409: a turn is running. The message is not charged."""
    return ApiError(409, "session_busy")


def session_terminated() -> ApiError:
    """Refuse a message to a session that has ended. Neither status nor text is documented."""
    return ApiError(400, "session_terminated")


def webhook_url_refused(why: str) -> ApiError:
    """Refuse a webhook URL. The status is not documented."""
    return ApiError(400, f"hf_webhook {why}")


def character_refused(reference_id: Any, why: str, *, v1: bool) -> ApiError:
    """422: a generation may not use this character. The format is that of the model's validation errors."""
    where = ["body", *(["params"] if v1 else []), "custom_reference_id"]
    return ApiError(422, [{"type": "value_error", "loc": where, "msg": why, "input": reference_id}])


def invalid_json() -> ApiError:
    """422: the body is not JSON."""
    return ApiError(422, [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}])


def as_pydantic(violations: list[Violation]) -> ApiError:
    """The validation error of Higgsfield's own models: 422 with every violation."""
    return ApiError(422, [violation.as_pydantic() for violation in violations])


def as_jsonschema(violations: list[Violation]) -> ApiError:
    """The validation error of hosted models: 400, with the path and the text of the first violation."""
    return ApiError(400, violations[0].as_jsonschema())
