"""API keys of the form `hfg_ID_SECRET`. Only the SHA-256 of a key is stored, which suffices for 256 random bits."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from gateway.access.scopes import ALL, Scope
from gateway.errors import Violation, raise_if_invalid
from gateway.frozen import frozen

PREFIX = "hfg_"
MAX_NAME_LENGTH = 100
_ID_BYTES, _SECRET_BYTES = 6, 32
NAME_RULE = "must be 1 to 63 of a-z, 0-9, - and _, and start with a letter or digit"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@frozen
class ApiKey:
    """A stored API key. `hash` is the SHA-256 of the whole key as a caller sends it; the times are wall times."""

    id: str
    tenant: str
    name: str
    hash: bytes
    create_time: float
    revoke_time: float | None = None
    scopes: frozenset[Scope] = ALL
    expire_time: float | None = None

    def matches(self, secret: str) -> bool:
        """Return whether `secret` is this key, which may be revoked. The comparison takes constant time."""
        return hmac.compare_digest(hash_of(secret), self.hash)


def new_key(
    tenant: str, name: str, wall: float, scopes: Iterable[Scope] = (), expire_time: float | None = None
) -> tuple[ApiKey, str]:
    """Make a key for a tenant; return it and the text for the caller. Raises INVALID_INPUT.

    `wall` is the creation time, and `expire_time` the wall time from which the key is refused. Without scopes it has
    those of ALL.
    """
    wrong = []
    if expire_time is not None and expire_time <= wall:
        wrong.append(Violation("expire_time", "must be in the future"))
    if not is_name(tenant):
        wrong.append(Violation("tenant", NAME_RULE))
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        wrong.append(Violation("name", f"must be at most {MAX_NAME_LENGTH} printable characters"))
    raise_if_invalid(wrong)
    key_id = secrets.token_hex(_ID_BYTES)
    secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = ApiKey(key_id, tenant, name, hash_of(secret), wall, None, frozenset(scopes) or ALL, expire_time)
    return key, secret


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a tenant or of an account; see NAME_RULE."""
    return _NAME.fullmatch(text) is not None


def id_of(secret: str) -> str:
    """Return the id in the text of a key; "" if the text has another form."""
    parts = secret.split("_", 2)
    return parts[1] if len(parts) == 3 and secret.startswith(PREFIX) else ""


def hash_of(secret: str) -> bytes:
    """Return the hash under which a key is stored."""
    return hashlib.sha256(secret.encode()).digest()
