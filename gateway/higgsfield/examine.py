"""Text from Higgsfield, examined before a caller may see it."""

import re

from gateway.errors import printable

_URL_TAIL = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_LOOKED_AT = 4_000
"""Characters that are looked at, for 500 to be shown: patterns over a megabyte of their beginnings take hours."""
_CREDENTIALS = re.compile(r"(?i)\b(key\s+[^\s:]+:|bearer\s+|basic\s+)[^\s,;\"']+")


def examined(text: str, secrets: tuple[str, ...] = ()) -> str:
    """The text with known secrets, credentials and URLs' queries taken out, printable and at most 500 characters."""
    if not text:
        return text
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[removed]")
    if len(text) > _LOOKED_AT:
        # The last word may be the beginning of one that has to go.
        text = "".join(text[:_LOOKED_AT].rsplit(None, 1)[:1])
    text = _CREDENTIALS.sub("[removed]", text)
    return printable(_URL_TAIL.sub(r"\1?[removed]", text)).strip()
