"""The meaning of HTTP responses: which outcomes of a submission are certain, and the reason of each failure."""

import json
import time
from email.utils import formatdate
from urllib.parse import quote

import httpx
import pytest

from gateway.bounded_json import MAX_KEPT_ERROR_BYTES
from gateway.errors import Reason
from gateway.generations.model import InputKind
from gateway.generations.ports import MaybeTaken, NotTaken
from gateway.headers import parse_http_date
from gateway.higgsfield.errors import Response, capped_retry_after, judge_call, judge_submission, judge_submission_error
from gateway.settings.config import WEBHOOK_PATH

DETAIL = json.dumps({"detail": "some text"}).encode()


def answer(
    status: int, body: bytes = DETAIL, content_type: str = "application/json", wait: float | None = None
) -> Response:
    return Response(status, content_type, wait, "", body)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.INPUT_REFUSED),
        (401, Reason.UPSTREAM_CREDENTIALS_REFUSED),
        (402, Reason.INSUFFICIENT_CREDITS),
        (403, Reason.INSUFFICIENT_CREDITS),
        (404, Reason.MODEL_UNKNOWN),
        (422, Reason.INPUT_REFUSED),
        (423, Reason.MODEL_UNAVAILABLE),
    ],
)
def test_documented_refusals_are_certain(status: int, reason: Reason) -> None:
    judged = judge_submission(answer(status), InputKind.MODEL, ())
    assert isinstance(judged, NotTaken)
    assert (judged.failure.reason, judged.is_final, judged.may_retry) == (reason, False, False)


@pytest.mark.parametrize("detail", ["Idempotency-Key was used before", "the idempotency-KEY has other parameters"])
def test_only_a_422_that_names_the_key_ends_repeats(detail: str) -> None:
    for status in (422, 400, 403):
        judged = judge_submission(answer(status, json.dumps({"detail": detail}).encode()), InputKind.MODEL, ())
        assert isinstance(judged, NotTaken)
        assert judged.is_final is (status == 422)


def test_a_full_queue_is_certain_and_retried() -> None:
    text = {"detail": "Maximum number of concurrent requests (4) has been reached"}
    legacy = judge_submission(answer(400, json.dumps(text).encode()), InputKind.MODEL, ())
    newest = judge_submission(answer(429, b'{"code":"account_queue_full","limit":8}', wait=7.0), InputKind.MODEL, ())
    assert isinstance(legacy, NotTaken)
    assert isinstance(newest, NotTaken)
    assert (legacy.may_retry, legacy.pause, legacy.failure.reason) == (True, None, Reason.UPSTREAM_SATURATED)
    other = judge_submission(answer(422, json.dumps(text).encode()), InputKind.MODEL, ())
    assert isinstance(other, NotTaken)
    assert not other.may_retry
    assert (newest.may_retry, newest.pause, newest.failure.reason) == (True, 7.0, Reason.UPSTREAM_SATURATED)
    assert newest.failure.retry_after == 7.0


@pytest.mark.parametrize(("numbers", "limit"), [(" (4)", {"limit": "4"}), (" (4) of (9)", {"limit": "4"}), ("", {})])
def test_the_limit_is_the_first_number_of_the_text(numbers: str, limit: dict[str, str]) -> None:
    detail = f"Maximum number of concurrent requests{numbers} has been reached"
    judged = judge_submission(answer(400, json.dumps({"detail": detail}).encode()), InputKind.MODEL, ())
    assert judged.failure.metadata == {"http_status": "400"} | limit


@pytest.mark.parametrize("name", ["detail", "error"])
def test_the_code_of_a_full_queue_may_be_nested(name: str) -> None:
    """Higgsfield documents the code, and not where it is."""
    body = {name: {"code": "account_queue_full", "limit": 8, "message": "wait"}}
    judged = judge_submission(answer(429, json.dumps(body).encode(), wait=7.0), InputKind.MODEL, ())
    assert isinstance(judged, NotTaken)
    assert (judged.may_retry, judged.pause, judged.failure.reason) == (True, 7.0, Reason.UPSTREAM_SATURATED)
    body[name]["code"] = "slow_down"
    assert isinstance(judge_submission(answer(429, json.dumps(body).encode()), InputKind.MODEL, ()), MaybeTaken)


