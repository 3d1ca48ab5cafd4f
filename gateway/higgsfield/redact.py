"""Removes secrets from Higgsfield's texts before a caller may see them."""

import re

from gateway.errors import printable

_URL_TAIL = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_LOOKED_AT = 4_000
"""The most characters that are searched. The patterns would take hours on a megabyte of partial matches."""
_CREDENTIALS = re.compile(r"(?i)\b(key\s+[^\s:]+:|bearer\s+|basic\s+)[^\s,;\"']+")


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return a text without known secrets, credentials and URL queries, printable and at most 500 characters."""
    if not text:
        return text
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[removed]")
    if len(text) > _LOOKED_AT:
        # The last word may be the beginning of a secret.
        text = "".join(text[:_LOOKED_AT].rsplit(None, 1)[:1])
    text = _CREDENTIALS.sub("[removed]", text)
    return printable(_URL_TAIL.sub(r"\1?[removed]", text)).strip()
