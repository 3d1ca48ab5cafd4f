"""Reads the Higgsfield credentials, in the forms of the official SDKs. They are never shown."""

import hashlib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from gateway.frozen import frozen

MIN_SECRET_LENGTH = 8


class CredentialsError(ValueError):
    """Credentials are missing or contradict each other. The message names variables, never values."""


@frozen
class Credentials:
    """A key id and its secret."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of the Authorization header, as in the official SDKs."""
        return f"Key {self.key_id}:{self.secret}"

    @property
    def account(self) -> str:
        """The id of the credentials: a hash, which does not reveal them."""
        return hashlib.sha256(f"hfgateway-account\0{self.key_id}".encode()).hexdigest()[:16]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The strings that must not appear in any output.

        A secret as short as that of the sandbox counts only with its key id: it could be an ordinary word of a text.
        """
        both = f"{self.key_id}:{self.secret}"
        return (both,) if len(self.secret) < MIN_SECRET_LENGTH else (both, self.secret)


def read_credentials(environment: Mapping[str, str]) -> Credentials:
    """Read the credentials from `HF_KEY`, the file that `HF_KEY_FILE` names, `HF_CREDENTIALS`, or `HF_API_KEY` and
    `HF_API_SECRET`.

    Raises CredentialsError if there are none, if they are malformed, or if two forms differ.
    """
    found: dict[str, Credentials] = {}
    for name in ("HF_KEY", "HF_KEY_FILE", "HF_CREDENTIALS"):
        text = environment.get(name, "").strip()
        if text and name == "HF_KEY_FILE":
            text = _content(text)
        if text:
            found[name] = _parse(text, f"{name}: ")
    key_id = environment.get("HF_API_KEY", "").strip()
    for name in ("HF_API_SECRET", "HF_SECRET"):
        secret = environment.get(name, "").strip()
        if secret and not key_id:
            raise CredentialsError(f"{name}: is set without HF_API_KEY")
        if secret:
            found[f"HF_API_KEY and {name}"] = Credentials(key_id, secret)
    if key_id and not any(name.startswith("HF_API_KEY") for name in found):
        raise CredentialsError("HF_API_KEY: is set without HF_API_SECRET")
    if not found:
        raise CredentialsError("HF_KEY: no Higgsfield credentials; set HF_KEY to 'key id:secret'")
    if len(set(found.values())) > 1:
        raise CredentialsError(f"{' and '.join(found)}: hold different credentials; keep one of them")
    for name, credentials in found.items():
        _check(credentials, f"{name}: ")
    return next(iter(found.values()))


def parse_credentials(text: str) -> Credentials:
    """Read credentials from a text, `ID:SECRET`. Raises CredentialsError."""
    credentials = _parse(text.strip(), "")
    _check(credentials, "")
    return credentials


def _parse(text: str, about: str) -> Credentials:
    key_id, colon, secret = text.partition(":")
    if not (key_id and colon and secret):
        raise CredentialsError(f"{about}must be a key id and a secret, joined by ':'")
    return Credentials(key_id, secret)


def _check(credentials: Credentials, about: str) -> None:
    if not credentials.header.isascii() or not credentials.header.isprintable():
        raise CredentialsError(f"{about}must be visible ASCII characters")
    if credentials.key_id[0] in "\"'" and credentials.key_id[0] == credentials.secret[-1]:
        raise CredentialsError(f"{about}is in quotes: remove them (Docker's --env-file, for example, keeps quotes)")


def _content(file: str) -> str:
    """Return the content of the file of HF_KEY_FILE. Raises CredentialsError, also if it is empty."""
    try:
        text = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise CredentialsError(f"HF_KEY_FILE: cannot be read ({why})") from None
    if not text:
        raise CredentialsError("HF_KEY_FILE: the file is empty")
    return text
