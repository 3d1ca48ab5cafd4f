"""For receivers: whether a webhook is the gateway's, and the generation that it tells of (Standard Webhooks 1.0.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping

from google.protobuf import json_format

from hfgateway.v1.generation_pb2 import Generation

TOLERANCE = 300.0
"""Seconds by which the gateway's clock may differ from ours; older webhooks may have been recorded by somebody."""


class WebhookError(Exception):
    """It is not the gateway's, or not from now: answer with 401, and believe nothing of it."""


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, tolerance: float = TOLERANCE, now: float | None = None
) -> Generation:
    """The generation at the revision that the webhook tells of; an empty one, without an id, for a test.

    ``secret`` is what ``create_callback`` or ``rotate_callback_secret`` told ("whsec_…"), ``body`` the bytes exactly
    as they came; ``headers`` in any case. Raises `WebhookError`. The same webhook may come again: drop a ``webhook-id``
    that you have seen, or a ``revision`` that is not above the last one of its generation.
    """
    found = {name.lower(): value for name, value in headers.items()}
    name, sent = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    if not name or not re.fullmatch("[0-9]{1,15}", sent):
        raise WebhookError("it has no webhook-id, or no webhook-timestamp")
    if abs(int(sent) - (time.time() if now is None else now)) > tolerance:
        raise WebhookError("it was signed at another time")
    signed = f"{name}.{sent}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256))
    given = found.get("webhook-signature", "").encode().split()
    # All are compared: how many there are, and which one it was, must not show in the time it took.
    if not any([hmac.compare_digest(expected, one) for one in given]):  # noqa: C419
        raise WebhookError("none of its signatures is made with this secret")
    try:
        content = json.loads(body)
        return json_format.ParseDict(content["data"], Generation(), ignore_unknown_fields=True)
    except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
        raise WebhookError("it tells of no generation") from error


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("a secret is whsec_ and base64") from None
