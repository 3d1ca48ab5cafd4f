"""Idempotency keys: their format, and the fingerprint of a submission."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from gateway.sandbox import errors

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def check_key(key: str) -> None:
    """Raise a 422 unless the key has 1 to 255 visible ASCII characters."""
    if not _KEY.fullmatch(key):
        raise errors.key_malformed()


def fingerprint(path: str, parameters: Any, webhook: str | None, expires_after: str | None) -> str:
    """Return the digest by which a repeated key is compared.

    The order of object keys makes no difference. The order of arrays, and whether a field is present, does.
    """
    intent = json.dumps([path, parameters, webhook, expires_after], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(intent.encode()).hexdigest()