@pytest.mark.parametrize("status", [200, 201, 302, 405, 408, 409, 418, 500, 502, 503, 504])
def test_other_statuses_are_ambiguous_even_in_the_documented_form(status: int) -> None:
    judged = judge_submission(answer(status, wait=7.0), InputKind.MODEL, ())
    assert isinstance(judged, MaybeTaken)
    assert (judged.is_complete, judged.retry_after) == (status >= 500 and status != 504, 7.0)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 423, 429])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>blocked</html>", "text/html"),
        (DETAIL, "text/html; charset=utf-8"),
        (DETAIL, "Text/HTML"),
        (b"", "application/json"),
        (b'{"detail": "cut', "application/json"),
        (b'["detail"]', "application/json"),
        (b'{"error": "of an edge"}', "application/json"),
        (b'{"detail": 5}', "application/json"),
        (b'{"code": 5}', "application/json"),
    ],
)
def test_refusals_in_any_other_form_are_ambiguous(status: int, body: bytes, content_type: str) -> None:
    assert isinstance(judge_submission(answer(status, body, content_type), InputKind.MODEL, ()), MaybeTaken)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
def test_no_connection_is_certain(error: type[httpx.TransportError]) -> None:
    judged = judge_submission_error(error("x"))
    assert isinstance(judged, NotTaken)
    assert (judged.may_retry, judged.was_reached) == (True, False)


@pytest.mark.parametrize(
    "error", [httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.WriteError, httpx.WriteTimeout]
)
def test_every_other_failure_is_ambiguous(error: type[httpx.TransportError]) -> None:
    judged = judge_submission_error(error("x"))
    assert isinstance(judged, MaybeTaken)
    assert not judged.is_complete


def test_refused_fields_are_named_as_in_the_api() -> None:
    detail = [
        "nonsense",
        {"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": {"key": "secret"}},
        {"type": "x", "loc": ["body", "custom_reference_id"], "msg": "not a uuid"},
        {"type": "x", "loc": ["body", "motions", 0, "id"], "msg": "unknown"},
        {"type": "x", "loc": ["body", "scene", "body"], "msg": "too long"},
    ]
    body = json.dumps({"detail": detail}).encode()
    soul = judge_submission(answer(422, body), InputKind.SOUL, ())
    model = judge_submission(answer(422, body), InputKind.MODEL, ())
    assert isinstance(soul, NotTaken)
    assert isinstance(model, NotTaken)
    assert [v.field for v in soul.failure.violations] == [
        "input.soul.prompt", "input.soul.character_id", "input.soul.motions[0].id", "input.soul.scene.body",
    ]  # fmt: skip
    assert next(v.field for v in model.failure.violations) == "input.model.parameters.prompt"
    for judged in (soul, model):
        assert judged.failure.message == (
            "Higgsfield refused the input: prompt: Field required; custom_reference_id: not a uuid; "
            "motions[0].id: unknown; scene.body: too long"
        )
    assert soul.failure.response["detail"][1]["input"] == "[removed]"


def test_a_text_of_a_hosted_model_is_repeated_without_its_empty_path() -> None:
    judged = judge_submission(answer(400, b"""{"detail":": 'prompt' is a required property"}"""), InputKind.MODEL, ())
    assert isinstance(judged, NotTaken)
    assert judged.failure.message == "Higgsfield refused the input: 'prompt' is a required property"


def test_refusal_messages_are_redacted() -> None:
    detail = "bad token hush-hush in https://s3/x?X-Amz-Signature=1"
    body = json.dumps({"detail": detail, "headers": ["Authorization: Bearer canary"]}).encode()
    judged = judge_submission(answer(400, body), InputKind.MODEL, ("hush-hush",))
    assert isinstance(judged, NotTaken)
    shown = f"{judged.failure.message} {judged.failure.response}"
    assert judged.failure.response["headers"] == ["Authorization: [removed]"]
    assert "hush" not in shown
    assert "Amz" not in shown


