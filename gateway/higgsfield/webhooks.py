"""Parses Higgsfield's webhooks, in both forms, and verifies Standard Webhooks signatures."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from enum import Enum

from gateway.generations.model import StatusReport
from gateway.higgsfield.json_values import parse_object
from gateway.higgsfield.payloads import status_report

TOLERANCE = 300.0
"""The most seconds between the time of a signature and the gateway's clock."""


class Proof(Enum):
    """The result of a verification."""

    NONE = 0
    STALE = 1
    """Signed with one of the secrets at a different time: a replay, or the gateway's wall clock is wrong."""
    VALID = 2


class Signatures:
    """Verifies webhooks with an account's secrets. There are two during a rotation."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [_key(secret) for secret in secrets]

    def judge(self, headers: Mapping[str, str], body: bytes, wall: float) -> Proof:
        """Verify the signature of a body and its id, and the time of the signature."""
        name, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not name or not re.fullmatch("[0-9]{1,15}", sent) or not self._signed(name, sent, headers, body):
            return Proof.NONE
        return Proof.STALE if abs(int(sent) - wall) > TOLERANCE else Proof.VALID

    def _signed(self, name: str, sent: str, headers: Mapping[str, str], body: bytes) -> bool:
        signed = f"{name}.{sent}.".encode() + body
        given = [part[3:] for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
        expected = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in self._keys]
        # Every pair is compared, so that the time does not reveal which one matched.
        matches = [
            hmac.compare_digest(signature.encode(), other) for signature in given for other in map(str.encode, expected)
        ]
        return any(matches)


def read_webhook(body: bytes, secrets: tuple[str, ...]) -> StatusReport | None:
    """Parse a webhook, flat or with its outputs in `payload`; None if it is not one."""
    content = parse_object(body)
    inner = content.get("payload")
    payload = {name: value for name, value in inner.items() if name not in content} if isinstance(inner, dict) else {}
    return status_report(content, payload, len(body), "", secrets)


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        raise ValueError("must start with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("must be whsec_ followed by base64") from error
    if not 16 <= len(key) <= 75:
        raise ValueError("has a key of the wrong length")
    return key
