"""Webhook signatures by the Standard Webhooks specification: HMAC-SHA256 over id, timestamp and body."""

from __future__ import annotations

import base64
import hashlib
import hmac

_PREFIX = "whsec_"


def read_secrets(text: str) -> list[bytes]:
    """Return the keys of secrets that are separated by spaces; raises ValueError if one is malformed."""
    return [_key(secret) for secret in text.split()]


def signed_headers(secrets: str, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers with a signature for each secret; no headers without a secret, as for older accounts.

    `timestamp` is in seconds since 1970.
    """
    keys = read_secrets(secrets)
    if not keys:
        return {}
    content = f"{webhook_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(key, content, hashlib.sha256) for key in keys]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(_PREFIX) or not key:
        raise ValueError(f"a webhook secret must be {_PREFIX} followed by base64")
    return key
