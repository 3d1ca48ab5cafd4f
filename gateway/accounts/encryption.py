"""Encrypts the credentials of Higgsfield accounts before they are stored, with keys that are not in the store.

docs/accounts.md specifies it. `gateway/accounts/manager.py` uses it through its port `Encryption`.
"""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class FernetEncryption:
    """Encrypts with the first key of a setting, and decrypts with any. Raises ValueError for a malformed key."""

    def __init__(self, keys: Sequence[str], setting: str) -> None:
        self.setting = setting
        self._keys = MultiFernet([Fernet(key) for key in keys])
        self._first = Fernet(keys[0])

    def encrypt(self, text: str) -> bytes:
        """Return the encrypted text."""
        return self._first.encrypt(text.encode())

    def decrypt(self, sealed: bytes) -> str | None:
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
