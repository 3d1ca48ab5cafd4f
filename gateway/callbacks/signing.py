"""Signatures as Standard Webhooks 1.0.0 has them: HMAC-SHA256 over id, time and body, once for each secret."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from gateway.callbacks.model import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """A secret that nobody has had before."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(name: str, wall: float, body: bytes, signers: Sequence[Secret]) -> dict[str, str]:
    """The headers of one attempt to deliver the body under that name, made at that time."""
    sent = int(wall)
    signed = f"{name}.{sent}.".encode() + body
    signatures = (hmac.digest(_key(secret.text), signed, hashlib.sha256) for secret in signers)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(sent),
        "webhook-signature": " ".join("v1," + base64.b64encode(one).decode() for one in signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
