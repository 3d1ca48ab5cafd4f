"""The webhook URL of each generation, and the secret that authenticates its v1 webhooks.

The token in the path is random; only its hash is stored. Webhooks of the v1 API carry a secret in a header. It is
derived from the token with a key of the store, so that it need not be stored. Someone who learns only the URL, for
example from the log of a proxy, cannot forge a webhook.
"""

import hashlib
import hmac
import secrets

from gateway.generations.model import token_hash
from gateway.generations.ports import WebhookAddress

TOKEN_BYTES = 16
"""Random bytes in the path of a webhook URL."""
_PURPOSE = b"webhook of the v1 API: "
"""Separates these secrets from others that are derived from the same key."""


class WebhookAddresses:
    """Makes webhook URLs under `base`. `key` is stored, so that all processes of a store share it."""

    def __init__(self, base: str | None, key: bytes) -> None:
        self._base = base
        self._key = key

    def new(self) -> tuple[WebhookAddress, bytes] | None:
        """Return a new webhook URL with its secret, and the hash of its token; None if webhooks are off."""
        if self._base is None:
            return None
        token = secrets.token_urlsafe(TOKEN_BYTES)
        return WebhookAddress(self._base + token, self._secret(token)), token_hash(token)

    def is_secret_of(self, token: str, secret: str) -> bool:
        """Return whether the secret belongs to the token. The comparison takes constant time."""
        return hmac.compare_digest(secret.encode(), self._secret(token).encode())

    def _secret(self, token: str) -> str:
        return hmac.new(self._key, _PURPOSE + token.encode(), hashlib.sha256).hexdigest()
