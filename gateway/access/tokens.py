"""Watch tokens: signed, not stored. One says itself what it allows, and until when.

The signature is by a secret of the store, so every gateway of the store takes the tokens of the others, also after a
restart. A token names the API key that made it and is worth nothing once that is revoked.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from gateway.generations.ports import Filter

PREFIX = "hfw_"
_SIGNATURE_BYTES = 32


@dataclass(frozen=True, slots=True)
class WatchToken:
    """What a token allows: to watch what matches, as the tenant, until a wall time."""

    tenant: str
    key_id: str
    within: Filter
    include_input: bool
    expire_time: float


def signed(token: WatchToken, secret: bytes) -> str:
    """The text that a browser gets."""
    content: dict[str, Any] = {"t": token.tenant, "k": token.key_id, "e": token.expire_time}
    if token.within.ids is not None:
        content["i"] = sorted(token.within.ids)
    if token.within.labels:
        content["l"] = dict(sorted(token.within.labels.items()))
    if token.include_input:
        content["n"] = True
    payload = json.dumps(content, separators=(",", ":")).encode()
    return PREFIX + base64.urlsafe_b64encode(_signature(payload, secret) + payload).decode().rstrip("=")


def name_of(text: str) -> str:
    """A part of a token's signature: tells it from others, and opens nothing."""
    return text.removeprefix(PREFIX)[:22]


def read(text: str, secret: bytes) -> WatchToken | None:
    """The token, if we signed it. Its time, and its key, are the caller's to check."""
    encoded = text.removeprefix(PREFIX)
    try:
        content = base64.b64decode(encoded.encode("ascii") + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    signature, payload = content[:_SIGNATURE_BYTES], content[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(payload, secret)):
        return None
    told = json.loads(payload)
    ids = frozenset(told["i"]) if "i" in told else None
    within = Filter(ids=ids, labels=told.get("l", {}))
    return WatchToken(told["t"], told["k"], within, told.get("n", False), told["e"])


def _signature(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, payload, hashlib.sha256)
