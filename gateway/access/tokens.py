"""Watch tokens: signed tokens that are not stored. A token contains what it allows, and until when.

They are signed with a secret of the store, so they stay valid after a restart. A token contains the id of the API key
that created it and is refused once that key is revoked.
"""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from gateway.frozen import frozen
from gateway.generations.stores import Filter

PREFIX = "hfw_"
_SIGNATURE_BYTES = 32


@frozen
class WatchToken:
    """The content of a token: it lets its bearer watch the tenant's generations that match `within`.

    `key_id` is the API key that created it, "" if none. `expire_time` is wall time.
    """

    tenant: str
    key_id: str
    within: Filter
    include_input: bool
    expire_time: float


def sign(token: WatchToken, secret: bytes) -> str:
    """Return the text of a token, signed with the secret."""
    content: dict[str, Any] = {"t": token.tenant, "k": token.key_id, "e": token.expire_time}
    if token.within.ids is not None:
        content["i"] = sorted(token.within.ids)
    if token.within.labels:
        content["l"] = dict(sorted(token.within.labels.items()))
    if token.include_input:
        content["n"] = True
    payload = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return PREFIX + encode(_signature(payload, secret) + payload)


def fingerprint(text: str) -> str:
    """Return a part of a token's signature, which identifies the token but cannot be used in its place."""
    return text.removeprefix(PREFIX)[:22]


def verify(text: str, secret: bytes) -> WatchToken | None:
    """Return the token if its signature is valid, else None. The caller must check its expiry and its API key."""
    content = decode(text.removeprefix(PREFIX))
    if content is None:
        return None
    signature, payload = content[:_SIGNATURE_BYTES], content[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(payload, secret)):
        return None
    fields = json.loads(payload)
    ids = frozenset(fields["i"]) if "i" in fields else None
    within = Filter(ids=ids, labels=fields.get("l", {}))
    return WatchToken(fields["t"], fields["k"], within, fields.get("n", False), fields["e"])


def encode(content: bytes) -> str:
    """Return bytes as base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(text: str) -> bytes | None:
    """Return the bytes of `encode`; None for another text.

    base64 has several texts for the same bytes. Only one is accepted, because `fingerprint` identifies a token by its
    text.
    """
    try:
        content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if encode(content) == text else None


def _signature(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, payload, hashlib.sha256)
