"""The verification of webhooks, with secrets that are none."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from hfgateway_client import WebhookError, verify_webhook

BODY = json.dumps({"data": {"id": "g1", "state": "GENERATION_STATE_COMPLETED"}}).encode()
SECRET = "whsec_c2VjcmV0"


def signed(body: bytes, key: bytes = b"secret") -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(key, b"id.1000." + body, hashlib.sha256)).decode()
    return {"webhook-id": "id", "webhook-timestamp": "1000", "webhook-signature": f"v1,{signature}"}


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_secret_verifies_nothing(secret: str) -> None:
    """Anyone can sign with an empty key, and `create_callback` returns an empty secret for a key that was used."""
    with pytest.raises(ValueError, match="whsec_ followed by base64"):
        verify_webhook(secret, signed(BODY, b""), BODY, now=1000.0)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-signature"])
def test_a_header_that_is_no_text_verifies_nothing(name: str) -> None:
    """Servers decode bytes that are not UTF-8 to surrogates."""
    headers = {"webhook-id": "id", "webhook-timestamp": "1000", "webhook-signature": "v1,AAAA"} | {name: "v1,\udcff"}
    with pytest.raises(WebhookError, match="no signature matches"):
        verify_webhook(SECRET, headers, BODY, now=1000.0)


@pytest.mark.parametrize("timestamp", ["", "soon", "1e3", "-1000"])
def test_a_timestamp_that_is_no_number_is_an_error_of_the_webhook(timestamp: str) -> None:
    with pytest.raises(WebhookError, match="webhook-timestamp"):
        verify_webhook(SECRET, signed(BODY) | {"webhook-timestamp": timestamp}, BODY, now=1000.0)


def test_a_field_of_a_newer_gateway_is_ignored() -> None:
    body = b'{"data": {"id": "g1", "newer": [1]}}'
    assert verify_webhook(SECRET, signed(body), body, now=1000.0).id == "g1"


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b"{}", b'{"data": {"id": 1}}'])
def test_a_signed_body_without_a_generation_is_an_error_of_the_webhook(body: bytes) -> None:
    with pytest.raises(WebhookError, match="no generation"):
        verify_webhook(SECRET, signed(body), body, now=1000.0)
