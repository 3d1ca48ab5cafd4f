"""The shapes in which the API refuses, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.schema import Violation


class ApiError(Exception):
    """An answer other than 2xx, ready to be sent."""

    def __init__(self, status: int, detail: Any, extra: Mapping[str, Any] | None = None, retry_after: int = 0) -> None:
        super().__init__(status, detail)
        self.status = status
        self.body: dict[str, Any] = {"detail": detail, **(extra or {})}
        self.headers = {"Retry-After": str(retry_after)} if retry_after else {}


def invalid_credentials() -> ApiError:
    """Missing, malformed and wrong credentials look the same."""
    return ApiError(401, "Invalid credentials")


def not_enough_credits() -> ApiError:
    """On generations this is 403; 402 belongs to the agent API."""
    return ApiError(403, "not_enough_credits")


def model_not_found() -> ApiError:
    """Say that no such model is known to this account."""
    return ApiError(404, "model_not_found")


def model_blocked() -> ApiError:
    """Say that the model is blocked for a while."""
    return ApiError(423, "Model is temporarily blocked")


def not_found() -> ApiError:
    """A request of another account looks like one that never was."""
    return ApiError(404, "Not found")


def cancel_too_late() -> ApiError:
    """Only queued requests can be canceled."""
    return ApiError(400, "Request cannot be canceled: it has already started")


def not_finished() -> ApiError:
    """Refuse deletion before the end; the code is not documented, 400 matches the other too-early and too-late ones."""
    return ApiError(400, "Request is not finished")


def concurrency_reached(limit: int) -> ApiError:
    """The older rule: a request over the limit is refused, and only the text says why."""
    return ApiError(400, f"Maximum number of concurrent requests ({limit}) has been reached")


def queue_full(limit: int, retry_after: int) -> ApiError:
    """The newer rule: requests over the limit wait, and only a full queue refuses."""
    extra = {"code": "account_queue_full", "limit": limit}
    return ApiError(429, "The account's queue is full", extra, retry_after=retry_after)


def key_malformed() -> ApiError:
    """Refuse a key that is no key."""
    return ApiError(422, "Idempotency-Key must be 1 to 255 visible ASCII characters without whitespace")


def key_mismatch() -> ApiError:
    """Refuse a known key on another intent."""
    return ApiError(422, "Idempotency-Key was already used with different parameters")


def expiry_out_of_range(longest: int) -> ApiError:
    """Refuse a retention that is too short, too long or no number."""
    return ApiError(422, f"Hf-Expires-After must be between 3600 and {longest} seconds")


def agents_not_enabled() -> ApiError:
    """Refuse an account without the Agent API; the text is not documented."""
    return ApiError(403, "Agent API is not enabled for this account")


def not_enough_agent_credits() -> ApiError:
    """Not enough credits, as the agent API says it."""
    return ApiError(402, "Not enough credits")


def session_busy() -> ApiError:
    """Refuse a message while a turn is running: it is not charged."""
    return ApiError(409, "session_busy")


def session_terminated() -> ApiError:
    """Refuse a message to a session that has ended; neither code nor text is documented."""
    return ApiError(400, "session_terminated")


def webhook_url_refused(why: str) -> ApiError:
    """Refuse a callback address; the code is not documented."""
    return ApiError(400, f"hf_webhook {why}")


def character_refused(reference_id: Any, why: str, *, v1: bool) -> ApiError:
    """Refuse the use of a character; the shape is that of the model's other refusals."""
    where = ["body", *(["params"] if v1 else []), "custom_reference_id"]
    return ApiError(422, [{"type": "value_error", "loc": where, "msg": why, "input": reference_id}])


def invalid_json() -> ApiError:
    """Refuse a body that does not parse."""
    return ApiError(422, [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}])


def as_pydantic(violations: list[Violation]) -> ApiError:
    """Higgsfield's own models: 422 and every violation."""
    return ApiError(422, [violation.as_pydantic() for violation in violations])


def as_jsonschema(violations: list[Violation]) -> ApiError:
    """Hosted models: 400 and the first violation as text, behind the path to it (empty at the top)."""
    return ApiError(400, violations[0].as_jsonschema())
