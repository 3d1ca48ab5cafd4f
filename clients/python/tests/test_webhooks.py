"""The verification of webhooks, with secrets that are none."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from hfgateway_client import WebhookError, verify_webhook

BODY = json.dumps({"data": {"id": "g1", "state": "GENERATION_STATE_COMPLETED"}}).encode()


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_secret_verifies_nothing(secret: str) -> None:
    """Anyone can sign with an empty key, and `create_callback` returns an empty secret for a key that was used."""
    signature = base64.b64encode(hmac.digest(b"", b"id.1000." + BODY, hashlib.sha256)).decode()
    headers = {"webhook-id": "id", "webhook-timestamp": "1000", "webhook-signature": f"v1,{signature}"}
    with pytest.raises(ValueError, match="whsec_ followed by base64"):
        verify_webhook(secret, headers, BODY, now=1000.0)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-signature"])
def test_a_header_that_is_no_text_verifies_nothing(name: str) -> None:
    """Servers decode bytes that are not UTF-8 to surrogates."""
    headers = {"webhook-id": "id", "webhook-timestamp": "1000", "webhook-signature": "v1,AAAA"} | {name: "v1,\udcff"}
    with pytest.raises(WebhookError, match="no signature matches"):
        verify_webhook("whsec_c2VjcmV0", headers, BODY, now=1000.0)
