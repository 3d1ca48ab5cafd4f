"""Encrypts what the store keeps of Higgsfield's credentials, with keys that are not in the store (docs/accounts.md)."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Sealing:
    """Encrypts with the first of some keys, and decrypts with each of them. Raises ValueError for a malformed key."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = MultiFernet([Fernet(key) for key in keys])
        self._first = Fernet(keys[0])

    def seal(self, text: str) -> bytes:
        """Return the encrypted text."""
        return self._first.encrypt(text.encode())

    def open(self, sealed: bytes) -> str | None:
        """Return a text that was encrypted with one of the keys; None if it was not."""
        try:
            return self._keys.decrypt(sealed).decode()
        except InvalidToken:
            return None

    def is_current(self, sealed: bytes) -> bool:
        """Return whether a text was encrypted with the first key."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            return False
        return True
