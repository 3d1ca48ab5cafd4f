"""API keys. One is `hfg_ID_SECRET`, and is told once: kept is its SHA-256, which is enough for 256 random bits."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from gateway.errors import Violation, invalid_input

PREFIX = "hfg_"
LONGEST_NAME = 100
_ID_BYTES, _SECRET_BYTES = 6, 32
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored. Times are wall times; `hash` is of the whole key as its owner sends it."""

    id: str
    tenant: str
    name: str
    hash: bytes
    create_time: float
    revoke_time: float | None = None

    def opens_with(self, secret: str) -> bool:
        """Whether this is the key, and still good. Takes the same time for every wrong one."""
        return hmac.compare_digest(hash_of(secret), self.hash) and self.revoke_time is None


def new_key(tenant: str, name: str, wall: float) -> tuple[ApiKey, str]:
    """A key for a tenant, and the secret to hand out. Raises INVALID_INPUT."""
    wrong = []
    if not _TENANT.fullmatch(tenant):
        wrong.append(Violation("tenant", "must be 1 to 63 of a-z, 0-9, - and _, and begin with a letter or digit"))
    if len(name) > LONGEST_NAME or not name.isprintable():
        wrong.append(Violation("name", f"must be at most {LONGEST_NAME} printable characters"))
    if wrong:
        raise invalid_input(wrong)
    key_id = secrets.token_hex(_ID_BYTES)
    secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return ApiKey(key_id, tenant, name, hash_of(secret), wall), secret


def id_of(secret: str) -> str:
    """The id that a key names, or an empty text."""
    parts = secret.split("_", 2)
    return parts[1] if len(parts) == 3 and secret.startswith(PREFIX) else ""


def hash_of(secret: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode()).digest()
