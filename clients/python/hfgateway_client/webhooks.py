"""Verification of deliveries to callbacks, for servers that receive them: webhooks by Standard Webhooks 1.0.0."""

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
"""The default difference in seconds allowed between a webhook's timestamp and the receiver's clock.

It limits how long a recorded webhook can be replayed.
"""


class WebhookError(Exception):
    """The request is not a valid webhook of the gateway. Respond with HTTP status 401 and ignore its content."""


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, tolerance: float = TOLERANCE, now: float | None = None
) -> Generation:
    """Verify the signature and the age of a delivery to a callback, and return its generation.

    The gateway delivers each one at least once. Ignore one whose ``webhook-id`` header you have already handled,
    or whose generation has a ``revision`` that is not greater than the last one you have seen.

    Args:
        secret: The secret of the callback ("whsec_..."), from ``create_callback`` or ``rotate_callback_secret``.
        headers: The headers of the request. Names may be in any case.
        body: The body of the request, byte for byte as received.
        tolerance: How much the timestamp may differ from ``now``, in seconds.
        now: The current Unix time in seconds. Default: the system's clock.

    Returns:
        The generation at the revision that the delivery reports. For a test delivery, an empty one without an id.

    Raises:
        WebhookError: A header is missing, the timestamp is too old or too new, no signature matches, or the body
            contains no generation.
        ValueError: The secret is malformed or empty.
    """
    received = {name.lower(): value for name, value in headers.items()}
    webhook_id, timestamp = received.get("webhook-id", ""), received.get("webhook-timestamp", "")
    if not webhook_id or not re.fullmatch("[0-9]{1,15}", timestamp):
        raise WebhookError("the webhook-id or webhook-timestamp header is missing or invalid")
    if abs(int(timestamp) - (time.time() if now is None else now)) > tolerance:
        raise WebhookError("the webhook-timestamp is outside the tolerance")
    # Servers may decode header bytes that are not UTF-8 to surrogates.
    signed = f"{webhook_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    expected = b"v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256))
    signatures = received.get("webhook-signature", "").encode("utf-8", "surrogatepass").split()
    # Compares all of them, so that the time taken does not reveal how many there are or which one matches.
    if not any([hmac.compare_digest(expected, signature) for signature in signatures]):  # noqa: C419
        raise WebhookError("no signature matches the secret")
    try:
        content = json.loads(body)
        return json_format.ParseDict(content["data"], Generation(), ignore_unknown_fields=True)
    except (ValueError, KeyError, TypeError, json_format.ParseError) as error:
        raise WebhookError("the body contains no generation") from error


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not key:  # anyone could sign with an empty key
        raise ValueError("a webhook secret must be whsec_ followed by base64")
    return key
