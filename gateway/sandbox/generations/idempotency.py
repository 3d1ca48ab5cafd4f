"""Idempotency keys: which submissions are the same intent."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from gateway.sandbox import errors

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def check_key(key: str) -> None:
    """Refuse what is no key: 1 to 255 visible ASCII characters."""
    if not _KEY.fullmatch(key):
        raise errors.key_malformed()


def fingerprint(path: str, parameters: Any, webhook: str | None, expires_after: str | None) -> str:
    """Digest everything that makes an intent: the order of object keys does not, presence and arrays' order do."""
    intent = json.dumps([path, parameters, webhook, expires_after], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(intent.encode()).hexdigest()
