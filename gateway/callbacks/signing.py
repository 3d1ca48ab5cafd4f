"""Signs deliveries as defined by Standard Webhooks 1.0.0: HMAC-SHA256 over id, time and body, once per secret."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from gateway.callbacks.model import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(delivery_id: str, wall: float, body: bytes, signers: Sequence[Secret]) -> dict[str, str]:
    """Return the headers of an attempt that is made at a wall time."""
    timestamp = int(wall)
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    signatures = (hmac.digest(_key(secret.text), signed, hashlib.sha256) for secret in signers)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join("v1," + base64.b64encode(value).decode() for value in signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
