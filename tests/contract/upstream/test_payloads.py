"""Parsing of Higgsfield's responses in all their forms."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason
from gateway.generations.model import MediaKind, State
from gateway.higgsfield.payloads import read_amount, read_request_id, read_status
from gateway.higgsfield.redact import redacted
from gateway.higgsfield.webhooks import Proof, Signatures, read_webhook
from tests.support.webhooks import SECRET, signed_headers

ID = "d7e6c0f3-6699-4f6c-bb45-2ad7fd9158ff"


def answer(**fields: Any) -> bytes:
    return json.dumps({"status": "completed", "request_id": ID, **fields}).encode()


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("queued", State.QUEUED),
        ("in_progress", State.IN_PROGRESS),
        ("completed", State.COMPLETED),
        ("failed", State.FAILED),
        ("nsfw", State.NSFW),
        ("canceled", State.CANCELED),
        ("cancelled", State.CANCELED),
        ("Completed", State.COMPLETED),
        ("IN_PROGRESS", State.IN_PROGRESS),
        ("resting", None),
    ],
)
def test_each_status_maps_to_a_state(status: str, state: State | None) -> None:
    report = read_status(answer(status=status), "c-1", ())
    assert report is not None
    assert (report.status, report.state, report.request_id, report.correlation_id) == (status, state, ID, "c-1")


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"images": [{"url": "https://a/1.png"}, {"url": "https://a/2.png"}]}, [MediaKind.IMAGE] * 2),
        ({"video": {"url": "https://a/1.mp4", "content_type": "video/mp4"}}, [MediaKind.VIDEO]),
        ({"videos": [{"url": "https://a/1.mp4"}]}, [MediaKind.VIDEO]),
        ({"audio": {"url": "https://a/1.wav"}, "audios": [{"url": "https://a/1.wav"}]}, [MediaKind.AUDIO]),
        ({"zip": {"url": "https://a/1.zip"}, "fbx": {"url": "https://a/1.fbx"}}, [MediaKind.FILE] * 2),
        ({"images": []}, []),
        ({"images": [{"url": "javascript:alert(1)"}]}, []),
        ({"images": [{"url": 5}, None, "x"]}, []),
        ({}, []),
    ],
)
def test_outputs_have_the_kind_of_their_field(fields: dict[str, Any], kinds: list[MediaKind]) -> None:
    report = read_status(answer(**fields), "", ())
    assert report is not None
    assert [output.kind for output in report.outputs] == kinds


def test_texts_of_higgsfield_are_printable_and_bounded() -> None:
    odd = "\x1b[2J" + "x" * 300
    report = read_status(answer(status=odd, image={"url": "https://a/1.png", "content_type": odd}), "", ())
    assert report is not None
    for text in (report.status, report.outputs[0].content_type):
        assert text.isprintable()
        assert len(text) <= 101


@pytest.mark.parametrize("secret", ["c2VjcmV0" * 4, "whsec_no base64", f"whsec_{'QUFB' * 5}", f"whsec_{'QUFB' * 26}"])
def test_an_invalid_webhook_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"must start|must be|wrong length"):
        Signatures([secret])


def test_a_signature_without_an_id_proves_nothing() -> None:
    for name, proof in ("msg_1", Proof.VALID), ("", Proof.NONE):
        headers = signed_headers(SECRET, name, 1_800_000_000, b"body")
        assert Signatures([SECRET]).judge(headers, b"body", 1_800_000_000.0) is proof


def test_a_signature_of_another_version_proves_nothing() -> None:
    headers = signed_headers(SECRET, "msg_1", 1_800_000_000, b"body")
    newer = {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}
    for signed, proof in ((headers, Proof.VALID), (newer, Proof.NONE)):
        assert Signatures([SECRET]).judge(signed, b"body", 1_800_000_000.0) is proof


def test_unknown_result_fields_are_kept() -> None:
    report = read_status(answer(images=[{"url": "https://a/1.png"}], scene={"depth": 3}, usage=None), "", ())
    assert report is not None
    assert report.other_results == {"scene": {"depth": 3}, "usage": None}


@pytest.mark.parametrize("error", [None, "", " \n", 5])
def test_a_failure_without_a_text_has_a_message(error: object) -> None:
    report = read_status(answer(status="failed", error=error), "", ())
    assert report is not None
    assert report.failure is not None
    assert report.failure.message == "Higgsfield ended it as failed"


def test_a_failure_message_is_redacted() -> None:
    said = "could not fetch https://bucket/a.png?X-Amz-Signature=abcdef with Key id:secret\n"
    report = read_status(answer(status="failed", error=said), "", ())
    assert report is not None
    assert report.failure is not None
    assert report.failure.reason is Reason.GENERATION_FAILED
    assert "could not fetch https://bucket/a.png" in report.failure.message
    assert "abcdef" not in report.failure.message
    assert "secret" not in report.failure.message
    assert "\n" not in report.failure.message


@pytest.mark.parametrize(
    "said",
    ["Key id:canary", "BEARER canary", "Authorization: Basic canary", "'https://h/x?a=canary'", "http://h#canary"],
)
def test_no_credentials_and_no_query_of_a_url_are_shown(said: str) -> None:
    shown = redacted(f"it refused {said} twice", ())
    assert "canary" not in shown
    assert shown.endswith(" twice")


@pytest.mark.parametrize("expires", ["2026-11-27T09:00:00Z", "2026-11-27T09:00:00", 1795770000])
def test_all_forms_of_dates_are_read_wherever_the_gateway_runs(
    expires: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        report = read_status(answer(expires_at=expires), "", ())
    time.tzset()
    assert report is not None
    assert report.expire_time == datetime(2026, 11, 27, 9, tzinfo=UTC).timestamp()


def test_the_expiry_of_a_request_without_outputs_is_only_kept() -> None:
    expires_at = "2026-11-27T09:00:00Z"
    report = read_status(answer(status="failed", expires_at=expires_at), "", ())
    assert report is not None
    assert (report.expire_time, report.other_results) == (None, {"expires_at": expires_at})


def test_an_invalid_date_is_ignored() -> None:
    report = read_status(answer(expires_at="soon"), "", ())
    assert report is not None
    assert (report.state, report.expire_time) == (State.COMPLETED, None)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"status":"queued"}', b'{"request_id":5}',
        answer(request_id=f"{ID}0"), answer(request_id=f"{ID}/cancel"),
    ],
)  # fmt: skip
def test_an_invalid_status_response_is_read_as_none(text: bytes) -> None:
    assert read_status(text, "", ()) is None


def test_a_byte_that_is_not_utf8_hides_no_status() -> None:
    """For example a text that was cut off within a character. A URL with such a byte is none."""
    files = [{"url": "https://media.example.invalid/1.png"}, {"url": "https://media.example.invalid/?.png"}]
    text = answer(caption="caf?", images=files).replace(b"?", b"\xc3")
    report = read_status(text, "", ())
    assert report is not None
    assert (report.state, [output.url for output in report.outputs]) == (State.COMPLETED, [files[0]["url"]])
    shown = {"caption": "caf\ufffd", "images": [{}, {"url": "https://media.example.invalid/\ufffd.png"}]}
    assert report.other_results == shown


@pytest.mark.parametrize(
    ("amount", "read"),
    [
        ("0.050", "0.050"), (5, "5"), (0.5, "0.5"), ("5.", "5."), (".5", ".5"), ("1e3", "1e3"), ("9" * 100, "9" * 100),
        ("9" * 101, ""), ("1e999", ""), ("-1", ""), (-1, ""), ("NaN", ""), ("Infinity", ""), ("5 USD", ""), (None, ""),
    ],
)  # fmt: skip
def test_an_amount_is_a_finite_decimal_number_of_limited_length(amount: str | float | None, read: str) -> None:
    assert read_amount(amount) == read


def test_an_id_is_found_in_a_truncated_response() -> None:
    assert read_request_id(answer(status="queued")[:80]) == ID
    assert read_request_id(f'{{"request_id" :\r\n\t"{ID}'.encode()) == ID
    assert read_request_id(b'{"request_id": "not an id"') == ""
    assert read_request_id(b'{"status":') == ""


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_a_report_or_none(text: bytes) -> None:
    report = read_status(text, "", ())
    assert report is None or report.request_id


@given(st.text(max_size=600))
def test_redacted_text_is_printable_and_short(text: str) -> None:
    shown = redacted(text + " Authorization: Key abc:def https://h/x?sig=1 end", secrets=("abc",))
    assert shown.isprintable()
    assert len(shown) <= 501
    assert "def" not in shown[len(text) :]
    assert "sig=1" not in shown


@pytest.mark.parametrize(
    "expires", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", -1, 0, "1970-01-01T00:00:00Z"]
)
def test_a_date_out_of_range_is_ignored(expires: object) -> None:
    report = read_status(answer(expires_at=expires), "", ())
    assert report is not None
    assert (report.state, report.expire_time) == (State.COMPLETED, None)


@pytest.mark.parametrize("padding", ["https://h/?" + "x" * 3_970, "word " * 798])
def test_truncation_reveals_no_part_of_a_secret(padding: str) -> None:
    shown = redacted(padding + " Key abcdefgh:ijklmnop " + "more " * 1_000, ())
    assert "abc" not in shown
    assert redacted(" " * 10_000, ()) == redacted("\n" * 10_000, ()) == ""


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("9007199254740992", 2**53),
        ("-9007199254740992", -(2**53)),
        ("9007199254740993", "9007199254740993"),
        ("-9007199254740993", "-9007199254740993"),
        ("1234567890123456.7", "1234567890123456.7"),
        ("1e99999999999999999999", "1e99999999999999999999"),
    ],
)
def test_a_number_that_a_double_cannot_hold_is_kept_as_text(written: str, kept: object) -> None:
    report = read_status(answer()[:-1] + f', "seed": {written}}}'.encode(), "", ())
    assert report is not None
    assert report.other_results == {"seed": kept}


def test_a_deeply_nested_webhook_is_read_as_none() -> None:
    for depth in range(100, 1_100, 50):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        assert read_webhook(answer()[:-1] + b', "payload": ' + nested + b"}", ()) is None or depth <= 200
