"""Removes secrets from Higgsfield's texts before a caller may see them."""

import re

from gateway.errors import printable
from gateway.settings.config import WEBHOOK_PATH

REMOVED = "[removed]"
_MAX_SEARCHED = 4_000
"""The most characters that are searched: at most 500 are shown."""
_CREDENTIALS = re.compile(r"(?i)\b(key\s+[^\s:]+:|bearer\s+|basic\s+)[^\s,;\"']+")
_WORD = re.compile(r"[^\s\"'<>]+")
_SCHEME = re.compile("https?://")
_QUERY = re.compile("[?#]")
_TOKEN = re.compile(f"({WEBHOOK_PATH.replace('/', '(?:/|%2[Ff])')})[A-Za-z0-9_-]+")


def without_queries(text: str) -> str:
    """Return a text of any length without the queries of its URLs and without credentials."""
    return _CREDENTIALS.sub(REMOVED, _WORD.sub(_without_query, text) if "://" in text else text)


def _without_query(word: re.Match[str]) -> str:
    scheme = _SCHEME.search(word[0])
    query = _QUERY.search(word[0], scheme.end()) if scheme else None
    return f"{word[0][: query.start()]}?{REMOVED}" if query else word[0]


def without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text of any length without these secrets."""
    for secret in secrets:
        text = text.replace(secret, REMOVED)
    return text


def without_tokens(text: str) -> str:
    """Return a text of any length without the tokens in the URLs of the gateway's webhooks."""
    return _TOKEN.sub(rf"\1{REMOVED}", text) if "webhooks" in text else text


def redacted(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text without secrets, tokens, credentials and URL queries, printable and cut after 500 characters."""
    if not text:
        return text
    text = without_tokens(without_secrets(text, secrets))
    if len(text) > _MAX_SEARCHED:
        # The last word may be the beginning of a secret.
        text = "".join(text[:_MAX_SEARCHED].rsplit(None, 1)[:1])
    text = _CREDENTIALS.sub(REMOVED, text)
    return printable(_WORD.sub(_without_query, text)).strip()