@pytest.mark.parametrize("encoded", [False, True])
def test_a_refusal_of_the_webhook_url_does_not_show_its_token(encoded: bool) -> None:
    """Higgsfield refuses a submission whose webhook URL is not public, and may name the URL."""
    url = f"https://gateway.test{WEBHOOK_PATH}AbCdEf_0123456789-xyz"
    url = quote(url, safe="") if encoded else url
    listed = [{"loc": ["query", "hf_webhook"], "msg": f"Value error, {url} is not public", "input": url}]
    for body in ({"detail": f"hf_webhook {url} is not public"}, {"detail": listed}, {"detail": "x" * 5_000 + url}):
        failure = judge_call(answer(422, json.dumps(body).encode()), InputKind.SOUL, ()).failure
        assert failure.message.startswith("Higgsfield refused the input: ")
        for text in (failure.message, str(failure.violations), str(failure.response)):
            assert "AbCdEf" not in text


def test_refused_fields_are_printable_and_bounded() -> None:
    body = json.dumps({"detail": [{"loc": ["body", "hush-hush", "a\x1b" * 1000], "msg": "hush-hush"}] * 60}).encode()
    violations = judge_call(answer(422, body), InputKind.MODEL, ("hush-hush",)).failure.violations
    assert len(violations) == 50
    assert {one.description for one in violations} == {"[removed]"}
    assert all(one.field.isprintable() and len(one.field) <= 501 for one in violations)
    assert "hush" not in violations[0].field


def test_a_large_refusal_is_kept_in_part() -> None:
    body = json.dumps({"detail": "no", "log": ["y" * 1000] * 100}).encode()
    kept = judge_call(answer(400, body), InputKind.NONE, ()).failure.response
    assert kept["detail"] == "no"
    assert len(json.dumps(kept)) <= MAX_KEPT_ERROR_BYTES


def test_errors_of_free_calls_map_to_reasons() -> None:
    assert judge_call(answer(401), InputKind.NONE, ()).failure.reason is Reason.UPSTREAM_CREDENTIALS_REFUSED
    assert judge_call(answer(500), InputKind.NONE, ()).failure.reason is Reason.UPSTREAM_UNAVAILABLE
    for body, wait in ((b"{}", 9.0), (DETAIL, 9.0), (DETAIL, 0.0)):
        limited = judge_call(answer(429, body, wait=wait), InputKind.NONE, ()).failure
        assert (limited.reason, limited.retry_after) == (Reason.UPSTREAM_UNAVAILABLE, wait)
    assert (
        judge_call(answer(404, b"<html>", "text/html"), InputKind.NONE, ()).failure.reason
        is Reason.UPSTREAM_UNAVAILABLE
    )


def test_retry_after_accepts_both_forms_and_is_bounded() -> None:
    assert capped_retry_after("7", "") == 7.0
    assert capped_retry_after("0.5", "") == 0.5
    assert capped_retry_after("-3", "") == 0.0
    assert capped_retry_after("86400", "") == 300.0
    in_a_minute = capped_retry_after(formatdate(time.time() + 60, usegmt=True), "")
    assert in_a_minute is not None
    assert 50 < in_a_minute <= 60
    assert capped_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", "") == 0.0
    for nonsense in ("", "soon", "nan", "Mon, 99999999999 Jan 2020 00:00:00 GMT", None):
        assert capped_retry_after(nonsense, "") is None


@pytest.mark.parametrize("ahead", [-600.0, 600.0])
def test_a_date_in_retry_after_is_by_higgsfields_clock(ahead: float) -> None:
    """With a wrong clock of this machine, the gateway would call again at once, or five minutes later."""
    theirs = time.time() - ahead
    date, at = formatdate(theirs, usegmt=True), formatdate(theirs + 60, usegmt=True)
    assert capped_retry_after(at, date) == 60.0


@pytest.mark.parametrize(
    "date",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_dates_of_http_are_in_utc_wherever_the_gateway_runs(date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipient has to accept these three forms (RFC 9110, 5.6.7), and the last one names no zone."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        read = parse_http_date(date)
    time.tzset()
    assert read == 784_111_777.0
