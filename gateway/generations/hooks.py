"""Where Higgsfield reports ends to: an address of its own for each generation, and a secret that belongs to it.

The token in the path is random and kept as a hash. The secret, which deliveries of the v1 API carry in a header, is
derived from the token by a secret of the store: who learns the address alone, from the log of a proxy say, cannot make
a delivery, and there is nothing more to keep.
"""

import hashlib
import hmac
import secrets

from gateway.generations.model import token_hash
from gateway.generations.ports import Hook

TOKEN_BYTES = 16
"""Random bytes in the path of a webhook: nobody guesses 128 bits."""
_PURPOSE = b"webhook of the v1 API: "
"""Keeps these apart from everything else that is derived from the secret of the store."""


class Hooks:
    """Makes addresses under `base`; `key` is a secret that all processes of a store share, and the next ones too."""

    def __init__(self, base: str | None, key: bytes) -> None:
        self._base = base
        self._key = key

    def new(self) -> tuple[Hook, bytes] | None:
        """A new one, and the hash of its token; None where Higgsfield cannot reach this gateway."""
        if self._base is None:
            return None
        token = secrets.token_urlsafe(TOKEN_BYTES)
        return Hook(self._base + token, self._secret(token)), token_hash(token)

    def proven(self, token: str, secret: str) -> bool:
        """Whether this is the secret that belongs to the token. Takes the same time for all that are wrong."""
        return hmac.compare_digest(secret.encode(), self._secret(token).encode())

    def _secret(self, token: str) -> str:
        return hmac.new(self._key, _PURPOSE + token.encode(), hashlib.sha256).hexdigest()
