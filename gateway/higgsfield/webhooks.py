"""Higgsfield's deliveries: both payload shapes, and Standard Webhooks signatures (upstream.md 7)."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from enum import Enum

from gateway.generations.model import StatusReport
from gateway.higgsfield.payloads import read_status

TOLERANCE = 300.0
"""Seconds by which a delivery's clock may differ from ours."""


class Proof(Enum):
    """What a signature proves."""

    NONE = 0
    STALE = 1
    """One of the secrets signed it, at another time than our calendar shows: a replay, or our calendar is wrong."""
    VALID = 2


class Signatures:
    """Verifies deliveries with an account's secrets, two while they are rotated."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [_key(secret) for secret in secrets]

    def judge(self, headers: Mapping[str, str], body: bytes, wall: float) -> Proof:
        """Whether one of the secrets signed this body under this id, and when."""
        name, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not name or not re.fullmatch("[0-9]{1,15}", sent) or not self._signed(name, sent, headers, body):
            return Proof.NONE
        return Proof.STALE if abs(int(sent) - wall) > TOLERANCE else Proof.VALID

    def _signed(self, name: str, sent: str, headers: Mapping[str, str], body: bytes) -> bool:
        signed = f"{name}.{sent}.".encode() + body
        given = [part[3:] for part in headers.get("webhook-signature", "").split() if part.startswith("v1,")]
        expected = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in self._keys]
        # Every pair is compared: which one matched must not show in the time it took.
        matches = [hmac.compare_digest(one.encode(), other) for one in given for other in map(str.encode, expected)]
        return any(matches)


def read_delivery(body: bytes, secrets: tuple[str, ...] = ()) -> StatusReport | None:
    """What a delivery says, flat or with its outputs in `payload`; None where it is no delivery."""
    try:
        content = json.loads(body)
        if not isinstance(content, dict):
            return None
        inner = content.pop("payload", None)
        if isinstance(inner, dict):
            content = {name: value for name, value in inner.items() if name not in content} | content
        text = json.dumps(content).encode()
    except (ValueError, RecursionError):  # deeper than can be read, or than can be written again
        return None
    return read_status(text, "", secrets)


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        raise ValueError("must start with whsec_")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("must be whsec_ and base64") from error
    if not 16 <= len(key) <= 75:
        raise ValueError("has a key of the wrong length")
    return key
